from hypothesis import given
from hypothesis import strategies as st

from strangler.seams import exchange


def test_outside_a_request_nothing_is_passed_on_and_nothing_collected() -> None:
    exchange.note_positions("payments:7:88")
    assert exchange.outbound_headers() == {}


def test_a_nested_call_takes_the_trace_along() -> None:
    with exchange.begin({"X-Request-ID": "r1", "traceparent": "00-1", "Cookie": "secret"}):
        assert exchange.outbound_headers() == {"X-Request-ID": "r1", "traceparent": "00-1"}
    assert exchange.outbound_headers() == {}


def test_p23_nested_positions_are_merged_to_the_highest() -> None:
    with exchange.begin({}) as current:
        exchange.note_positions("payments:7:88, orders:1:5")
        exchange.note_positions("payments:7:80")
        exchange.note_positions("payments:8:3")
        exchange.note_positions("payments:7:99")
        current.note("monolith", 0, 12)
    assert current.header() == "payments:8:3,orders:1:5,monolith:0:12"


@given(st.text(max_size=60))
def test_rubbish_is_no_position(text: str) -> None:
    with exchange.begin({}) as current:
        exchange.note_positions(text)
        assert all(isinstance(marker, int) for _, marker in current.positions.values())
