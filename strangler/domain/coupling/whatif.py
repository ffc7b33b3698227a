"""What another cut of contexts would change.

``merged`` relabels a ledger, and is exact: a merge only takes edges away. A model that moves lays bare what was within one
context, which is in no ledger: that takes a collection anew, with an atlas in which it has moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from strangler.domain.coupling.edges import Edge, Kind, joined
from strangler.domain.coupling.ledger import ContextFacts, Ledger
from strangler.domain.coupling.plain import Plain
from strangler.domain.coupling.quote import Quote
from strangler.domain.coupling.reach import Reach, named_tables

T = TypeVar("T")
SEVERAL = (Kind.JOIN, Kind.TRANSACTION)


def merged(ledger: Ledger, names: Sequence[str]) -> Ledger:
    """The contexts ``names`` as one, by the name of the first. Raises ``ValueError`` for fewer than two, or an unknown one."""
    known = {*ledger.contexts, *(name for edge in ledger.edges for name in (edge.source, edge.target))}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no context {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if len(set(names)) < 2:
        raise ValueError("a merge takes two contexts or more: a,b")
    whole, parts = names[0], frozenset(names)
    facts = [ledger.contexts[name] for name in dict.fromkeys(names) if name in ledger.contexts]
    contexts = {name: one for name, one in ledger.contexts.items() if name not in parts or name == whole}
    if facts:
        contexts[whole] = _whole(whole, facts)
    return replace(ledger, contexts=contexts, edges=_relabelled(ledger, whole, parts))


def _whole(name: str, facts: Sequence[ContextFacts]) -> ContextFacts:
    return ContextFacts(
        name=name,
        declared=any(one.declared for one in facts),
        apps=_all(one.apps for one in facts),
        tables=_all(one.tables for one in facts),
        endpoints=_all(one.endpoints for one in facts),
        tasks=_all(one.tasks for one in facts),
        commands=_all(one.commands for one in facts),
        lines=sum(one.lines for one in facts),
        views={endpoint: where for one in facts for endpoint, where in one.views.items()},
    )


def _all(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(each for part in parts for each in part))


def _relabelled(ledger: Ledger, whole: str, parts: frozenset[str]) -> tuple[Edge, ...]:
    reach, made = Reach(ledger), list[Edge]()
    for edge in ledger.edges:
        source, target = (whole if name in parts else name for name in (edge.source, edge.target))
        touches = edge.source in parts or edge.target in parts
        if source == target or (touches and edge.kind in SEVERAL and _within(reach, edge, parts)):
            continue
        made.append(replace(edge, source=source, target=target))
    return joined(made)


def _within(reach: Reach, edge: Edge, parts: frozenset[str]) -> bool:
    """A join or a transaction of somebody else over tables of the parts alone: it crosses nothing any more."""
    homes = {reach.tables[table][0] if table in reach.tables else "" for table in named_tables(edge)}
    return homes <= parts


@dataclass(frozen=True, slots=True)
class Change(Plain):
    """One figure of a quote, before and after; None: not known."""

    what: str
    before: float | None
    after: float | None


def difference(before: Quote, after: Quote) -> tuple[Change, ...]:
    """What differs between two quotes, the difficulty first. What is equal is left out."""
    one, other = _figures(before), _figures(after)
    named = [Change(what, one.get(what, 0), other.get(what, 0)) for what in {**one, **other}]
    return tuple(change for change in named if change.before != change.after)


def _figures(quote: Quote) -> dict[str, float | None]:
    mirror = quote.mirror
    return {
        "difficulty": quote.difficulty.points,
        "neighbours": len(quote.neighbours),
        "transactions that become sagas": _size(quote.sagas),
        "remote calls": None if quote.calls is None else sum(each.calls for each in quote.calls),
        "read copies": len(quote.copies),
        "loose keys": _size(quote.keys),
        "tables to mirror": mirror.tables if mirror else None,
        "rows to mirror": mirror.rows if mirror else None,
        "bytes to mirror": mirror.size if mirror else None,
        "endpoints": _size(quote.endpoints),
        "tasks": _size(quote.tasks),
        "commands": _size(quote.commands),
        **{f"{kind} out": count for kind, count in quote.out.items()},
        **{f"{kind} in": count for kind, count in quote.into.items()},
    }


def _size(listed: Sequence[object] | None) -> int | None:
    return None if listed is None else len(listed)
