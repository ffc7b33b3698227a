"""What a worker served, minute by minute, for the gates of the control plane: counts and times of reads, by context and side.

A worker writes nothing but its own field of a minute's hash, and always the whole of it, so a report that is sent twice counts
once. A clock that jumps back opens a field of its own: what was counted before it stays. Cost: one look at each pair of context
and side a second, nothing on the way of a request, and not a byte where no read of a context was answered. What was counted in a
minute in which Redis was away to its end is not told later: of every side alike, so that a share stays true.
"""

from __future__ import annotations

import json
from collections import defaultdict

from strangler.domain.channels import SERVED
from strangler.domain.decision import Access
from strangler.domain.stages import Side
from strangler_proxy.metrics import BOUNDS, Metrics

FAILED_FALLBACKS = ("busy", "unreachable", "ejected", "lost")  # not `stale`: then the service said who owns, and is well
_FIELDS = 2 + len(BOUNDS) + 1  # requests, failed, and how many took how long
Key = tuple[str, str]  # context, side


class Minutes:
    """``due`` gives what is to be written: the minute's key, the field, its JSON. None where nothing is new since ``told``."""

    def __init__(self, metrics: Metrics, identity: str) -> None:
        self._metrics, self._identity = metrics, identity
        self._minute = -1
        self._turns = 0
        self._untold = False
        self._before: dict[Key, list[int]] = {}
        self._counted: dict[Key, list[int]] = {}

    def due(self, now: float) -> tuple[str, str, str] | None:
        minute = int(now // 60)
        if minute != self._minute:
            self._turns += minute < self._minute
            self._minute, self._counted, self._untold = minute, {}, False
        self._untold |= self._count()
        if not self._untold:
            return None
        said: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
        for (context, side), counts in self._counted.items():
            said[context][side] = counts
        return f"{SERVED}{minute}", f"{self._identity}#{self._turns}", json.dumps({"bounds": BOUNDS, "contexts": said})

    def told(self) -> None:
        self._untold = False

    def _count(self) -> bool:
        """Adds what was served since the last time to this minute. Whether there was anything."""
        total = self._total()
        fresh = {key: counts for key, counts in total.items() if counts != self._before.get(key)}
        for key, counts in fresh.items():
            before = self._before.get(key) or [0] * _FIELDS
            counted = self._counted.setdefault(key, [0] * _FIELDS)
            for place in range(_FIELDS):
                counted[place] += counts[place] - before[place]
        self._before = total
        return bool(fresh)

    def _total(self) -> dict[Key, list[int]]:
        found: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * _FIELDS)
        for (context, side, _, access), served in self._metrics.every_served():
            if context == "-" or access != Access.READ.value:
                continue
            counts = found[context, side]
            counts[0] += sum(served.by_bound)
            counts[1] += served.by_class[5] + served.by_class[0]
            for place, count in enumerate(served.by_bound):
                counts[2 + place] += count
        for (context, cause), count in self._metrics.fallbacks.values.items():
            if cause in FAILED_FALLBACKS:  # the user was answered by the monolith; the service failed all the same
                counts = found[context, Side.SERVICE.value]
                counts[0] += count
                counts[1] += count
        return dict(found)
