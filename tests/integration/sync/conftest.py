"""Two real databases with the product and the test apps in them; no mock of a database anywhere in this directory.

The tests run under any Django settings that have ``strangler`` installed; the two test apps and the two aliases are added here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from tests.rabbitmq import RabbitMQ

if TYPE_CHECKING:  # at run time only once Django is set up, which is after this file is loaded
    from tests.integration.sync.estate import Estate, Threads
    from tests.integration.sync.process import Mailed, Service, Worker
    from tests.integration.sync.servers import OnPostgreSQL, OnSQLite

DATABASES = ("postgresql", "sqlite")
HERE = Path(__file__).resolve().parent
APPS = ["tests.integration.sync.people", "tests.integration.sync.bank"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The whole suite runs on each database, but tests of what only one of them has: ``only(database, what)``."""
    if "database" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("database", [only.args[0]] if only else DATABASES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database(request, postgres, tmp_path_factory) -> OnPostgreSQL | OnSQLite:
    from tests.integration.sync.servers import OnPostgreSQL, OnSQLite

    return OnPostgreSQL(postgres) if request.param == "postgresql" else OnSQLite(tmp_path_factory.mktemp("sync"))


@pytest.fixture(scope="session")
def sync_databases(django_db_blocker, database, valkey_url) -> Iterator[Estate]:
    """Made once for the session and database: migrated, filled with the test project's tables, installed."""
    from strangler.sync import collections
    from tests.integration.sync.estate import DESTINATION, SOURCE, Estate, build

    strangler = {
        "ESTATE": HERE / "strangler.toml",
        "SIDE": "monolith",
        "CONTEXT": "",
        "REDIS_URL": valkey_url,
        "TOKEN": "a token that is long enough for the tests",
        "DATABASE": SOURCE,
    }
    installed = [*settings.INSTALLED_APPS, *(app for app in APPS if app not in settings.INSTALLED_APPS)]
    changed = {"STRANGLER": strangler, **({} if installed == list(settings.INSTALLED_APPS) else {"INSTALLED_APPS": installed})}
    with django_db_blocker.unblock(), override_settings(**changed):
        for alias in (SOURCE, DESTINATION):
            database.create(alias)
            call_command("migrate", "strangler", database=alias, verbosity=0)
            build(alias, database.unmanaged(alias))
        collections.forget()
        estate = Estate()
        estate.install()
        yield estate
        connections.close_all()
        for alias in (SOURCE, DESTINATION):  # of the other database there are two of the same names
            del connections[alias]


@pytest.fixture
def estate(sync_databases: Estate, django_db_blocker) -> Iterator[Estate]:
    from strangler.sync import collections

    with django_db_blocker.unblock(), override_settings(STRANGLER=settings.STRANGLER):
        collections.forget()
        sync_databases.reset()
        yield sync_databases


@pytest.fixture
def threads() -> Iterator[Threads]:
    from tests.integration.sync.estate import Threads

    started = Threads()
    yield started
    started.join()


@pytest.fixture
def service(estate: Estate) -> Iterator[Service]:
    """The bank's service over real HTTP, on the database ``destination``."""
    from tests.integration.sync.process import Service

    running = Service()
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def worker_of(sync_databases: Estate, tmp_path_factory) -> Iterator[Callable[[str], Worker]]:
    """The bank's worker on a broker: one for the session, started where it does not run (a test may have killed it)."""
    from tests.integration.sync.process import Worker

    known: dict[str, Worker] = {}

    def worker_of(broker: str) -> Worker:
        if broker not in known:
            known[broker] = Worker(broker, tmp_path_factory.mktemp("worker"))
        known[broker].start()
        return known[broker]

    yield worker_of
    for worker in known.values():
        worker.kill()


@pytest.fixture
def valkey_broker(valkey_url: str) -> str:
    """Valkey as a broker, in a database of its own."""
    return urlunsplit(urlsplit(valkey_url)._replace(path="/9"))


@pytest.fixture
def rabbitmq_broker(rabbitmq: RabbitMQ) -> str:
    return rabbitmq.url


@pytest.fixture
def broker(valkey_broker: str, monkeypatch) -> str:
    """The broker of this process."""
    monkeypatch.setenv("CELERY_BROKER_URL", valkey_broker)
    return valkey_broker


@pytest.fixture
def mailed(estate: Estate, broker: str, worker_of: Callable[[str], Worker]) -> Iterator[Mailed]:
    """The bank's service, whose changes come to its worker by Celery."""
    from tests.integration.sync.process import Mailed

    running = Mailed(worker_of(broker))
    running.start()
    yield running
    super(Mailed, running).kill()  # the worker serves the next test too


@pytest.fixture(params=["http", "celery"])
def served(request: pytest.FixtureRequest) -> Service:
    """The bank's service, reached by each transport in turn."""
    return request.getfixturevalue({"http": "service", "celery": "mailed"}[request.param])
