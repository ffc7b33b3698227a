"""Models that are made of another context's."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.reach import LABEL
from strangler.domain.coupling.remedies import reads
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy


def model(case: Case) -> Advice:
    edge = case.edge
    is_label = bool(LABEL.fullmatch(edge.what))
    if edge.kind is Kind.MANAGER and is_label:
        return reads.read(case)
    if edge.kind is Kind.MANAGER:
        because = f"a manager of {edge.source} is {edge.what}, a class of {edge.target}."
        return case.advise(Remedy.DELETE, because, f"Copy what is used of it to a manager in {edge.source}; it has no rows.")
    if edge.kind is Kind.PROXY:
        because = f"it is a second face of {edge.what}: the same table, in another context's code."
        instead = f"Move the class to {edge.target}, and what is asked of it into `{case.contract}`."
        return case.advise(Remedy.MOVE, because, instead + _try(case))
    if not is_label:
        because = f"it is built on {edge.what}, an abstract class: code without a table."
        instead = f"Move that class to a package that both sides install, or copy it to {edge.source}."
        return case.advise(Remedy.MOVE, because, instead)
    because = f"each of its rows is half in {edge.what}: a parent's table and a child's can't be in two databases."
    instead = (
        f"Move the model to {edge.target}, or give it the parent by `models.OneToOneField` with its data in its "
        "own table, which is a "
        f"loose key then."
    )
    return case.advise(Remedy.MOVE, because, instead + _try(case))


def _try(case: Case) -> str:
    name = case.reach.model_at(case.edge)
    return f" What that would cost: `strangler analyze --move {name}={case.edge.target}`." if name else ""
