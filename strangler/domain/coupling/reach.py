"""A ledger looked up from all sides: which tables of another context a crossing reaches, by the table or label that it names or
along the path that it follows; what ties a context; who writes together, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger, TableFacts
from strangler.domain.coupling.natures import RELATIONS, composes

TABLES = (Kind.RAW_SQL, Kind.FOREIGN_READ, Kind.FOREIGN_WRITE, Kind.DATABASE_VIEW, Kind.JOIN, Kind.TRANSACTION, Kind.CASCADE)
LABELS = (*RELATIONS, Kind.GET_MODEL, Kind.ADMIN, Kind.ADMIN_INLINE, Kind.INHERITANCE, Kind.PROXY, Kind.MANAGER)
PATHS = (Kind.LOOKUP, Kind.SELECT_RELATED, Kind.PREFETCH_RELATED, Kind.TEMPLATE_RELATION, Kind.REVERSE_ACCESSOR)
STEP = re.compile(r"__|\.")
LABEL = re.compile(r"\w+\.\w+")
SEVERAL = re.compile(r" \+ |,\s*")


def named_tables(edge: Edge) -> tuple[str, ...]:
    """``a + b`` of a join, ``a, b`` of a transaction; one name else."""
    return tuple(part.strip().lower() for part in SEVERAL.split(edge.what) if part.strip())


@dataclass(frozen=True)
class Reach:
    """What the whole ledger says about tables, looked up by its edges."""

    ledger: Ledger

    @cached_property
    def tables(self) -> Mapping[str, tuple[str, TableFacts]]:
        """Table → its context and facts."""
        return {facts.table.lower(): (name, facts) for name, one in self.ledger.contexts.items() for facts in one.tables}

    @cached_property
    def labels(self) -> Mapping[str, tuple[str, TableFacts]]:
        """Label, in lower case → its context and facts."""
        return {facts.label.lower(): (name, facts) for name, facts in self.tables.values() if facts.label}

    @cached_property
    def steps(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """A relation's name in a path and the context it leads to → labels there."""
        found: dict[tuple[str, str], set[str]] = {}
        for edge in self.ledger.edges:
            for step, label in self._relation(edge):
                found.setdefault((step, edge.target), set()).add(label)
        return {key: tuple(sorted(labels)) for key, labels in found.items()}

    @cached_property
    def crossings(self) -> Mapping[str, tuple[Edge, ...]]:
        """Context → what ties it to others, both ways, without the project's composition."""
        found: dict[str, list[Edge]] = {}
        for edge in self.ledger.edges:
            for name in dict.fromkeys((edge.source, edge.target)) if not composes(edge) else ():
                found.setdefault(name, []).append(edge)
        return {name: tuple(edges) for name, edges in found.items()}

    @cached_property
    def composing(self) -> tuple[Edge, ...]:
        """The project's own wiring."""
        return tuple(filter(composes, self.ledger.edges))

    @cached_property
    def transactions(self) -> Mapping[tuple[str, str, str], tuple[Edge, ...]]:
        """(source, where, what) → the edges of one transaction: it has one for each context that it writes."""
        found: dict[tuple[str, str, str], list[Edge]] = {}
        for edge in self.ledger.edges:
            if edge.kind is Kind.TRANSACTION:
                found.setdefault((edge.source, edge.where, edge.what), []).append(edge)
        return {key: tuple(edges) for key, edges in found.items()}

    @cached_property
    def readers(self) -> Mapping[str, frozenset[str]]:
        """Table → the places that were seen to read it across a border."""
        found: dict[str, set[str]] = {}
        for edge in self.ledger.edges:
            for table in named_tables(edge) if edge.kind in (Kind.FOREIGN_READ, Kind.JOIN) else ():
                found.setdefault(table, set()).add(edge.where)
        return {table: frozenset(places) for table, places in found.items()}

    def _relation(self, edge: Edge) -> Iterator[tuple[str, str]]:
        if edge.kind in RELATIONS:
            yield edge.where.rpartition(".")[2], edge.what
        elif edge.kind is Kind.REVERSE_ACCESSOR:  # "orders.Order.payments", declared at FILE:Payment.order
            label = self.model_at(replace(edge, source=edge.target))
            accessor = edge.what.rpartition(".")[2]
            if label:
                yield accessor, label
                yield accessor.removesuffix("_set"), label

    def reached(self, edge: Edge) -> tuple[TableFacts, ...]:
        """Those of ``edge.target``, by name of table. Empty where the edge does not tell: then nobody knows, it is not none."""
        found = {facts.table: facts for facts in self._reached(edge)}
        return tuple(found[table] for table in sorted(found))

    def model_at(self, edge: Edge) -> str:
        """Label of the source's model in whose class the edge stands; empty for what is no model."""
        name = edge.where.rpartition(":")[2].partition(".")[0].lower()
        return next((facts.label for home, facts in self.labels.values() if home == edge.source and _is(facts, name)), "")

    def _reached(self, edge: Edge) -> Iterator[TableFacts]:
        for label in edge.models or self._labels(edge):
            home, facts = self.labels.get(label.lower(), ("", None))
            if facts is not None and home == edge.target:
                yield facts
            elif facts is None and label:
                yield TableFacts(label, label.lower().replace(".", "_"))
        for table in named_tables(edge) if edge.kind in TABLES else ():
            home, facts = self.tables.get(table.rpartition(".")[2].strip('"'), ("", None))
            if facts is not None and home == edge.target:
                yield facts
            elif facts is None and edge.kind in (Kind.RAW_SQL, Kind.FOREIGN_READ, Kind.FOREIGN_WRITE, Kind.DATABASE_VIEW):
                yield TableFacts("", table)

    def _labels(self, edge: Edge) -> tuple[str, ...]:
        if edge.kind in LABELS:
            return (edge.what,) if LABEL.fullmatch(edge.what) else ()
        if edge.kind in PATHS:
            steps = STEP.split(edge.what)
            return tuple(dict.fromkeys(label for step in steps for label in self.steps.get((step, edge.target), ())))
        return ()


def _is(facts: TableFacts, name: str) -> bool:
    return facts.label.rpartition(".")[2].lower() == name
