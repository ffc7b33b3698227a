from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.freshness import from_cookie, from_header, merge, to_cookie, unmet

NAME = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)
POSITIONS = st.dictionaries(NAME, st.tuples(st.integers(0, 10**6), st.integers(0, 10**15)), max_size=5)


@given(POSITIONS)
def test_a_cookie_brings_back_what_was_written(positions: dict[str, tuple[int, int]]) -> None:
    assert from_cookie(to_cookie(positions)) == positions


@given(POSITIONS, POSITIONS)
def test_merging_keeps_the_later_place_and_order_does_not_matter(
    first: dict[str, tuple[int, int]], second: dict[str, tuple[int, int]]
) -> None:
    merged = merge(first, second)
    assert merged == merge(second, first)
    assert all(merged[name] == max(first.get(name, (-1, -1)), second.get(name, (-1, -1))) for name in merged)
    assert merged.keys() == first.keys() | second.keys()


@given(st.text())
def test_whatever_comes_from_outside_is_read_without_an_error(text: str) -> None:
    for place in (*from_cookie(text).values(), *from_header(text).values()):
        assert place >= (0, 0)


def test_the_header_of_an_application() -> None:
    assert from_header("monolith:0:123, payments:7:88,payments:7:90,rubbish,x:1") == {"monolith": (0, 123), "payments": (7, 90)}


@pytest.mark.parametrize(("marker", "fresh"), [(None, False), (99, False), (100, False), (101, True)])
def test_p23_a_destination_is_fresh_iff_its_marker_is_past(marker: int | None, fresh: bool) -> None:
    markers = {} if marker is None else {"payments": marker}
    assert (unmet((("payments", 100),), markers) == ()) is fresh
