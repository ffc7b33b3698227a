"""The whole ledger: contexts with what they are made of, and every crossing between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strangler.domain.coupling.edges import Edge, Skipped

SOURCES = ("static", "live", "runtime")
UNTOLD = ("unsampled", "lost")  # statements that ran, and of which nothing else is known


@dataclass(frozen=True, slots=True)
class TableFacts:
    """``rows``: the planner's estimate. ``size``: bytes with indexes. Both None where the database was not asked."""

    label: str
    table: str
    rows: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ContextFacts:
    """``endpoints``: "GET,POST /api/orders/<int:pk>/" as the URLconf has them. ``lines``: of its Python source.

    ``views``: endpoint → ``FILE:QUALNAME`` of its view, as in ``Edge.where``; so much of what it calls can be told without a run.
    """

    name: str
    declared: bool
    apps: tuple[str, ...] = ()
    tables: tuple[TableFacts, ...] = ()
    endpoints: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    lines: int = 0
    views: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """``looked_at``: source of the ledger ("static", "live", "runtime") → what it saw; one that is absent was not asked."""

    contexts: Mapping[str, ContextFacts] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    looked_at: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def asked(self, source: str) -> bool:
        """Whether there was anything to see: a recording without a statement tells as much as none."""
        return any(count for what, count in self.looked_at.get(source, {}).items() if what not in UNTOLD)

    def between(self, source: str, target: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.source == source and edge.target == target)

    def out_of(self, context: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.source == context)

    def into(self, context: str) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.target == context)
