"""Where the contexts stand on the picture: on an oval, those that know each other much side by side.

Only whole numbers decide on the order, so that the same ledger gives the same picture on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

WIDTH, HEIGHT = 1000, 780
ACROSS, DOWN = 330, 292  # half the oval's axes
SWEEPS = 12
Weights = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Place:
    """``x``, ``y``: the middle, in units of the picture. ``angle``: in radians, 0 at the right, clockwise."""

    x: float
    y: float
    angle: float


def places(names: Sequence[str], weights: Weights) -> dict[str, Place]:
    """``weights``: (context, context) → number of edges."""
    listed = order(names, weights)
    found = {}
    for index, name in enumerate(listed):
        angle = -math.pi / 2 + 2 * math.pi * index / len(listed)
        reach = 1 if len(listed) > 1 else 0
        x, y = WIDTH / 2 + reach * ACROSS * math.cos(angle), HEIGHT / 2 + reach * DOWN * math.sin(angle)
        found[name] = Place(round(x, 1), round(y, 1), angle)
    return found


def order(names: Sequence[str], weights: Weights) -> list[str]:
    """Swaps two at a time while that shortens what is drawn; it starts with the names as they are sorted."""
    listed = sorted(names)
    both = {name: dict.fromkeys(listed, 0) for name in listed}
    for (source, target), weight in weights.items():
        if source in both and target in both and source != target:
            both[source][target] += weight
            both[target][source] += weight
    size = len(listed)
    for _ in range(SWEEPS):
        better = False
        for left, right in combinations(range(size), 2):
            if _gain(listed, both, left, right) > 0:
                listed[left], listed[right] = listed[right], listed[left]
                better = True
        if not better:
            break
    first = listed.index(min(listed)) if listed else 0  # the first by name stands at the top
    return listed[first:] + listed[:first]


def _gain(listed: list[str], both: dict[str, dict[str, int]], left: int, right: int) -> int:
    """By how much a swap shortens all lines, in steps along the oval times edges."""
    size, gained = len(listed), 0
    one, other = both[listed[left]], both[listed[right]]
    for index, name in enumerate(listed):
        if index not in (left, right):
            gained += (one[name] - other[name]) * (_steps(left, index, size) - _steps(right, index, size))
    return gained


def _steps(left: int, right: int, size: int) -> int:
    between = abs(left - right)
    return min(between, size - between)
