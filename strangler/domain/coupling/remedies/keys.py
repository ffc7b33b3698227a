"""Rows that point to rows of another context."""

from __future__ import annotations

import re

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy

ON_DELETE = re.compile(r"on_delete=(\w+)")
REFUSING = ("PROTECT", "RESTRICT")
LOOSE = "On the way to `mirror` the product drops the constraint, keeps its definition for the way back, and counts orphans."


def key(case: Case) -> Advice:
    return {
        Kind.MANY_TO_MANY: _many_to_many,
        Kind.GENERIC_FOREIGN_KEY: _generic,
        Kind.CONSTRAINT: _constraint,
        Kind.SWAPPED: _swapped,
    }.get(case.edge.kind, _relation)(case)


def _relation(case: Case) -> Advice:
    edge = case.edge
    because = f"rows of {edge.source} point to {edge.what}, and no database holds a key into another one."
    dropped = "There is no constraint to drop." if "db_constraint=False" in edge.note else LOOSE
    column = f"{case.attribute}_id"
    unique = ", unique=True" if edge.kind is Kind.ONE_TO_ONE else ", db_index=True"
    later = (
        f"Once it has settled, `{column} = models.BigIntegerField({unique.removeprefix(', ')})` says the same without the model."
    )
    return case.advise(Remedy.ID_AND_API, because, " ".join(filter(None, (dropped, _deleting(case), later))))


def _deleting(case: Case) -> str:
    edge = case.edge
    found = ON_DELETE.search(edge.note)
    if found is None:
        return ""
    if found[1] in REFUSING:
        return f"{found[1]} goes on refusing, by the copy of the rows of {edge.source} on the side that deletes."
    if found[1] == "DO_NOTHING":
        return "DO_NOTHING stays nothing: the gate for orphans looks."
    return (
        f"{found[1]} runs where {edge.source} is owned, when the delete of the {edge.what.rpartition('.')[2].lower()} reaches it."
    )


def _many_to_many(case: Case) -> Advice:
    edge = case.edge
    because = f"a table between {edge.source} and {edge.what} holds keys to both."
    through = edge.note.removeprefix("through=") if edge.note.startswith("through=") else ""
    if through:
        instead = f"It is {through}, a model; its two keys have remedies of their own."
    else:
        instead = f"It belongs to {edge.source} and goes where that goes. {LOOSE}"
    return case.advise(Remedy.ID_AND_API, because, f"{instead} What `.all()` gives is asked of `{case.seam}` by the ids.")


def _generic(case: Case) -> Advice:
    edge = case.edge
    because = f"rows of {edge.source} and {edge.target} are tied by content type and id, which no constraint holds."
    handlers = ", ".join(f'`on_row_applied("{label}", handler)`' for label in edge.models or (f"{edge.target}.…",))
    instead = (
        "That is an id already, and content types have the same ids on both sides. Deletes have to be followed by hand: "
        f'{handlers} with op "delete".'
    )
    return case.advise(Remedy.ID_AND_API, because, instead)


def _constraint(case: Case) -> Advice:
    because = f"the database holds {case.edge.source} to {case.edge.what}, by a constraint that no model declares."
    instead = (
        "A foreign key is made loose as those of models are. A check or an exclusion goes by a migration of "
        "yours: `migrations.RunSQL`."
    )
    return case.advise(Remedy.DELETE, because, instead)


def _swapped(case: Case) -> Advice:
    edge = case.edge
    because = f"{edge.source} knows the users by a setting, whichever model they are."
    if case.out:
        instead = "Users come to the service as a read copy with their ids; name the columns, without the password."
    else:
        instead = f"It may stay: ids are the same on both sides, and the rows of {edge.target} are mirrored back."
    return case.advise(Remedy.KEEP, because, instead)
