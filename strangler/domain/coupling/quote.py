"""What it will cost to take a context out, before anybody has moved a line.

What was not asked is ``None``, never 0: an estimate without a recording knows nothing of transactions, and one without a database
nothing of rows. ``unasked`` names the sources of the ledger that are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from strangler.domain.coupling.atlas import PLATFORM, PROJECT
from strangler.domain.coupling.calls import EndpointCalls, endpoint_calls
from strangler.domain.coupling.difficulty import Difficulty, difficulty
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import SOURCES, Ledger, TableFacts
from strangler.domain.coupling.natures import RELATIONS, Nature, nature, offered
from strangler.domain.coupling.plain import Plain
from strangler.domain.coupling.reach import Reach, named_tables

KEYS = (*RELATIONS, Kind.CONSTRAINT)
Counts = Mapping[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Saga(Plain):
    """A transaction that can't stay one. ``contexts``: those that it writes. ``by``: who ran it; ``count``: how often."""

    where: str
    source: str
    tables: tuple[str, ...]
    contexts: tuple[str, ...]
    by: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Volume(Plain):
    """Rows and bytes of ``tables`` tables, as far as known; None where none of them is. ``unknown``: those not counted in."""

    tables: int
    rows: int | None
    size: int | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy(Plain):
    """A table of ``context`` that a service has to be sent. ``places``: how many crossings ask for it."""

    context: str
    label: str
    table: str
    rows: int | None
    size: int | None
    places: int


@dataclass(frozen=True, slots=True)
class LooseKey(Plain):
    """A key between rows of two databases, one day: what holds it is no constraint any more. ``note``: its ``on_delete``."""

    where: str
    source: str
    target: str
    what: str
    note: str


@dataclass(frozen=True, slots=True)
class Quote(Plain):
    """``out``, ``into``: kind → edges, without the project's own wiring, which is counted in ``composition``.
    ``unresolved``: reads that don't tell which table they reach. ``endpoints``, ``tasks``, ``commands``: the context's own.
    """

    context: str
    declared: bool
    difficulty: Difficulty
    out: Counts
    into: Counts
    neighbours: tuple[str, ...]
    composition: int
    sagas: tuple[Saga, ...] | None
    calls: tuple[EndpointCalls, ...] | None
    mirror: Volume | None
    copies: tuple[Copy, ...]
    unresolved: tuple[str, ...]
    keys: tuple[LooseKey, ...] | None
    endpoints: tuple[str, ...] | None
    tasks: tuple[str, ...] | None
    commands: tuple[str, ...] | None
    lines: int = 0
    unasked: tuple[str, ...] = field(default=())


def quotes(ledger: Ledger) -> tuple[Quote, ...]:
    """One for each context that could leave, in the ledger's order."""
    reach = Reach(ledger)
    return tuple(quote(ledger, name, reach) for name in movable(ledger))


def movable(ledger: Ledger) -> tuple[str, ...]:
    """Those declared, if any is; else all but the project itself and Django's."""
    named = dict.fromkeys([*ledger.contexts, *(name for edge in ledger.edges for name in (edge.source, edge.target))])
    known = [name for name in named if name not in (PROJECT, PLATFORM)]
    declared = [name for name in known if name in ledger.contexts and ledger.contexts[name].declared]
    return tuple(declared or known)


def quote(ledger: Ledger, context: str, reach: Reach | None = None) -> Quote:
    """Of a context that nothing is known of, all is unknown; that is no error here."""
    facts = ledger.contexts.get(context)
    reach = reach or Reach(ledger)
    edges = reach.crossings.get(context, ())
    copies, unresolved = _copies(reach, edges, context)
    live = ledger.asked("live")
    return Quote(
        context=context,
        declared=facts is not None and facts.declared,
        difficulty=difficulty(reach, context),
        out=_counted(edge for edge in edges if edge.source == context),
        into=_counted(edge for edge in edges if edge.target == context),
        neighbours=tuple(sorted({name for edge in edges for name in (edge.source, edge.target)} - {context})),
        composition=sum(edge.target == context for edge in reach.composing),
        sagas=_sagas(reach, edges) if ledger.asked("runtime") else None,
        calls=endpoint_calls(ledger, edges),
        mirror=volume(facts.tables) if facts and (live or facts.tables) else None,
        copies=copies,
        unresolved=unresolved,
        keys=_known(_keys(edges), live),
        endpoints=_known(facts.endpoints if facts else (), live and facts is not None),
        tasks=_known(facts.tasks if facts else (), live and facts is not None),
        commands=_known(facts.commands if facts else (), live and facts is not None),
        lines=facts.lines if facts else 0,
        unasked=tuple(source for source in SOURCES if not ledger.asked(source)),
    )


def _sagas(reach: Reach, edges: Iterable[Edge]) -> tuple[Saga, ...]:
    """One for each place and set of tables."""
    found = dict.fromkeys((edge.source, edge.where, edge.what) for edge in edges if edge.kind is Kind.TRANSACTION)
    made = [_saga(reach, key, reach.transactions[key]) for key in found]
    return tuple(sorted(made, key=lambda saga: (saga.where, saga.tables, saga.source)))


def _saga(reach: Reach, key: tuple[str, str, str], edges: Sequence[Edge]) -> Saga:
    source, where, _ = key
    tables = named_tables(edges[0])
    homes = {reach.tables[table][0] for table in tables if table in reach.tables}
    evidence = [proof for edge in edges for proof in edge.evidence]
    by = tuple(dict.fromkeys(name for proof in evidence for name in proof.by))
    count = max((sum(proof.count for proof in edge.evidence) for edge in edges), default=0)
    return Saga(where, source, tables, tuple(sorted(homes | {edge.target for edge in edges})), by, count)


def volume(tables: Iterable[TableFacts]) -> Volume:
    listed = tuple(tables)
    rows = [table.rows for table in listed if table.rows is not None]
    sizes = [table.size for table in listed if table.size is not None]
    unknown = tuple(table.table for table in listed if table.rows is None or table.size is None)
    return Volume(len(listed), _sum(rows, listed), _sum(sizes, listed), unknown)


def _sum(known: list[int], listed: tuple[TableFacts, ...]) -> int | None:
    return sum(known) if known or not listed else None


def _copies(reach: Reach, edges: Iterable[Edge], context: str) -> tuple[tuple[Copy, ...], tuple[str, ...]]:
    """Tables of others that the context's code reads or joins, and the crossings that don't tell which. What an accessor merely
    offers is not read."""
    found: dict[tuple[str, str], tuple[TableFacts, set[tuple[str, ...]]]] = {}
    unresolved: list[str] = []
    for edge in edges:
        if edge.source != context or nature(edge) is not Nature.READ or offered(edge):
            continue
        reached = reach.reached(edge)
        if not reached:
            unresolved.append(f"{edge.what} of {edge.target} at {edge.where}")
        for table in reached:
            found.setdefault((edge.target, table.table), (table, set()))[1].add(edge.key)
    copies = (
        Copy(home, facts.label, facts.table, facts.rows, facts.size, len(keys)) for (home, _), (facts, keys) in found.items()
    )
    return tuple(sorted(copies, key=lambda copy: (copy.context, copy.table))), tuple(sorted(unresolved))


def _keys(edges: Iterable[Edge]) -> tuple[LooseKey, ...]:
    """A relation through a model of its own is that model's two keys; those are edges of their own."""
    held = (edge for edge in edges if edge.kind in KEYS and not edge.note.startswith("through="))
    found = {LooseKey(edge.where, edge.source, edge.target, edge.what, edge.note) for edge in held}
    return tuple(sorted(found, key=lambda key: (key.where, key.target, key.what)))


def _counted(edges: Iterable[Edge]) -> Counts:
    counts: dict[Kind, int] = {}
    for edge in edges:
        counts[edge.kind] = counts.get(edge.kind, 0) + 1
    return {kind.value: counts[kind] for kind in Kind if kind in counts}


def _known(found: tuple[T, ...], asked: bool) -> tuple[T, ...] | None:
    """What was found counts; nothing found counts only where somebody looked."""
    return found if found or asked else None
