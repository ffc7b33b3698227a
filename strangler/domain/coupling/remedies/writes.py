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
        because = f"deleting in {edge.source} deletes or changes rows in {edge.what}, which are {edge.target}'s."
        instead = (
            "Nothing to write where a foreign key does it: loose keys let each owner follow when the delete event "
            "reaches it, CASCADE and "
            "SET_NULL at the child's, while PROTECT still refuses. What must be gone at once asks the seam first."
        )
        return case.advise(Remedy.EVENT, because, instead)
    if edge.kind is Kind.TRIGGER:
        because = f"a trigger of the database reaches from {edge.source} into {edge.target}, and no database does so across two."
        instead = 'Write what it does as a handler, `on_row_applied("app.Model", handler)`: an apply fires no trigger of yours.'
        return case.advise(Remedy.EVENT, because, instead)
    because = (
        f"{edge.source} writes {edge.what}, past the contract of {edge.target}; once that has moved the fence refuses it (SF001)."
    )
    instead = (
        f"Give the contract a method for it, name it in `writes`, and call it: `from {case.contract} import {case.seam}`."
        + _held(case)
    )
    return case.advise(Remedy.SEAM, because, instead, *case.held())


def _transaction(case: Case) -> Advice:
    edge = case.edge
    other = edge.target if case.leaving == edge.source else case.leaving
    tables = ", ".join(named_tables(edge)) or "several tables"
    because = f"one transaction writes {tables}; it can't, once {case.leaving} has a database of its own."
    instead = (
        f'Begin it with `side = claim("{other}")`, inside `atomic`. Where that is `Claim.REMOTE` save an intent in '
        "the same transaction, "
        f"call `{_name(other)}` after its commit with the intent's id as key, and note the answer in a second one, "
        "which takes back what "
        f"was done if it is no."
    )
    return case.advise(Remedy.SEAM, because, instead + _held(case), *case.held())


def _held(case: Case) -> str:
    if case.out:
        return ""
    if case.paths():
        return " A cut-over parks the requests that do so; they are in also_written_by."
    return " Which requests do so is not recorded; those that do belong into also_written_by." if not case.edge.evidence else ""


def _name(context: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in context).lower()
