"""What the proxies served lately, by side, out of the minutes that they left in Redis (``strangler_proxy.minutes``).

Nothing counts that is older than the last way back: a service that was rolled back and mended begins anew.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from strangler.control.followers import reachable
from strangler.domain.channels import SERVED, SERVED_S
from strangler.domain.gates import ServedSeen
from strangler.domain.stages import Side

CHUNK = 60  # minutes that are asked for at once


@dataclass
class _Sum:
    requests: int = 0
    failed: int = 0
    times: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    first: int | None = None  # the earliest minute with a request

    def add(self, minute: int, bounds: tuple[float, ...], counts: list[int]) -> None:
        """Minutes of proxies with other bounds, in the midst of an update, are left out of the times alone."""
        requests, failed, *times = counts
        self.requests += requests
        self.failed += failed
        if requests:
            self.first = minute if self.first is None else min(self.first, minute)
        if not self.bounds:
            self.bounds, self.times = bounds, tuple(times)
        elif self.bounds == bounds:
            self.times = tuple(map(sum, zip(self.times, times, strict=True)))


class Served:
    """``both`` gives the service's reads and the monolith's, of one context."""

    def __init__(self, client: redis.Redis, context: str, *, since: float = 0.0, now: float | None = None) -> None:
        """``since``: seconds since 1970, before which nothing counts; whole minutes do."""
        self._client, self._context, self._now = client, context, time.time() if now is None else now
        self._oldest = max(math.ceil(since / 60), int((self._now - SERVED_S) // 60) + 1)

    def both(self, window_s: float, least: int) -> tuple[ServedSeen, ServedSeen]:
        """Of the same window; the monolith's earlier reads where it serves hardly any more. Raises ``RedisUnavailable``."""
        last, begin = self._span(window_s)
        sums: dict[str, _Sum] = {Side.SERVICE: _Sum(), Side.MONOLITH: _Sum()}
        self._add(sums, range(last, begin - 1, -1))
        service, monolith = (self._seen(sums[side], window_s) for side in (Side.SERVICE, Side.MONOLITH))
        if monolith.requests >= max(least, 1):
            return service, monolith
        for high in range(begin - 1, self._oldest - 1, -CHUNK):
            self._add({Side.MONOLITH: sums[Side.MONOLITH]}, range(high, max(self._oldest, high - CHUNK + 1) - 1, -1))
            if sums[Side.MONOLITH].requests >= max(least, 1):
                break
        earlier = sums[Side.MONOLITH].requests > monolith.requests
        return service, self._seen(sums[Side.MONOLITH], window_s, earlier=earlier)

    def _span(self, window_s: float) -> tuple[int, int]:
        """The last minute and the first of a window."""
        last = int(self._now // 60)
        return last, max(self._oldest, last - math.ceil(window_s / 60) + 1)

    def _seen(self, found: _Sum, window_s: float, *, earlier: bool = False) -> ServedSeen:
        lasted = max(60.0, self._now - 60 * found.first) if found.first is not None else 1.0
        rate = found.requests / lasted
        return ServedSeen(found.requests, found.failed, found.times, found.bounds, rate, window_s, earlier)

    def _add(self, sums: Mapping[str, _Sum], minutes: Iterable[int]) -> None:
        listed = list(minutes)
        for at in range(0, len(listed), CHUNK):
            some = listed[at : at + CHUNK]
            pipe = self._client.pipeline(transaction=False)
            for minute in some:
                pipe.hvals(f"{SERVED}{minute}")
            with reachable():
                answers = pipe.execute()
            for minute, texts in zip(some, answers, strict=True):
                for bounds, sides in self._of_context(texts):
                    for side, total in sums.items():
                        if side in sides:
                            total.add(minute, bounds, sides[side])

    def _of_context(self, texts: Iterable[bytes]) -> Iterator[tuple[tuple[float, ...], Mapping[str, list[int]]]]:
        """Reports that can't be read prove nothing."""
        for text in texts:
            try:
                said: dict[str, Any] = json.loads(text)
                bounds = tuple(map(float, said["bounds"]))
                sides = {side: list(map(int, counts)) for side, counts in said["contexts"].get(self._context, {}).items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if all(len(counts) == len(bounds) + 3 and min(counts) >= 0 for counts in sides.values()):
                yield bounds, sides
