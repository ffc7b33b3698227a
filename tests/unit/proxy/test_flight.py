"""When it is sure that nothing was in flight."""

from __future__ import annotations

import pytest

from strangler.domain.table import compile
from strangler_proxy.flight import Flight, awaited, settled

NAMES = ("payments", "orders")
STREAMS = {name: {"mirror": name, "copies": f"{name}-copies", "reverse": f"{name}-reverse"} for name in NAMES}
CONTEXTS = {
    name: {"stage": "shadow", "targets": {"monolith": ["http://m"], "service": ["http://s"]}, "streams": STREAMS[name]}
    for name in NAMES
}
TABLE = compile({"generation": 1, "version": 1, "default": {"targets": ["http://m"]}, "contexts": CONTEXTS})
PAYMENTS = TABLE.contexts["payments"]
BEFORE = {"payments": 5, "payments-copies": 6, "orders": 7, "payments-reverse": 99}


@pytest.mark.parametrize(
    ("flight", "now", "is_settled"),
    [
        (Flight(7, False), {}, True),
        (Flight(7, True), {}, False),  # a pointer waits
        (Flight(8, False), {}, False),  # a round is under way, or ended unheard
        (Flight(8, False), {"payments": 8}, False),  # one ended meanwhile: who knows what it carried, and when
        (Flight(8, False), {"payments-copies": 8}, False),
        (Flight(8, False), {"orders": 8}, True),  # that was another context's
    ],
)
def test_settled(flight: Flight, now: dict[str, int], is_settled: bool) -> None:
    assert settled(TABLE, PAYMENTS, flight, BEFORE, {**BEFORE, **now}) is is_settled


def test_a_marker_of_a_service_says_nothing_of_the_monoliths_sequence() -> None:
    assert not settled(TABLE, PAYMENTS, Flight(50, False), BEFORE, BEFORE)


def test_every_stream_to_the_service_is_waited_for() -> None:
    assert awaited(PAYMENTS, Flight(9, True)) == (("payments", 9), ("payments-copies", 9))
