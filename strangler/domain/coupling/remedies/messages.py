"""Signals, tasks and what runs after a commit."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy, Setting

REPLAYED = ("post_save", "post_delete")  # an applied row tells enough to call a receiver of these
OF_ROWS = (*REPLAYED, "pre_save", "pre_delete", "m2m_changed", "pre_init", "post_init")
LOGIN = ("user_logged_in", "user_logged_out", "user_login_failed")


def message(case: Case) -> Advice:
    edge = case.edge
    if edge.kind is Kind.TASK:
        because = f"it sends the task {edge.what} of {edge.target}: a message already, which has to find its owner."
        instead = (
            f'There, write `@owner_task("{edge.target}")` for `@shared_task`: on the wrong side it is forwarded, with '
            "the same id."
        )
        return case.advise(Remedy.EVENT, because, instead)
    if edge.kind is Kind.ON_COMMIT:
        because = f"after its commit it calls {edge.what} of {edge.target}."
        instead = (
            f"That is the place for a remote call: make it one of `{case.contract}`, with a key, for a crash between "
            "the two loses it."
        )
        return case.advise(Remedy.SEAM, because, instead)
    return _sends(case) if "sends" in edge.note else _hears(case)


def _sends(case: Case) -> Advice:
    edge = case.edge
    because = f"{edge.source} sends a signal that belongs to {edge.target}."
    return case.advise(
        Remedy.SEAM, because, f"Tell `{case.seam}` of `{case.contract}` what happened; who owns a signal sends it."
    )


def _hears(case: Case) -> Advice:
    edge = case.edge
    signal, _, sender = edge.what.partition(" ")
    because = f"{edge.source} hears {signal} of {sender or edge.target}; a signal doesn't leave its process."
    if signal in LOGIN:
        instead = (
            f"Where one logs in stays where sessions are made. Once {case.leaving} has moved, let the view that logs "
            f"in tell `{case.seam}` by its contract."
        )
        return case.advise(Remedy.EVENT, because, instead)
    if signal in REPLAYED:
        side = "service" if case.out else "monolith"
        instead = (
            f"It is called for each row that was applied there, at least once, so it must be idempotent: its place is the {side}."
        )
        copy = (Setting("read_copies", sender),) if case.out and sender else ()
        return case.advise(Remedy.EVENT, because, instead, Setting("receivers", side, case.dotted), *copy)
    model = sender if signal in OF_ROWS and sender else f"{case.leaving}.…"
    instead = (
        f'No row can stand for it. Let it rest once {case.leaving} has moved ("drop"), and do the same in '
        f'`on_row_applied("{model}", handler)`, '
        f"which is told of every row that comes back."
    )
    return case.advise(Remedy.EVENT, because, instead, Setting("receivers", "drop", case.dotted))
