from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy import nested

SECRET = b"a-secret-of-the-estate"
NOW = 1_700_000_000.0


@given(st.binary(min_size=1, max_size=80).filter(lambda name: b"\r" not in name))
def test_a_signed_pass_names_its_contexts(request_id: bytes) -> None:
    value = nested.issue(SECRET, request_id, ("orders", "payments"), NOW)
    assert nested.contexts(SECRET, value, NOW + 1) == {"orders", "payments"}


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_changed_byte_makes_it_worthless(place: int, change: int) -> None:
    value = bytearray(nested.issue(SECRET, b"id-1", ("payments",), NOW))
    value[place % len(value)] ^= change
    assert nested.contexts(SECRET, bytes(value), NOW) == frozenset()


@given(st.binary())
def test_rubbish_passes_nothing(value: bytes) -> None:
    assert nested.contexts(SECRET, value, NOW) == frozenset()


def test_another_secret_none_or_too_much_time_passes_nothing() -> None:
    value = nested.issue(SECRET, b"id", ("payments",), NOW)
    assert nested.contexts(b"other", value, NOW) == frozenset()
    assert nested.contexts(b"", nested.issue(b"", b"id", ("payments",), NOW), NOW) == frozenset()
    assert nested.contexts(SECRET, value, NOW + nested.GOOD_FOR + 1) == frozenset()
    assert nested.contexts(SECRET, value, NOW - 10) == frozenset()
