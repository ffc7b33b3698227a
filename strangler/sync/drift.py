"""Drift: keys whose rows differ between the sides and are not on their way (P29). How they are found: ``comparison``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from strangler.errors import StranglerError
from strangler.sync import collections, outbox, walk
from strangler.sync.collections import Collection
from strangler.sync.comparison import Comparison, DriftReport, Remote, parts
from strangler.sync.database import rows
from strangler.sync.databases.port import Statement

VERIFIED = Statement("""
UPDATE strangler_stream SET verified_drift = %(differing)s,
verified_at = CASE WHEN %(equal)s AND {integer:%(since)s} IS NULL THEN {now} ELSE verified_at END,
verified_marker = CASE WHEN %(equal)s AND coalesce({integer:%(since)s}, verified_marker) <= verified_marker
THEN {greatest:verified_marker; %(marker)s} ELSE verified_marker END WHERE name = %(stream)s
""")


@dataclass(frozen=True)
class Progress:
    """``total``: rows of the stream's tables as the planner knows them. ``seconds``: since the check began."""

    collection: str
    rows: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def eta_s(self) -> float | None:
        return max(0, self.total - self.rows) / self.rate if self.rows and self.total else None


def check(
    stream: str,
    collections: Iterable[str] | None = None,
    since_marker: int | None = None,
    *,
    using: str | None = None,
    client: Remote | None = None,
    remember: bool = True,
    carries: bool = True,
    patience_s: float = 0.0,
    told: Callable[[Progress], None] | None = None,
) -> DriftReport:
    """Compare the stream's two ends: all rows, or with ``since_marker`` the keys applied after that marker, tombstones included.

    A check of all collections is remembered on the stream (``verified_*``). ``patience_s``: how long keys in flight are waited
    for, to be looked at again. ``told`` hears of every slice. Without ``remember`` and ``carries`` nothing is written anywhere.
    Raises ``ServiceUnavailable``.
    """
    comparison, known, at_start = begin(stream, using, client)
    comparison.carries = carries
    started = time.monotonic()
    names = None if collections is None else set(collections)
    chosen = [collection for name, collection in known.items() if names is None or name in names]
    if told and since_marker is None:
        total = sum(walk.estimate(collection, using) for collection in chosen)

        def tell(collection: Collection) -> None:
            told(Progress(collection.name, comparison.report.rows_checked, total, time.monotonic() - started))

        comparison.told = tell
    for collection in chosen:
        if since_marker is None:
            comparison.full(collection)
        else:
            comparison.changed(collection, since_marker)
    comparison.settle(patience_s)
    report = comparison.report
    report.seconds = time.monotonic() - started
    if remember and names is None:
        _remember(report, at_start, since_marker, using)
    return report


def repair(report: DriftReport, *, using: str | None = None, client: Remote | None = None) -> int:
    """Note what differs in the source's outbox, so that it travels like any change. The number of keys."""
    comparison, _, _ = begin(report.stream, using, client)
    by_collection: dict[str, list[str]] = {}
    for collection, key, _ in report.differing:
        by_collection.setdefault(collection, []).append(key)
    for collection, keys in by_collection.items():
        if comparison.is_reverse:
            for part in parts(keys):
                comparison.client.note(collection, part)
        else:
            outbox.note(report.stream, collection, keys, using)
    return len(report.differing)


def begin(
    stream: str, using: str | None = None, client: Remote | None = None, timeout: tuple[float, float] | None = None
) -> tuple[Comparison, dict[str, Collection], int]:
    """A comparison of the stream with nothing compared yet, its collections, and the marker that it has reached.

    ``timeout``: as ``ServiceClient`` takes it, where none is given.
    """
    found = rows("SELECT context, kind, marker FROM strangler_stream WHERE name = %s", [stream], using)
    if not found:
        raise StranglerError(f"stream {stream} is not installed; run: strangler sync install")
    context, kind, marker = found[0]
    comparison = Comparison(stream, kind == "reverse", client or _service(context, timeout), using, DriftReport(stream))
    return comparison, collections.for_stream(stream, using), marker


def _service(context: str, timeout: tuple[float, float] | None) -> Remote:
    from strangler.sync.client import ServiceClient

    return ServiceClient(context, timeout=timeout) if timeout else ServiceClient(context)


def _remember(report: DriftReport, marker: int, since: int | None, using: str | None) -> None:
    """What was in flight is applied by a round with a greater marker than at the start, so the next partial check sees it.

    ``since``: of a partial check, which moves the mark on where it began no later than the last check ended.
    """
    rows(
        VERIFIED,
        {
            "differing": len(report.differing),
            "equal": not report.differing,
            "since": since,
            "marker": marker,
            "stream": report.stream,
        },
        using,
    )
