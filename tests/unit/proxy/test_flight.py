"""When it is sure that nothing was in flight."""

from __future__ import annotations

import pytest

from strangler.domain.decision import ContextState, Streams
from strangler_proxy.flight import Flight, awaited, settled

PAYMENTS = ContextState("payments", streams=Streams("payments", "payments-copies", "payments-reverse"))
ALONE = ContextState("payments", streams=Streams("payments"))
BEFORE = {"payments": 5, "payments-copies": 6, "orders": 7, "payments-reverse": 99}
SAME = {"payments": 5, "payments-copies": 6}


@pytest.mark.parametrize(
    ("context", "waiting", "markers", "is_settled"),
    [
        (PAYMENTS, False, SAME, True),
        (PAYMENTS, True, SAME, False),
        (PAYMENTS, False, {**SAME, "payments": 8}, False),  # something arrived meanwhile, and who knows when
        (PAYMENTS, False, {**SAME, "payments-copies": 8}, False),
        (PAYMENTS, False, {"payments": 5}, False),
        (ALONE, False, {"payments": 5}, True),
        (ALONE, False, {}, False),
        (ContextState("payments"), False, {}, False),  # without a stream nothing is known
    ],
)
def test_settled(context: ContextState, waiting: bool, markers: dict[str, int], is_settled: bool) -> None:
    assert settled(context, Flight(9, waiting, markers), BEFORE) is is_settled
    assert not settled(context, Flight(9, waiting, markers), {})  # a marker that was never published


def test_every_stream_to_the_service_is_waited_for() -> None:
    assert awaited(PAYMENTS, Flight(9, True, {})) == (("payments", 9), ("payments-copies", 9))
