"""What a crossing is by its nature, whichever detector saw it: that is what decides what becomes of it when a context leaves."""

from __future__ import annotations

from enum import StrEnum

from strangler.domain.coupling.atlas import PROJECT
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger


class Nature(StrEnum):
    WRITE = "write"
    READ = "read"
    KEY = "key"  # a row that points to a row
    MODEL = "model"  # a class that is made of another one's
    CODE = "code"
    MESSAGE = "message"
    PAGE = "page"
    AGREED = "agreed"  # a crossing as it should be, or one that is gone at run time


NATURES: dict[Kind, Nature] = {
    **dict.fromkeys((Kind.TRANSACTION, Kind.FOREIGN_WRITE, Kind.CASCADE, Kind.TRIGGER), Nature.WRITE),
    **dict.fromkeys((Kind.LOOKUP, Kind.SELECT_RELATED, Kind.PREFETCH_RELATED, Kind.RAW_SQL, Kind.TEMPLATE_RELATION), Nature.READ),
    **dict.fromkeys((Kind.JOIN, Kind.FOREIGN_READ, Kind.DATABASE_VIEW, Kind.REVERSE_ACCESSOR, Kind.ADMIN_INLINE), Nature.READ),
    **dict.fromkeys((Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY, Kind.GENERIC_FOREIGN_KEY), Nature.KEY),
    **dict.fromkeys((Kind.CONSTRAINT, Kind.SWAPPED), Nature.KEY),
    **dict.fromkeys((Kind.INHERITANCE, Kind.PROXY, Kind.MANAGER), Nature.MODEL),
    **dict.fromkeys((Kind.IMPORT, Kind.LATE_IMPORT, Kind.GET_MODEL, Kind.SETTING, Kind.ADMIN, Kind.COMMAND), Nature.CODE),
    **dict.fromkeys((Kind.SIGNAL, Kind.TASK, Kind.ON_COMMIT), Nature.MESSAGE),
    **dict.fromkeys((Kind.TEMPLATE, Kind.URL_NAME, Kind.URL_INCLUDE), Nature.PAGE),
    **dict.fromkeys((Kind.SEAM, Kind.TYPING_IMPORT, Kind.MIGRATION), Nature.AGREED),
}
RELATIONS = (Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY)
COMPOSING = (Nature.CODE, Nature.MESSAGE, Nature.PAGE, Nature.AGREED)


def nature(edge: Edge) -> Nature:
    if edge.kind is Kind.RAW_SQL and "writes" in edge.note:
        return Nature.WRITE
    return NATURES[edge.kind]


def composes(edge: Edge) -> bool:
    """The project's own wiring of its contexts (URLs, settings, Celery): somebody must know them all, and goes on to."""
    return edge.source == PROJECT and nature(edge) in COMPOSING


def shared(edge: Edge) -> bool:
    """Of the project's code outside of apps (problems, a base template): it is nobody's, and goes along with whoever leaves."""
    return edge.target == PROJECT and nature(edge) in COMPOSING


def offered(edge: Edge) -> bool:
    """An accessor that a relation only puts there; where code uses it is an edge of its own."""
    return edge.kind is Kind.REVERSE_ACCESSOR and edge.note == "declared"


def crossings(ledger: Ledger, context: str) -> tuple[Edge, ...]:
    """What ties ``context`` to others, both ways: without the project's composition."""
    return tuple(edge for edge in ledger.edges if context in (edge.source, edge.target) and not composes(edge))
