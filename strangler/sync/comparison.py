"""The two ends of a stream beside each other: slices by their digests, what differs cut down to keys, keys judged by P29.

A table is walked in slices of equally many rows of this side, each from its first key to the next one's, the ends open. Both
sides digest a slice at the same time, this one here and the other behind an HTTP request, a few slices at once; no snapshot is
open for longer than one slice takes. The service is asked with both bounds inclusive, as its contract has it, so this side
counts the key on the border twice too.

Slices that differ are looked at when the walk is over: the service names runs of keys, this side digests the same
stretches, 32 at a time, until few keys are left. The stretches are half-open from one run's first key to the next one's, so keys
that only one side has fall into one of them. Only then a key is judged: the source is read before and after the destination, and
counts as steady if it was the same both times and had no pointer both times. A steady key that differs is drift; any other is in
flight.

For a reverse stream the source is the service, whose pointers this side can't see. Instead the key must still differ after the
puller has applied everything that the service had committed when the difference was seen (a marker says so).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from django.db import connections

from strangler.domain.digest import RangeDigest
from strangler.sync import digest
from strangler.sync.collections import Collection
from strangler.sync.database import rows, snapshot
from strangler.sync.digest import Range
from strangler.sync.walk import Walk, abreast

FACTOR = 32
AT_ONCE = max(1, min(4, (os.cpu_count() or 1)))  # slices
SMALL = 1000  # runs up to this long are compared key by key
MANY = 10_000  # keys that are compared at once
ENOUGH = 100_000  # differences that are listed
KEYS_A_CALL = 200
LOOKS = 3  # at keys in flight, each after the stream has come to where it was the time before
PAUSE_S = 0.02


class Remote(Protocol):
    """The service, as ``ServiceClient`` knows it."""

    def digest(
        self, collection: str, from_: str | None = None, to: str | None = None, buckets: int = 32, since: int | None = None
    ) -> list[dict[str, Any]]: ...
    def digest_keys(self, collection: str, keys: Sequence[str]) -> list[dict[str, Any]]: ...
    def rows(self, collection: str, keys: Sequence[str]) -> dict[str, dict[str, str | None]] | None: ...
    def note(self, collection: str, keys: Sequence[str]) -> int: ...
    def ownership(self) -> dict[str, Any]: ...


@dataclass
class DriftReport:
    """``differing``: (collection, key, kind); kind is what the destination has: ``missing``, ``extra`` or ``different``.

    ``is_cut``: there is more than is listed.
    """

    stream: str
    rows_checked: int = 0
    differing: list[tuple[str, str, str]] = field(default_factory=list)
    in_flight: int = 0
    seconds: float = 0.0
    is_cut: bool = False


@dataclass
class Seen:
    """Digests by key; None: the key is not there."""

    digests: dict[str, int]
    pending: set[str] = field(default_factory=set)


@dataclass
class Comparison:
    """One check of one stream. ``told`` hears of rows as they are compared."""

    stream: str
    is_reverse: bool
    client: Remote
    using: str | None
    report: DriftReport
    carries: bool = True  # reverse: may pull what is on its way itself
    told: Callable[[Collection], None] = lambda collection: None
    suspects: list[tuple[Collection, str, int | None]] = field(default_factory=list)  # reverse: key, the source's digest
    flying: list[tuple[Collection, str]] = field(default_factory=list)

    # ---- slices --------------------------------------------------------------------------------------------------------

    def full(self, collection: Collection) -> None:
        """Every row of the collection."""
        walk = Walk(collection, self.using)
        unequal: deque[Range] = deque()
        with ThreadPoolExecutor(AT_ONCE) as pool:

            def work() -> None:
                for part in walk:
                    count, is_equal = self._is_equal(pool, collection, part)
                    self._counted(collection, count - (part.high is not None and count > 0))
                    if not is_equal:
                        unequal.append(Range(part.low, part.high, is_closed=part.high is None))
                while unequal:
                    try:
                        part = unequal.popleft()
                    except IndexError:
                        return  # another thread was quicker
                    self.unequal(collection, part)

            abreast(work, walk.slices(AT_ONCE), walk.end)

    def window(self, collection: Collection, low: str | None, count: int) -> tuple[str | None, int]:
        """One slice of ``count`` rows from ``low`` on: where the next one begins (None: that was the last), rows compared."""
        with snapshot(self.using) as cursor:
            high = digest.key_after(cursor, collection, Range(low), count)
        before = self.report.rows_checked
        part = Range(low, high)
        with ThreadPoolExecutor(1) as pool:
            seen, is_equal = self._is_equal(pool, collection, part)
        self._counted(collection, seen - (high is not None and seen > 0))
        if not is_equal:
            self.unequal(collection, Range(low, high, is_closed=high is None))
        return high, self.report.rows_checked - before

    def _is_equal(self, pool: ThreadPoolExecutor, collection: Collection, part: Range) -> tuple[int, bool]:
        """Rows of the slice, and whether both sides' digests agree. The other side works at the same time as this one."""

        def ask() -> RangeDigest:
            try:
                buckets = self.client.digest(collection.name, part.low, part.high, 1)
                return sum((RangeDigest(b["count"], int(b["digest"])) for b in buckets), RangeDigest())
            finally:
                connections.close_all()

        asked = pool.submit(ask)
        with snapshot(self.using) as cursor:
            here = digest.total(cursor, collection, part)
        there = asked.result()
        return max(here.count, there.count), here == there

    def _counted(self, collection: Collection, count: int) -> None:
        with _counting:
            self.report.rows_checked += count
        self.told(collection)

    # ---- cutting -------------------------------------------------------------------------------------------------------

    def unequal(self, collection: Collection, within: Range) -> None:
        """A stretch that differs, cut into the service's runs."""
        if self._is_enough():
            return
        buckets = self.client.digest(collection.name, within.low, within.high, FACTOR)
        if sum(bucket["count"] for bucket in buckets) <= SMALL:
            return self._keys(collection, within)
        lows = [within.low, *(bucket["from"] for bucket in buckets[1:])]
        stretches = [Range(low, high, is_closed=False) for low, high in pairwise(lows)]
        stretches.append(Range(lows[-1], within.high, within.is_closed))
        with snapshot(self.using) as cursor:
            here = digest.totals(cursor, collection, stretches)
        for stretch, bucket, known in zip(stretches, buckets, here, strict=True):
            if known != RangeDigest(bucket["count"], int(bucket["digest"])):
                (self.unequal if bucket["count"] > SMALL else self._keys)(collection, stretch)

    def _keys(self, collection: Collection, within: Range) -> None:
        """Key by key; in parts where this side has more than fit, so that neither side's list ends before the other's."""
        while not self._is_enough():
            with snapshot(self.using) as cursor:
                middle = digest.key_after(cursor, collection, within, MANY // 2)
            if middle is None:
                return self._listed(collection, within)
            self._listed(collection, Range(within.low, middle, is_closed=False))
            within = Range(middle, within.high, within.is_closed)

    def _listed(self, collection: Collection, within: Range) -> None:
        def here() -> Seen:
            with snapshot(self.using) as cursor:
                return Seen(dict(digest.keys(cursor, collection, within, MANY)), self._pending(cursor, collection))

        def there() -> Seen:
            listed = self.client.digest(collection.name, within.low, within.high, MANY)
            found = {item["from"]: int(item["digest"]) for item in listed if item["count"] == 1}
            if within.high is not None and not within.is_closed:
                found.pop(within.high, None)
            return Seen(found)

        self._judge(collection, *self._three(here, there))

    def _is_enough(self) -> bool:
        self.report.is_cut |= len(self.report.differing) >= ENOUGH
        return self.report.is_cut

    # ---- keys ----------------------------------------------------------------------------------------------------------

    def changed(self, collection: Collection, since: int) -> None:
        """The keys that the destination applied after the marker, tombstones included."""
        if self.is_reverse:
            found = rows(
                "SELECT key FROM strangler_applied WHERE collection = %s AND round > %s ORDER BY key",
                [collection.name, since],
                self.using,
            )
            keys = [key for (key,) in found]
            listed = [item for part in parts(keys) for item in self.client.digest_keys(collection.name, part)]
        else:
            listed = self.client.digest(collection.name, since=since)
            keys = [item["from"] for item in listed]
        self.report.rows_checked += len(keys)
        there = {item["from"]: int(item["digest"]) for item in listed if item["count"]}
        for part in parts(keys):
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
                self.flying.append((collection, key))
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

    # ---- what was in flight --------------------------------------------------------------------------------------------

    def settle(self, patience_s: float) -> None:
        """Keys in flight again, once the stream has come to where it was; those of a busy table get a verdict so.

        What is still in flight after a few looks, or when the patience is over, is counted as such.
        """
        deadline = time.monotonic() + patience_s
        self._suspected()
        for _ in range(LOOKS):
            if not self.flying or time.monotonic() >= deadline or not self._has_passed(deadline):
                break
            again, self.flying = self.flying, []
            for collection, keys in _by_collection(again):
                for part in parts(keys):
                    self._compare(collection, part)
            self._suspected()
        self.report.in_flight += len(self.flying)

    def _has_passed(self, deadline: float) -> bool:
        """Waits for the stream's holder to publish a marker of now or later."""
        from strangler.sync import marker, reverse

        drawn = int(self.client.ownership()["marker"]) if self.is_reverse else marker.draw(self.using)
        while reverse.published(self.stream, self.using) < drawn:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_S)
        return True

    def _suspected(self) -> None:
        """Reverse: the suspects again, after the puller has applied all that was committed when they were seen."""
        if not self.suspects:
            return
        from strangler.sync import reverse

        suspects, self.suspects = self.suspects, []
        seen_at = int(self.client.ownership()["marker"])
        deadline = time.monotonic() + (3.0 if self.carries else 1.0)
        while reverse.published(self.stream, self.using) < seen_at and time.monotonic() < deadline:
            if not self.carries or not reverse.run(self.stream, self.using, self.client):  # type: ignore[arg-type]
                time.sleep(PAUSE_S)  # another holder is at it
        is_settled = reverse.published(self.stream, self.using) >= seen_at
        wanted = {(collection.name, key): source for collection, key, source in suspects}
        for collection, keys in _by_collection([(collection, key) for collection, key, _ in suspects]):
            for part in parts(keys):
                self._confirm(collection, part, wanted, is_settled)

    def _confirm(self, collection: Collection, keys: Sequence[str], wanted: dict[Any, int | None], is_settled: bool) -> None:
        with snapshot(self.using) as cursor:
            here = digest.of_keys(cursor, collection, keys)
        there = {item["from"]: int(item["digest"]) for item in self.client.digest_keys(collection.name, keys) if item["count"]}
        for key in keys:
            if there.get(key) == here.get(key):
                continue
            if is_settled and there.get(key) == wanted[collection.name, key]:
                self._differs(collection, key, there.get(key), here.get(key))
            else:
                self.flying.append((collection, key))


class _Everything(set[str]):
    def __contains__(self, _: object) -> bool:
        return True


_counting = threading.Lock()


def _by_collection(found: Sequence[tuple[Collection, str]]) -> Iterator[tuple[Collection, list[str]]]:
    for collection in {collection.name: collection for collection, _ in found}.values():
        yield collection, [key for other, key in found if other.name == collection.name]


def parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), KEYS_A_CALL):
        yield keys[start : start + KEYS_A_CALL]
