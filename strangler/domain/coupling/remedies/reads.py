"""Crossings that read rows of another context."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.natures import offered
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy, Setting

SORTS = ("ordering", "list_filter", "date_hierarchy")
WRITES = (
    ".create(",
    ".update(",
    ".delete(",
    ".add(",
    ".remove(",
    ".set(",
    ".bulk_create(",
    "get_or_create(",
    "update_or_create(",
)
VERBS = {
    Kind.LOOKUP: "joins",
    Kind.SELECT_RELATED: "joins",
    Kind.PREFETCH_RELATED: "fetches",
    Kind.TEMPLATE_RELATION: "follows, in a template where no import shows it, a relation to",
    Kind.RAW_SQL: "names, in SQL of its own,",
    Kind.JOIN: "joins",
    Kind.FOREIGN_READ: "reads",
    Kind.DATABASE_VIEW: "selects from",
    Kind.MANAGER: "selects from",
    Kind.REVERSE_ACCESSOR: "reads through an accessor",
}


def read(case: Case) -> Advice:
    edge = case.edge
    if offered(edge):
        because = f"the relation puts this accessor on a model of {edge.source}, whether anybody uses it or not."
        return case.advise(Remedy.DELETE, because, 'If nobody does, write related_name="+" there.')
    if edge.kind is Kind.ADMIN_INLINE:
        return _inline(case)
    if edge.kind is Kind.REVERSE_ACCESSOR and any(verb in case.text for verb in WRITES):
        because = f"{edge.source} writes rows of {edge.target} through an accessor."
        return case.advise(Remedy.SEAM, because, f"Write through the contract: `from {case.contract} import {case.seam}`.")
    because = f"{edge.source} {VERBS[edge.kind]} {_rows(case)}."
    if edge.kind is Kind.LOOKUP and (case.attribute in SORTS or ".order_by(" in case.text):
        return _sorting(case, because)
    return case.advise(Remedy.READ_COPY, because, _going_on(case), *case.copies(), *_view(case))


def _rows(case: Case) -> str:
    named = ", ".join(case.labels) or (case.edge.what if case.edge.kind in (Kind.RAW_SQL, Kind.FOREIGN_READ) else "rows")
    return f"{named} of {case.edge.target}"


def _going_on(case: Case) -> str:
    edge = case.edge
    if not case.out:
        return (
            f"Nothing to write for the cut-over: once {edge.target} has moved, its tables here are mirrored back and read on. "
            f"Before it retires, keep them (`strangler retire {edge.target} --keep-copy`) or ask `{case.seam}` of "
            f"`{case.contract}`, once for all ids."
        )
    table = "" if case.labels else f" Which table of {edge.target} that is, it does not tell."
    return f"The code goes along as it is, and what it reads is sent to the service as a read copy.{table}"


def _sorting(case: Case, because: str) -> Advice:
    model = case.labels[0] if case.labels else f"{case.edge.target}.…"
    instead = (
        f"No API sorts or filters one side by the other's column. Keep `{case.edge.what}` as a column in {case.edge.source}, set "
        f'when the row is made and kept up to date by `on_row_applied("{model}", …)`; until then a read copy serves.'
    )
    return case.advise(Remedy.DENORMALISE, because, instead, *case.copies())


def _view(case: Case) -> tuple[Setting, ...]:
    """The view has no rows of its own to carry."""
    model = case.reach.model_at(case.edge) if case.out and case.edge.kind is Kind.DATABASE_VIEW else ""
    return (Setting("not_mirrored", model),) if model else ()


def _inline(case: Case) -> Advice:
    edge = case.edge
    because = f"the admin of {edge.source} shows rows of {edge.what} on its own pages."
    if case.out:
        return case.advise(Remedy.READ_COPY, because, "It needs a read copy beside it, and can't write there.", *case.copies())
    instead = (
        f"Nothing to write: once {edge.target} has moved the inline is read-only here, on the rows that are "
        "mirrored back, and says who owns them."
    )
    return case.advise(Remedy.READ_COPY, because, instead)
