"""What a worker makes of the pauses that a route table asks for (PROTOCOL, Cut-over 2), without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from strangler.seams.pausing import FETCHED_AHEAD, Desk, Pauses


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Request:
    def __init__(self, number: int, context: str = "payments") -> None:
        self.id, self.name = f"id-{number}", f"{context}.work"
        self.task = SimpleNamespace(context=context)

    def reserved(self) -> Request:
        state.task_reserved(self)
        return self


class Prefetch:
    def __init__(self) -> None:
        self.raised = 0

    def increment_eventually(self) -> None:
        self.raised += 1

    def decrement_eventually(self) -> None:
        self.raised -= 1


def table(version: int, pause: dict[str, Any] | None, generation: int = 1) -> dict[str, Any]:
    return {"generation": generation, "version": version, "contexts": {"payments": {"pause": pause}, "orders": {}}}


def asked(operation: str = "op", for_ms: int = 1000) -> dict[str, Any]:
    return {"operation": operation, "for_ms": for_ms}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> Pauses:
    return Pauses(clock)


@pytest.fixture
def consumer() -> Iterator[Any]:
    begun: list[Any] = []
    yield SimpleNamespace(on_task_request=begun.append, begun=begun, qos=Prefetch())
    state.reset_state()


@pytest.fixture
def desk(consumer: Any, pauses: Pauses) -> Desk:
    return Desk(consumer, pauses)


def test_a_pause_begins_with_a_table_and_ends_with_the_next(pauses: Pauses) -> None:
    pauses.apply(table(1, asked()))
    assert ("payments" in pauses, "orders" in pauses) == (True, False)
    assert pauses.current() == {"payments": "op"}
    pauses.apply(table(2, None))
    assert "payments" not in pauses


def test_a_pause_ends_by_itself_on_the_workers_own_clock(pauses: Pauses, clock: Clock) -> None:
    pauses.apply(table(1, asked(for_ms=1000)))
    clock.now += 0.9
    pauses.apply(table(2, asked(for_ms=1000)))  # the same operation's next table: no more time
    clock.now += 0.2
    assert "payments" not in pauses
    pauses.apply(table(3, asked("another")))
    assert pauses.current() == {"payments": "another"}


@pytest.mark.parametrize("older", [(1, 4), (1, 5), (0, 9)])
def test_p21_an_older_table_changes_nothing(pauses: Pauses, older: tuple[int, int]) -> None:
    pauses.apply(table(5, asked()))
    pauses.apply(table(older[1], None, generation=older[0]))
    assert "payments" in pauses


def test_tasks_of_the_context_wait_and_go_on_in_order(desk: Desk, pauses: Pauses, consumer: Any) -> None:
    pauses.apply(table(1, asked()))
    requests = [Request(number).reserved() for number in range(3)]
    for request in requests:
        desk.take(request)
    other = Request(9, "orders").reserved()
    desk.take(other)
    desk.resume()
    assert consumer.begun == [other]
    pauses.apply(table(2, None))
    desk.resume()
    assert consumer.begun == [other, *requests]


def test_other_messages_of_the_queue_still_come(desk: Desk, pauses: Pauses, consumer: Any) -> None:
    pauses.apply(table(1, asked()))
    requests = [Request(number).reserved() for number in range(FETCHED_AHEAD + 5)]
    for request in requests:
        desk.take(request)
    assert consumer.qos.raised == FETCHED_AHEAD
    pauses.apply(table(2, None))
    desk.resume()
    assert consumer.qos.raised == 0
    assert consumer.begun == requests


def test_what_a_lost_connection_took_along_is_left_to_the_broker(desk: Desk, pauses: Pauses, consumer: Any) -> None:
    pauses.apply(table(1, asked()))
    lost, kept = Request(1).reserved(), Request(2)
    desk.take(lost)
    state.requests.clear()  # as the consumer does when its connection breaks
    state.reserved_requests.clear()
    consumer.qos = Prefetch()
    desk.take(kept.reserved())
    pauses.apply(table(2, None))
    desk.resume()
    assert consumer.begun == [kept]
    assert consumer.qos.raised == 0


def test_it_knows_what_still_runs(desk: Desk, pauses: Pauses) -> None:
    running = Request(1).reserved()
    desk.take(running)
    pauses.apply(table(1, asked()))
    desk.take(Request(2).reserved())
    assert [text.split(" for ")[0] for text in desk.running("payments")] == ["payments.work [id-1]"]
    state.task_ready(running)
    assert desk.running("payments") == []
