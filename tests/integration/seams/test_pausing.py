"""PROTOCOL, Cut-over 2 and 7, with a real worker: a context's tasks are set aside while it is handed over, and go on after.

On kombu's broker within the process, and on RabbitMQ.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from monolith.celery import app
from strangler.control.errors import NotConverged
from strangler.control.followers import Follower, Workers
from strangler.domain.channels import TABLE, WORKERS
from strangler.seams import owner_task
from strangler.sync.broker import client

from .conftest import real_worker, using_broker
from .test_tasks import forwarded

Own = Callable[..., None]
Ask = Callable[..., None]
ran: queue.Queue[str] = queue.Queue()
going_on = threading.Event()
begun = threading.Event()


@owner_task("payments", name="tests.pausing.note")
def note(word: str) -> None:
    ran.put(word)


@owner_task("payments", name="tests.pausing.long")
def long() -> None:
    begun.set()
    assert going_on.wait(10)


@owner_task("orders", name="tests.pausing.other")
def other(word: str) -> None:
    ran.put(word)


@pytest.fixture(scope="module", params=["memory", "rabbitmq"])
def working(request: pytest.FixtureRequest) -> Iterator[None]:
    """A worker with threads."""
    client().delete(TABLE, WORKERS)
    url = "memory://" if request.param == "memory" else request.getfixturevalue("rabbitmq").url
    with using_broker(url), real_worker(pool="threads", concurrency=2):
        yield
    client().delete(TABLE, WORKERS)


@pytest.fixture
def workers() -> Iterator[Workers]:
    seen = Workers(redis.Redis(connection_pool=client().connection_pool))
    yield seen
    seen.close()


@pytest.fixture
def ask(working: None, fenced: None) -> Iterator[Ask]:
    """Publishes a table that asks for a pause of payments, or for none."""
    begun.clear()
    going_on.clear()

    def publish(operation: str | None, for_ms: int = 60_000) -> None:
        number = client().incr("tests:table")
        pause = {"operation": operation, "for_ms": for_ms} if operation else None
        table = {"generation": 1, "version": number, "contexts": {"payments": {"pause": pause}, "orders": {"pause": None}}}
        client().set(TABLE, json.dumps(table))
        client().publish(TABLE, f"1.{number}")

    yield publish
    going_on.set()
    publish(None)
    assert ran.empty()


def paused(operation: str) -> Callable[[Follower], bool]:
    return lambda worker: worker.drained("payments", operation)


def wait(workers: Workers, operation: str, timeout_s: float = 5) -> None:
    workers.wait(paused(operation), timeout_s=timeout_s, what="the pause", least=1)


def test_step_2_its_tasks_wait_and_those_of_others_do_not(ask: Ask, workers: Workers) -> None:
    ask("op-1")
    wait(workers, "op-1")
    note.delay("late")
    other.delay("at once")  # the same queue, behind it
    assert ran.get(timeout=5) == "at once"
    assert ran.empty()
    ask(None)
    assert ran.get(timeout=5) == "late"


def test_step_2_a_worker_acknowledges_only_when_none_runs_any_more_and_says_which(ask: Ask, workers: Workers) -> None:
    sent = long.delay()
    assert begun.wait(5)
    ask("op-2")
    with pytest.raises(NotConverged, match=rf"1 of 1 workers .* it runs tests.pausing.long \[{sent.id}\] for \d+ s"):
        wait(workers, "op-2", timeout_s=0.5)
    going_on.set()
    wait(workers, "op-2")


def test_step_7_what_waited_is_forwarded_to_the_new_owner_with_its_id(ask: Ask, workers: Workers, own: Own) -> None:
    with app.connection_for_write() as connection:
        connection.SimpleQueue("payments").clear()
    ask("op-3")
    wait(workers, "op-3")
    sent = [note.delay("pending"), note.apply_async(["scheduled"], countdown=0.01)]
    other.delay("both are here")
    assert ran.get(timeout=5) == "both are here"
    own("service", 1)
    ask(None)
    assert {forwarded().headers["id"] for _ in sent} == {message.id for message in sent}


def test_a_pause_that_nobody_ends_ends_by_itself(ask: Ask, workers: Workers) -> None:
    ask("op-4", for_ms=700)
    wait(workers, "op-4")
    note.delay("at last")
    assert ran.get(timeout=5) == "at last"
