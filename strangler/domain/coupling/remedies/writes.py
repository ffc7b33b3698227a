"""Crossings that write rows of another context."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.reach import named_tables
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy


def write(case: Case) -> Advice:
    edge = case.edge
    if edge.kind is Kind.TRANSACTION:
        return _transaction(case)
    if edge.kind is Kind.CASCADE:
        because = f"deleting in {edge.source} deletes or changes rows in {edge.what}, which belong to {edge.target}."
        instead = (
            "Nothing to write where a foreign key does it: loose keys let each owner follow when the delete event "
            "reaches it, CASCADE and "
            "SET_NULL at the child's, while PROTECT still refuses. What must be gone at once asks the seam first."
        )
        return case.advise(Remedy.EVENT, because, instead)
    if edge.kind is Kind.TRIGGER:
        because = f"a trigger of the database reaches from {edge.source} into {edge.target}, and no database does so across two."
        instead = 'Write what it does as a handler, `on_row_applied("…", handler)`: an apply fires no trigger of yours.'
        return case.advise(Remedy.EVENT, because, instead)
    refused = "its service has no rights on that" if case.out else "once that has moved the fence refuses it (SF001)"
    because = f"{edge.source} writes {edge.what}, past the contract of {edge.target}; {refused}."
    instead = f"Give the contract a method for it and name that in `writes`: `from {case.contract} import {case.seam}`."
    return case.advise(Remedy.SEAM, because, instead + _held(case), *case.held())


def _transaction(case: Case) -> Advice:
    edge = case.edge
    tables = ", ".join(named_tables(edge)) or "several tables"
    because = f"one transaction writes {tables}; it can't, once {case.leaving} has a database of its own."
    if case.out:
        instead = (
            f"The service commits its own rows, and the monolith follows with those of {edge.target}, in a handler that may be "
            f'called twice: `on_row_applied("{_own(case)}", handler)`. What has to be refused is asked of `{case.seam}` before.'
        )
        return case.advise(Remedy.EVENT, because, instead)
    instead = (
        f'Begin it with `side = claim("{case.leaving}")`, inside `atomic`. Where that is `Claim.REMOTE`, save an intent in the '
        f"same transaction, call `{case.seam}` after its commit with the intent's id as key, and note the answer in a second "
        f"one, which takes back what was done if it is no."
    )
    return case.advise(Remedy.SEAM, because, instead + _held(case), *case.held())


def _own(case: Case) -> str:
    """A model of the context that leaves, among the tables that are written."""
    found = (case.reach.tables.get(table, ("", None)) for table in named_tables(case.edge))
    return next((facts.label for home, facts in found if facts and home == case.leaving), f"{case.leaving}.…")


def _held(case: Case) -> str:
    """Who writes it from outside is parked while it is cut over, if it is known."""
    if case.out:
        return ""
    if case.paths():
        return " A cut-over parks the requests that do so, which also_written_by names."
    recorded = any(proof.by for proof in case.edge.evidence)
    return "" if recorded else " Which requests do so was not recorded; also_written_by has to name them."
