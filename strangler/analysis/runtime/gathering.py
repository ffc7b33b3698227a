"""Crossings that were seen, added up in memory until somebody stores them. Bounded: what found no room is counted as lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from strangler.analysis.runtime import crossings
from strangler.analysis.runtime.crossings import Crossing, named
from strangler.analysis.runtime.sites import NOWHERE
from strangler.analysis.usage import homes
from strangler.analysis.usage.tally import HIT, Seen, Source, Together
from strangler.domain.coupling.atlas import Atlas

MOST = 5_000  # crossings
MOST_TEXTS = 8  # templates of one edge; further ones are counted together
MOST_BY = 5

Counts = Mapping[tuple[Source, Seen | Together], int]


@dataclass
class Weight:
    count: int = 0
    line: int = 0
    by: set[str] = field(default_factory=set)

    def add(self, count: int, line: int, by: tuple[str, ...]) -> None:
        self.count += count
        self.line = self.line or line
        for one in by:
            if one and len(self.by) < MOST_BY:
                self.by.add(one)


class Gathering:
    """``looked_at`` counts ``statements`` and ``transactions``. Of the statements ``by tests``: of code that only tests run;
    ``unsampled``: of units that were not traced; ``without code``: nobody could be named for them; ``unread``: the parser
    does not know them; ``lost``: there was no room for them.
    """

    def __init__(self, atlas: Callable[[], Atlas]) -> None:
        self._atlas = atlas
        self.also_by = ""  # the test that runs now
        self.crossings: dict[Crossing, Weight] = {}
        self.looked_at: Counter[str] = Counter()
        self._texts: dict[tuple[str, ...], set[str]] = {}

    def add(self, seen: Counts, lost: int) -> None:
        if lost:
            self.looked_at["lost"] += lost
        atlas = self._atlas()
        for (source, one), count in seen.items():
            if one is HIT or source.home == homes.OURS:
                continue
            if isinstance(one, Together):
                self.looked_at["transactions"] += count
                for each, line in dict(crossings.of_transaction(atlas, source, one)).items():
                    self._put(each, count, line, source)
            elif self._is_looked_at(atlas, source, one, count):
                for each in crossings.of_statement(atlas, source, one):
                    self._put(each, count, (one.place or NOWHERE).line, source)

    def _is_looked_at(self, atlas: Atlas, source: Source, seen: Seen, count: int) -> bool:
        if seen.place is None:
            self.looked_at["unsampled"] += count
            return False
        self.looked_at["statements"] += count
        if seen.place.site.is_test:
            self.looked_at["by tests"] += count
            return False
        if crossings.understood(seen.vendor, seen.sql)[0].unclear:
            self.looked_at["unread"] += count
        elif crossings.is_nobodys(atlas, source, seen):
            self.looked_at["without code"] += count
        return True

    def _put(self, crossing: Crossing, count: int, line: int, source: Source) -> None:
        edge = crossing[:5]
        texts = self._texts.setdefault(edge, set())
        if crossing.text not in texts:
            if len(texts) < MOST_TEXTS:
                texts.add(crossing.text)
            else:
                crossing = crossing._replace(file="", text="")
        weight = self.crossings.get(crossing)
        if weight is None:
            if len(self.crossings) >= MOST:
                self.looked_at["lost"] += count
                return
            weight = self.crossings[crossing] = Weight()
        weight.add(count, line, (named(source), self.also_by))

    def clear(self) -> None:
        self.crossings.clear()
        self.looked_at.clear()
        if len(self._texts) > MOST:
            self._texts.clear()

    def sorted(self) -> Iterator[tuple[Crossing, Weight]]:
        yield from sorted(self.crossings.items(), key=lambda item: item[0])
