"""How sure a share or a quantile is: intervals around what was counted, so that a few unlucky requests prove nothing.

Shares by Wilson's interval (https://doi.org/10.2307/2276774), differences of two by Newcombe's hybrid of it (method 10,
https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I), quantiles by the ranks that bound them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

Z = 2.326  # 99 % on one side


class Interval(NamedTuple):
    low: float
    high: float


def share(count: float, of: float, z: float = Z) -> Interval:
    """Bounds of the true share behind ``count`` of ``of``, good for few and for shares near 0 and 1; (0, 1) of nothing."""
    if not of:
        return Interval(0.0, 1.0)
    found, spread = count / of, z * z / of
    middle = (found + spread / 2) / (1 + spread)
    reach = sqrt(spread * (found * (1 - found) + spread / 4)) / (1 + spread)
    return Interval(max(0.0, middle - reach) if count else 0.0, min(1.0, middle + reach) if count < of else 1.0)


def excess(count: int, of: int, base: int, base_of: int, z: float = Z) -> Interval:
    """Bounds of how much greater the first share is than the second. Without a base, of the first alone."""
    own = share(count, of, z)
    if not base_of or not of:
        return own
    base_low, base_high = share(base, base_of, z)
    found, known = count / of, base / base_of
    return Interval(
        found - known - sqrt((found - own.low) ** 2 + (base_high - known) ** 2),
        found - known + sqrt((own.high - found) ** 2 + (known - base_low) ** 2),
    )


def quantile(counts: Sequence[int], bounds: Sequence[float], q: float) -> float:
    """Of a histogram: ``counts[i]`` values up to ``bounds[i]``, the last count above all bounds. Linear within a class."""
    return _at(counts, bounds, q * sum(counts))


def quantile_bounds(counts: Sequence[int], bounds: Sequence[float], q: float, z: float = Z) -> Interval:
    total = sum(counts)
    reach = z * sqrt(total * q * (1 - q))
    return Interval(_at(counts, bounds, q * total - reach), _at(counts, bounds, q * total + reach))


def _at(counts: Sequence[int], bounds: Sequence[float], rank: float) -> float:
    below, seen = 0.0, 0
    for count, bound in zip(counts, bounds, strict=False):
        if count and rank <= seen + count:
            return below + (bound - below) * max(0.0, rank - seen) / count
        below, seen = bound, seen + count
    return below
