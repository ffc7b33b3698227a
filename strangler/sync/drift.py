"""Drift: keys whose rows differ between the sides and are not on their way (P29).

The service answers digests of runs of consecutive keys; this side computes its own over the same stretches, and what differs is
cut again, 32 runs at a time, until single keys are left. Only then a key is judged, by P29: the source is read before and after
the destination, and counts as steady if it was the same both times and had no pointer both times. A steady key that differs is
drift; any other is in flight. The stretches are half-open from one run's first key to the next one's, so keys that only one
side has fall into one of them.

For a reverse stream the source is the service, whose pointers this side can't see. Instead the key must still differ after the
puller has applied everything that the service had committed when the difference was seen (a marker says so).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from strangler.errors import StranglerError
from strangler.sync import collections, digest, outbox
from strangler.sync.collections import Collection
from strangler.sync.database import rows, snapshot
from strangler.sync.digest import Range

FACTOR = 32
SMALL = 1000  # runs up to this long are compared key by key
MANY = 10_000  # keys of one run that are looked at, and differences that are listed; more is enough to know
KEYS_A_CALL = 200


class Remote(Protocol):
    """The service, as ``ServiceClient`` knows it."""

    def digest(
        self, collection: str, from_: str | None = None, to: str | None = None, buckets: int = 32, since: int | None = None
    ) -> list[dict[str, Any]]: ...
    def digest_keys(self, collection: str, keys: Sequence[str]) -> list[dict[str, Any]]: ...
    def note(self, collection: str, keys: Sequence[str]) -> int: ...
    def ownership(self) -> dict[str, Any]: ...


@dataclass
class DriftReport:
    """``differing``: (collection, key, kind); kind is what the destination has: ``missing``, ``extra`` or ``different``."""

    stream: str
    rows_checked: int = 0
    differing: list[tuple[str, str, str]] = field(default_factory=list)
    in_flight: int = 0
    seconds: float = 0.0


@dataclass
class Seen:
    """Digests by key; None: the key is not there."""

    digests: dict[str, int]
    pending: set[str] = field(default_factory=set)


def check(
    stream: str,
    collections: Iterable[str] | None = None,
    since_marker: int | None = None,
    *,
    using: str | None = None,
    client: Remote | None = None,
    remember: bool = True,
) -> DriftReport:
    """Compare the stream's two ends: all rows, or with ``since_marker`` the keys applied after that marker, tombstones included.

    A check of all collections is remembered on the stream (``verified_*``). Raises ``ServiceUnavailable``.
    """
    checker = _checker(stream, using, client)
    started, at_start = time.monotonic(), checker.row[2]
    names = None if collections is None else set(collections)
    for name, collection in checker.known.items():
        if names is None or name in names:
            if since_marker is None:
                checker.full(collection)
            else:
                checker.changed(collection, since_marker)
    checker.settle()
    report = checker.report
    report.seconds = time.monotonic() - started
    if remember and names is None:
        _remember(report, at_start, since_marker, using)
    return report


def repair(report: DriftReport, *, using: str | None = None, client: Remote | None = None) -> int:
    """Note what differs in the source's outbox, so that it travels like any change. The number of keys."""
    checker = _checker(report.stream, using, client)
    by_collection: dict[str, list[str]] = {}
    for collection, key, _ in report.differing:
        by_collection.setdefault(collection, []).append(key)
    for collection, keys in by_collection.items():
        if checker.is_reverse:
            for part in _parts(keys):
                checker.client.note(collection, part)
        else:
            outbox.note(report.stream, collection, keys, using)
    return len(report.differing)


@dataclass
class _Checker:
    stream: str
    row: tuple[str, str, int]  # context, kind, marker
    known: dict[str, Collection]
    client: Remote
    using: str | None
    report: DriftReport
    suspects: list[tuple[Collection, str, int | None]] = field(default_factory=list)  # reverse: key, the source's digest

    @property
    def is_reverse(self) -> bool:
        return self.row[1] == "reverse"

    def full(self, collection: Collection) -> None:
        self._cut(collection, Range(), self.client.digest(collection.name, buckets=FACTOR), is_top=True)

    def _cut(self, collection: Collection, within: Range, buckets: list[dict[str, Any]], is_top: bool = False) -> None:
        if not buckets:
            return self._keys(collection, within)
        for index, bucket in enumerate(buckets):
            low = within.low if index == 0 else bucket["from"]
            is_last = index == len(buckets) - 1
            part = (
                Range(low, within.high, within.is_closed) if is_last else Range(low, buckets[index + 1]["from"], is_closed=False)
            )
            with snapshot(self.using) as cursor:
                here = digest.total(cursor, collection, part)
            if is_top:
                self.report.rows_checked += max(here.count, bucket["count"])
            if (here.count, here.digest) == (bucket["count"], bucket["digest"]):
                continue
            if bucket["count"] <= SMALL or len(self.report.differing) >= MANY:
                self._keys(collection, part)
            else:
                self._cut(collection, part, self.client.digest(collection.name, bucket["from"], bucket["to"], FACTOR))

    def _keys(self, collection: Collection, within: Range) -> None:
        def here() -> Seen:
            with snapshot(self.using) as cursor:
                found = dict(digest.keys(cursor, collection, within, MANY))
                return Seen(found, self._pending(cursor, collection))

        def there() -> Seen:
            listed = self.client.digest(collection.name, within.low, within.high, MANY)
            found = {item["from"]: item["digest"] for item in listed if item["count"] == 1}
            if within.high is not None and not within.is_closed:
                found.pop(within.high, None)
            return Seen(found)

        self._judge(collection, *self._three(here, there))

    def changed(self, collection: Collection, since: int) -> None:
        if self.is_reverse:
            found = rows(
                "SELECT key FROM strangler_applied WHERE collection = %s AND round > %s ORDER BY key",
                [collection.name, since],
                self.using,
            )
            keys = [key for (key,) in found]
            listed = [item for part in _parts(keys) for item in self.client.digest_keys(collection.name, part)]
        else:
            listed = self.client.digest(collection.name, since=since)
            keys = [item["from"] for item in listed]
        self.report.rows_checked += len(keys)
        there = {item["from"]: int(item["digest"]) for item in listed if item["count"]}
        for part in _parts(keys):
            self._compare(collection, self._unlike(collection, part, there))

    def _unlike(self, collection: Collection, keys: Sequence[str], there: dict[str, int]) -> list[str]:
        """Those that are not the same at first glance; only of them it matters whether they hold still."""
        with snapshot(self.using) as cursor:
            here = digest.of_keys(cursor, collection, keys)
        return [key for key in keys if here.get(key) != there.get(key)]

    def _compare(self, collection: Collection, keys: Sequence[str]) -> None:
        if not keys:
            return

        def here() -> Seen:
            with snapshot(self.using) as cursor:
                return Seen(digest.of_keys(cursor, collection, keys), self._pending(cursor, collection))

        def there() -> Seen:
            listed = self.client.digest_keys(collection.name, keys)
            return Seen({item["from"]: int(item["digest"]) for item in listed if item["count"]})

        self._judge(collection, *self._three(here, there))

    def _three(self, here: Any, there: Any) -> tuple[Seen, Seen, Seen]:
        """The source before, the destination, the source after."""
        source, destination = (there, here) if self.is_reverse else (here, there)
        return source(), destination(), source()

    def _judge(self, collection: Collection, before: Seen, destination: Seen, after: Seen) -> None:
        for key in sorted({*before.digests, *destination.digests, *after.digests}):
            wanted, is_there = after.digests.get(key), destination.digests.get(key)
            if wanted == is_there:
                continue
            if before.digests.get(key) != wanted or key in before.pending or key in after.pending:
                self.report.in_flight += 1
            elif self.is_reverse:
                self.suspects.append((collection, key, wanted))
            else:
                self._differs(collection, key, wanted, is_there)

    def _differs(self, collection: Collection, key: str, wanted: int | None, is_there: int | None) -> None:
        kind = "extra" if wanted is None else "missing" if is_there is None else "different"
        self.report.differing.append((collection.name, key, kind))

    def _pending(self, cursor: Any, collection: Collection) -> set[str]:
        """Keys with a pointer, in the snapshot that shows the rows. A pending reset makes every key in sight pending."""
        if self.is_reverse:
            return set()
        cursor.execute(
            "SELECT DISTINCT key FROM strangler_outbox WHERE stream = %s AND collection = %s", [self.stream, collection.name]
        )
        found = {key for (key,) in cursor.fetchall()}
        return _Everything() if None in found else found

    def settle(self) -> None:
        """Reverse: the suspects again, after the puller has applied all that was committed when they were seen."""
        if not self.suspects:
            return
        from strangler.sync import reverse

        seen_at = int(self.client.ownership()["marker"])
        deadline = time.monotonic() + 3.0
        while reverse.published(self.stream, self.using) < seen_at and time.monotonic() < deadline:
            if not reverse.run(self.stream, self.using, self.client):  # type: ignore[arg-type]
                time.sleep(0.02)  # another holder is at it
        is_settled = reverse.published(self.stream, self.using) >= seen_at
        for collection in {suspect[0].name: suspect[0] for suspect in self.suspects}.values():
            wanted = {key: source for found, key, source in self.suspects if found.name == collection.name}
            for part in _parts(list(wanted)):
                with snapshot(self.using) as cursor:
                    here = digest.of_keys(cursor, collection, part)
                there = {
                    item["from"]: int(item["digest"]) for item in self.client.digest_keys(collection.name, part) if item["count"]
                }
                for key in part:
                    if there.get(key) == here.get(key):
                        continue
                    if is_settled and there.get(key) == wanted[key]:
                        self._differs(collection, key, wanted[key], here.get(key))
                    else:
                        self.report.in_flight += 1


class _Everything(set[str]):
    def __contains__(self, _: object) -> bool:
        return True


def _checker(stream: str, using: str | None, client: Remote | None) -> _Checker:
    found = rows("SELECT context, kind, marker FROM strangler_stream WHERE name = %s", [stream], using)
    if not found:
        raise StranglerError(f"stream {stream} is not installed; run: strangler sync install")
    context, kind, marker = found[0]
    if client is None:
        from strangler.sync.client import ServiceClient

        client = ServiceClient(context)
    known = collections.for_stream(stream, using)
    return _Checker(stream, (context, kind, marker), known, client, using, DriftReport(stream))


def _remember(report: DriftReport, marker: int, since: int | None, using: str | None) -> None:
    """What was in flight is applied by a round with a greater marker than at the start, so the next partial check sees it.

    ``since``: of a partial check, which moves the mark on where it began no later than the last check ended.
    """
    rows(
        "UPDATE strangler_stream SET verified_drift = %(differing)s, "
        "verified_at = CASE WHEN %(equal)s AND %(since)s::bigint IS NULL THEN clock_timestamp() ELSE verified_at END, "
        "verified_marker = CASE WHEN %(equal)s AND coalesce(%(since)s, verified_marker) <= verified_marker "
        "THEN greatest(verified_marker, %(marker)s) ELSE verified_marker END WHERE name = %(stream)s",
        {
            "differing": len(report.differing),
            "equal": not report.differing,
            "since": since,
            "marker": marker,
            "stream": report.stream,
        },
        using,
    )


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), KEYS_A_CALL):
        yield keys[start : start + KEYS_A_CALL]
