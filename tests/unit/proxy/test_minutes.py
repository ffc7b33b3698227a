"""What a worker tells of its minutes: reads alone, by side, each counted once whatever the clock does."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.channels import SERVED
from strangler_proxy.metrics import BOUNDS, Metrics
from strangler_proxy.minutes import Minutes


def serve(metrics: Metrics, status: int = 200, seconds: float = 0.003, *, side: str = "service", access: str = "read") -> None:
    metrics.served("payments", side, "canary", access).add(status, seconds)


def told(due: tuple[str, str, str] | None) -> dict[str, list[int]]:
    assert due is not None
    return json.loads(due[2])["contexts"].get("payments", {})


def test_reads_are_told_by_side_with_their_failures_and_times() -> None:
    metrics = Metrics()
    minutes = Minutes(metrics, "proxy:1")
    serve(metrics)
    serve(metrics, 503, 0.2)
    serve(metrics, 404, side="monolith")
    serve(metrics, 500, access="write")
    metrics.served("-", "-", "-", "-").add(500, 0.1)
    due = minutes.due(120.5)
    assert due is not None
    assert due[:2] == (f"{SERVED}2", "proxy:1#0")
    said = told(due)
    assert said["service"][:2] == [2, 1]
    assert sum(said["service"][2:]) == 2
    assert said["service"][2 + BOUNDS.index(0.005)] == 1
    assert said["monolith"][:2] == [1, 0]


def test_a_read_that_the_monolith_answered_for_a_service_that_failed_is_the_services_failure() -> None:
    metrics = Metrics()
    serve(metrics, side="monolith")
    metrics.fallbacks.add("payments", "unreachable")
    metrics.fallbacks.add("payments", "stale")
    assert told(Minutes(metrics, "w").due(0))["service"][:2] == [1, 1]


def test_nothing_new_is_not_told_again_but_what_was_not_received_is() -> None:
    metrics = Metrics()
    minutes = Minutes(metrics, "w")
    assert minutes.due(0) is None
    serve(metrics)
    first = minutes.due(1)
    assert minutes.due(2) == first, "nobody has said that it arrived"
    minutes.told()
    assert minutes.due(3) is None


def test_a_minute_holds_what_was_served_in_it() -> None:
    metrics = Metrics()
    minutes = Minutes(metrics, "w")
    serve(metrics)
    assert told(minutes.due(59))["service"][0] == 1
    serve(metrics)
    serve(metrics)
    later = minutes.due(61)
    assert later is not None
    assert (later[0], told(later)["service"][0]) == (f"{SERVED}1", 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 600)), max_size=30))
def test_each_read_is_counted_once_however_the_clock_jumps(steps: list[tuple[int, int]]) -> None:
    metrics = Metrics()
    minutes = Minutes(metrics, "w")
    held: dict[tuple[str, str], int] = {}
    for count, now in steps:
        for _ in range(count):
            serve(metrics)
        due = minutes.due(now)
        if due is not None:
            held[due[0], due[1]] = told(due)["service"][0]
            minutes.told()
    assert sum(held.values()) == sum(count for count, _ in steps)
