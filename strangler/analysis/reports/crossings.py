"""All that one context knows of another: what a line of the map stands for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from strangler.analysis.reports.families import Family, leading
from strangler.domain.coupling.atlas import PROJECT
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger

KINDS = tuple(Kind)


@dataclass(frozen=True)
class Crossing:
    source: str
    target: str
    edges: tuple[Edge, ...]

    @property
    def composition(self) -> bool:
        """URLconf, settings and their like put the contexts together: they know all of them, and should."""
        return self.source == PROJECT

    @property
    def kinds(self) -> dict[Kind, int]:
        """The most frequent first; of as many, in the order of kinds."""
        counted = Counter(edge.kind for edge in self.edges)
        return dict(sorted(counted.items(), key=lambda one: (-one[1], KINDS.index(one[0]))))

    @property
    def family(self) -> Family:
        return leading(self.edges)


def crossings(ledger: Ledger) -> tuple[Crossing, ...]:
    """The heaviest first, what is composition last."""
    found: dict[tuple[str, str], list[Edge]] = {}
    for edge in ledger.edges:
        found.setdefault((edge.source, edge.target), []).append(edge)
    made = [Crossing(*ends, tuple(edges)) for ends, edges in found.items()]
    return tuple(sorted(made, key=lambda one: (one.composition, -len(one.edges), one.source, one.target)))
