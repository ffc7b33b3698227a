"""Payments, fenced, on a real PostgreSQL; a session beside that of the test; threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import signals
from celery.contrib.testing.worker import start_worker
from django.db import connection, connections
from kombu import pools

from strangler import conf
from strangler.sync import fence, ownership
from strangler.sync.collections import for_context

CONTEXT = "payments"


@pytest.fixture(autouse=True)
def _static_files(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path  # WhiteNoise warns of a directory that isn't there


@pytest.fixture(scope="session")
def lifted(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The lifted service, running; ``.lifted.estate`` makes it half of an estate."""
    from .lifted import running

    with running(postgres.create_database("seams_payments"), tmp_path_factory.mktemp("lifted")) as service:
        yield service


@pytest.fixture
def fenced(transactional_db: None) -> Iterator[None]:
    """The monolith owns payments at epoch 0 and its tables are fenced; name ``as_service`` first for a service's database."""
    ownership.prepare(CONTEXT, conf.side())
    collections = for_context(CONTEXT)
    for collection in collections:
        fence.install(collection, CONTEXT, conf.side())
    yield
    for collection in collections:
        fence.uninstall(collection)
    fence.uninstall_all()


@pytest.fixture
def own(fenced: None, aside: Aside) -> Callable[[str, int], None]:
    """``own("service", 1)``: change the owner, as a hand-over does, from a connection that is not the test's."""

    def change(owner: str, epoch: int, **how: Any) -> None:
        aside(lambda: ownership.change(CONTEXT, epoch=epoch, owner=owner, operation="test", **how)).result(10)

    return change


Aside = Callable[[Callable[[], Any]], "Future[Any]"]


@pytest.fixture
def aside(transactional_db: None) -> Iterator[Aside]:
    """Run something in another thread, on a database connection of its own; gives its future."""
    pool = ThreadPoolExecutor(8)

    def closing(work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    yield lambda work: pool.submit(closing, work)
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def operator(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    """A session of its own on the test's database, by psycopg alone."""
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    with psycopg.connect(**wanted, autocommit=True) as session:
        yield session


@pytest.fixture
def as_service(settings: Any) -> None:
    """This process is the service of payments; its database is the test's."""
    settings.STRANGLER = {**settings.STRANGLER, "SIDE": "service", "CONTEXT": CONTEXT}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a claim has looked, found nobody, and waits."""
    from strangler.seams import claims

    looked = threading.Event()
    pause = claims.time.sleep

    class Clock:
        monotonic = staticmethod(claims.time.monotonic)

        @staticmethod
        def sleep(seconds: float) -> None:
            looked.set()
            pause(seconds)

    monkeypatch.setattr(claims, "time", Clock)
    return looked


@contextmanager
def using_broker(url: str) -> Iterator[None]:
    """The monolith's Celery speaks to another broker for a while; what it keeps of connections is thrown away both times."""
    from monolith.celery import app

    def forget() -> None:
        pools.reset()
        app._pool = app.amqp._producer_pool = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELERY_BROKER_URL", url)
        forget()
        yield
        forget()


@contextmanager
def real_worker(**options: Any) -> Iterator[None]:
    """The monolith's worker, in this process, on its own queue. Each task gives its database connection back."""
    from monolith.celery import app

    def close(**_: Any) -> None:
        connections.close_all()

    kept = app.conf.broker_transport_options
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    signals.task_postrun.connect(close)
    with start_worker(app, queues=["monolith"], perform_ping_check=False, loglevel="ERROR", **options):
        yield
    signals.task_postrun.disconnect(close)
    app.conf.broker_transport_options = kept
