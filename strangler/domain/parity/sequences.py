"""Two sequences side by side: what both have, whether it moved, what is left over. Linear in time, so no sequence is too long.

Order is judged by what occurs exactly once on each side (the anchors of Bram Cohen's patience diff): of things that repeat nobody
can say which of them moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Alignment:
    """``moved``: what both have comes in another order. ``old``, ``new``: the places without a counterpart, in order."""

    moved: bool
    old: list[int]
    new: list[int]


def common_ends(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """How many items are equal at the start, and at the end of what is then left."""
    most = min(len(old), len(new))
    start = 0
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return start, end


def align(old: Sequence[Hashable], new: Sequence[Hashable]) -> Alignment:
    """Equal items are counterparts, the first of them to the first."""
    olds, news = Counter(old), Counter(new)
    left_old, left_new = _beyond(old, news), _beyond(new, olds)
    if not left_old and not left_new:
        return Alignment(old != new, [], [])
    anchors = {item for item, count in olds.items() if count == 1 and news.get(item) == 1}
    moved = [item for item in old if item in anchors] != [item for item in new if item in anchors]
    return Alignment(moved, left_old, left_new)


def _beyond(items: Sequence[Hashable], others: Counter[Hashable]) -> list[int]:
    """The places of items that ``others`` doesn't have, or not as often."""
    left: Counter[Hashable] = Counter(others)
    places = []
    for place, item in enumerate(items):
        if left[item] > 0:
            left[item] -= 1
        else:
            places.append(place)
    return places
