"""How fast the streams were in the last minute, from the rounds that were acknowledged in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strangler.sync.database import rows
from strangler.sync.databases.port import Statement

ROUNDS = Statement("SELECT stream, lag_ms, changes FROM strangler_round WHERE at > {later:-60}")


@dataclass(frozen=True)
class Pace:
    """Lag in milliseconds, None where no round had any; changes a second."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    rate: float = 0.0


def of_streams(using: str | None = None) -> dict[str, Pace]:
    """Stream → pace, of those that had a round. A few hundred rows at the most: rounds are spaced."""
    lags: dict[str, list[float]] = {}
    changes: dict[str, int] = {}
    for stream, lag_ms, count in rows(ROUNDS, [], using):
        changes[stream] = changes.get(stream, 0) + count
        lags.setdefault(stream, []).extend([] if lag_ms is None else [lag_ms])
    return {name: Pace(percentile(listed, 0.5), percentile(listed, 0.99), changes[name] / 60.0) for name, listed in lags.items()}


def percentile(values: Sequence[float], share: float) -> float | None:
    """Between the two values next to it, as PostgreSQL's ``percentile_cont``; None of nothing."""
    if not values:
        return None
    ordered, place = sorted(values), (len(values) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
