"""What was seen and not yet read, counted in memory: (source, statement) → how often. What finds no room is lost, and counted."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

FULL_UNIT = 512  # statements that a unit keeps before they are counted
FULL = 2_000  # different ones: time to flush
MOST = 10_000
MOST_BYTES = 8_000_000


class Seen(NamedTuple):
    """A statement as the code gave it, and the contexts that were used through their seam when it ran.

    ``place``: the code that ran it, where the ledger looked (``runtime.sites.Place``).
    """

    vendor: str
    sql: str
    through: frozenset[str]
    place: Any = None


class Together(NamedTuple):
    """Writes that were committed by one transaction. ``site``: the code that all of them ran in (``runtime.sites.Site``)."""

    writes: frozenset[Seen]
    site: Any
    sql: str = ""  # has no size of its own: its statements are counted too


class Source(NamedTuple):
    """``kind``: request, task, command, test or unknown. ``home``: the context that its own code belongs to; may be empty.

    ``modules``: of that code, the likeliest first.
    """

    kind: str
    name: str
    home: str
    modules: tuple[str, ...] = ()


HIT = Seen("", "", frozenset())


class Tally:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[Source, Seen | Together], int] = {}
        self._bytes = 0
        self._lost = 0

    def add(self, source: Source, seen: Iterable[Seen | Together]) -> bool:
        """Whether it is time to flush."""
        with self._lock:
            counts = self._counts
            for one in seen:
                key = (source, one)
                if key in counts:
                    counts[key] += 1
                elif len(counts) >= MOST or self._bytes >= MOST_BYTES:
                    self._lost += 1
                else:
                    counts[key] = 1
                    self._bytes += len(one.sql)
            return len(counts) >= FULL

    def take(self) -> tuple[dict[tuple[Source, Seen | Together], int], int]:
        """(counts, lost) since the last time."""
        with self._lock:
            taken = self._counts, self._lost
            self._counts, self._bytes, self._lost = {}, 0, 0
            return taken
