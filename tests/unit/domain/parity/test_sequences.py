"""Two sequences are aligned."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.parity.sequences import align, common_ends

ITEMS = st.lists(st.integers(0, 5), max_size=12)


@given(ITEMS, ITEMS)
def test_what_is_left_is_what_only_one_side_has(old, new):
    found = align(old, new)
    assert Counter(old[place] for place in found.old) == Counter(old) - Counter(new)
    assert Counter(new[place] for place in found.new) == Counter(new) - Counter(old)


@given(ITEMS)
def test_nothing_moved_where_items_were_only_added_or_taken_away(items):
    assert not align(items, [9, *items]).moved
    assert not align(items, items[1:]).moved
    assert align(items, items[::-1]).moved == (items != items[::-1])


@given(ITEMS, ITEMS)
def test_the_ends_never_overlap(old, new):
    start, end = common_ends(old, new)
    assert start + end <= min(len(old), len(new))
    assert old[:start] == new[:start]
    assert old[len(old) - end :] == new[len(new) - end :]
