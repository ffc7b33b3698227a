"""What is declared against what ran: edges that no statement ever used, and statements that no declared edge explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strangler.domain.coupling.edges import RUNTIME, Edge, Kind
from strangler.domain.coupling.ledger import Ledger

RELATIONS = frozenset(
    {
        Kind.FOREIGN_KEY,
        Kind.ONE_TO_ONE,
        Kind.MANY_TO_MANY,
        Kind.GENERIC_FOREIGN_KEY,
        Kind.INHERITANCE,
        Kind.SWAPPED,
        Kind.CONSTRAINT,
    }
)
"""They tie two tables, whichever side's code uses them."""
READS = frozenset(
    {
        Kind.GET_MODEL,
        Kind.LOOKUP,
        Kind.SELECT_RELATED,
        Kind.PREFETCH_RELATED,
        Kind.RAW_SQL,
        Kind.ADMIN,
        Kind.ADMIN_INLINE,
        Kind.TEMPLATE_RELATION,
        Kind.REVERSE_ACCESSOR,
        Kind.PROXY,
        Kind.MANAGER,
        Kind.DATABASE_VIEW,
    }
)
"""They lead code of the source to tables of the target. The other kinds leave no statement of their own."""


@dataclass(frozen=True)
class Exercise:
    """``exercised``: declared edge → the runtime edges that used it. ``idle``: declared, and never seen to run.

    ``silent``: of kinds that leave no statement, so nothing can be said. ``unseen``: ran, and nothing declared explains it.
    """

    exercised: Mapping[Edge, tuple[Edge, ...]]
    idle: tuple[Edge, ...]
    silent: tuple[Edge, ...]
    unseen: tuple[Edge, ...]


def compare(ledger: Ledger) -> Exercise:
    """Without a runtime part (``"runtime" not in ledger.looked_at``) all is idle, and that says nothing.

    A declared edge is exercised by a runtime edge over the same tables: by one that touches the table which its ``what`` names,
    or, for a path that names none, by code in the same file towards the same context.
    """
    ran = [edge for edge in ledger.edges if edge.kind in RUNTIME]
    declared = [edge for edge in ledger.edges if edge.kind not in RUNTIME]
    labels = _tables(ledger)
    pairs: dict[frozenset[str], list[Edge]] = {}
    for edge in ran:
        pairs.setdefault(frozenset((edge.source, edge.target)), []).append(edge)
    used: dict[Edge, tuple[Edge, ...]] = {}
    for edge in declared:
        near = pairs.get(frozenset((edge.source, edge.target)), ())
        used[edge] = tuple(other for other in near if _uses(other, edge, labels))
    explained = {other for others in used.values() for other in others}
    told = RELATIONS | READS
    return Exercise(
        exercised={edge: others for edge, others in used.items() if others},
        idle=tuple(edge for edge in declared if edge.kind in told and not used[edge]),
        silent=tuple(edge for edge in declared if edge.kind not in told),
        unseen=tuple(edge for edge in ran if edge not in explained),
    )


def _tables(ledger: Ledger) -> dict[str, str]:
    """Model's label → table."""
    return {facts.label: facts.table.lower() for context in ledger.contexts.values() for facts in context.tables}


def tables(edge: Edge) -> frozenset[str]:
    """That a runtime edge is about: ``a + b`` of a join, ``a, b`` of a transaction, one of the others."""
    return frozenset(edge.what.replace(" + ", ", ").split(", "))


def _uses(ran: Edge, declared: Edge, labels: Mapping[str, str]) -> bool:
    known = labels.get(declared.what) or (declared.what if declared.what in labels.values() else "")
    if declared.kind in RELATIONS:
        other = _own_table(declared, labels)
        ends = {labels.get(label, "") for label in declared.models} | {known}
        return any(end in tables(ran) if not other else _ties(ran, end, other) for end in ends - {""})
    if declared.kind not in READS or (ran.source, ran.target) != (declared.source, declared.target):
        return False
    if known:
        return known in tables(ran)
    return bool(declared.where) and _file(declared.where) in _files(ran)


def _ties(ran: Edge, target: str, source: str) -> bool:
    """A join of the two, a cascade from one to the other, or a use of the one by the code that the other is of."""
    about = tables(ran)
    return {target, source} <= about if ran.kind in (Kind.JOIN, Kind.TRANSACTION) else bool({target, source} & about)


def _own_table(declared: Edge, labels: Mapping[str, str]) -> str:
    """Of the model in ``FILE:Model.field``."""
    model = declared.where.rpartition(":")[2].partition(".")[0]
    return next((table for label, table in sorted(labels.items()) if label.rpartition(".")[2] == model), "")


def _files(ran: Edge) -> set[str]:
    return {_file(ran.where), *(one.file for one in ran.evidence)} - {""}


def _file(where: str) -> str:
    """A template has no name after its path."""
    return where.rpartition(":")[0] or where
