"""How hard it is to take a context out: one number, a sum that is shown term by term.

The weights begin with Service Cutter's scores (two writers in one transaction 10, readers of the same data 3). What differs is
the side: where others read the context they go on in the tables that are mirrored back, so that is nearly free; what the context
itself reads of others needs a copy. Each term only ever grows with an edge: one more crossing never makes it easier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import SOURCES
from strangler.domain.coupling.natures import Nature, nature, offered, shared
from strangler.domain.coupling.nouns import several
from strangler.domain.coupling.plain import Plain
from strangler.domain.coupling.reach import Reach, named_tables
from strangler.domain.coupling.sizes import plural

WEIGHTS: Mapping[Kind, tuple[float, float]] = {
    # kind: an edge out of the context, an edge into it
    Kind.TRANSACTION: (10, 10),  # becomes a saga, whoever runs it
    Kind.INHERITANCE: (8, 8),  # one row in two tables: the model has to move first
    Kind.PROXY: (5, 5),
    Kind.FOREIGN_WRITE: (5, 5),
    Kind.CASCADE: (5, 5),
    Kind.TRIGGER: (5, 5),
    Kind.GENERIC_FOREIGN_KEY: (4, 2),
    Kind.JOIN: (3, 1),
    Kind.FOREIGN_READ: (3, 1),
    Kind.RAW_SQL: (3, 1),
    Kind.DATABASE_VIEW: (3, 1),
    Kind.LOOKUP: (3, 1),
    Kind.SELECT_RELATED: (3, 1),
    Kind.PREFETCH_RELATED: (3, 1),
    Kind.TEMPLATE_RELATION: (3, 1),
    Kind.MANAGER: (3, 1),
    Kind.REVERSE_ACCESSOR: (3, 1),
    Kind.ADMIN_INLINE: (3, 1),
    Kind.MANY_TO_MANY: (3, 3),
    Kind.SIGNAL: (3, 3),
    Kind.FOREIGN_KEY: (2, 2),
    Kind.ONE_TO_ONE: (2, 2),
    Kind.CONSTRAINT: (2, 2),
    Kind.SWAPPED: (1, 1),
    Kind.IMPORT: (1, 2),  # a lift brings the whole code along; who stays needs a seam
    Kind.LATE_IMPORT: (1, 2),
    Kind.GET_MODEL: (1, 2),
    Kind.SETTING: (1, 2),
    Kind.ON_COMMIT: (2, 2),
    Kind.TASK: (1, 1),  # a message already
    Kind.COMMAND: (1, 1),
    Kind.ADMIN: (1, 1),
    Kind.TEMPLATE: (1, 1),
    Kind.URL_INCLUDE: (1, 1),
    Kind.URL_NAME: (0.5, 0.5),
    Kind.MIGRATION: (0.1, 0.1),  # goes with its foreign key
    Kind.TYPING_IMPORT: (0.1, 0.1),
    Kind.SEAM: (0.1, 0.1),  # as it should be
}
ACCESSOR, SQL, CODE = "offered accessor", "writing SQL statement", "shared code"
SHARED = 0.1
OFFERED = 0.1  # an accessor that a relation puts there, and nobody was seen to use
WRITING_SQL = 5.0
BETWEEN = 1.0  # a place that reads what a saga leaves half done


@dataclass(frozen=True, slots=True)
class Term(Plain):
    """``count`` × ``weight`` = ``points``, and what is counted, in words."""

    kind: str
    direction: str
    count: int
    weight: float
    points: float
    words: str


@dataclass(frozen=True, slots=True)
class Difficulty(Plain):
    """``points``: the sum of the terms, the dearest first. ``least``: a source of the ledger was not asked, so it may be more."""

    context: str
    points: float
    terms: tuple[Term, ...]
    least: bool

    @property
    def formula(self) -> str:
        """``3 × 10 + 2 × 2 + 1 × 0.1 = 34.1``"""
        summed = " + ".join(f"{term.count} × {term.weight:g}" for term in self.terms) or "nothing crosses"
        return f"{summed} = {'at least ' if self.least else ''}{self.points:g}"


def weight(edge: Edge, out: bool) -> float:
    if offered(edge):
        return OFFERED
    if shared(edge):
        return SHARED
    if edge.kind is Kind.RAW_SQL and _writes(edge):
        return WRITING_SQL
    return WEIGHTS[edge.kind][0 if out else 1]


def _writes(edge: Edge) -> bool:
    return nature(edge) is Nature.WRITE


def difficulty(reach: Reach, context: str) -> Difficulty:
    counts: dict[tuple[str, str, float], int] = {}
    for edge in reach.crossings.get(context, ()):
        out = edge.source == context
        key = _named(edge), "out" if out else "into", weight(edge, out)
        counts[key] = counts.get(key, 0) + 1
    between = len(_between(reach, context))
    if between:
        counts["intermediate state", "both", BETWEEN] = between
    terms = [
        Term(name, way, count, each, round(count * each, 1), _words(name, way, count))
        for (name, way, each), count in counts.items()
    ]
    terms.sort(key=lambda term: (-term.points, term.kind, term.direction))
    points = round(sum(term.points for term in terms), 1)
    return Difficulty(context, points, tuple(terms), not all(map(reach.ledger.asked, SOURCES)))


def _named(edge: Edge) -> str:
    if offered(edge) or shared(edge):
        return ACCESSOR if offered(edge) else CODE
    return SQL if edge.kind is Kind.RAW_SQL and _writes(edge) else edge.kind.value


def _between(reach: Reach, context: str) -> set[tuple[str, str]]:
    """(table, place) for each place that reads across a border a table that one of the context's sagas writes: once that commits
    in two steps, it may see the first without the second (the complexity of intermediate states, after Santos and Rito Silva)."""
    sagas = (
        (table, edge.where)
        for edge in reach.crossings.get(context, ())
        if edge.kind is Kind.TRANSACTION
        for table in named_tables(edge)
    )
    return {(table, place) for table, where in sagas for place in reach.readers.get(table, ()) if place != where}


def _words(name: str, way: str, count: int) -> str:
    if way == "both":
        return (
            f"{count} {'place reads' if count == 1 else 'places read'} across a border what a saga leaves half done for a moment"
        )
    if name == CODE:
        return f"{plural(count, 'use')} of code that is shared"
    said = plural(count, name) if name in (ACCESSOR, SQL) else several(Kind(name), count)
    return f"{said} {'from here to others' if way == 'out' else 'from others to here'}"
