"""The auto-ramp: a share of users grows by itself while every gate passes. Decided in ``domain.ramp``, carried out here.

A look is short and may run many times at once: it settles what its last operation came to, judges the gates, decides, and changes
the row by a compare-and-swap, in one transaction with the beginning of its operation. All that it knows stands in that row and in
the operation, so a worker, a connection or a broker may die anywhere: the next look goes on, and the tick finishes the operation.
A position that somebody else has set is left alone: the run stands aside, with who it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from strangler import conf
from strangler.control import engine, observe, positions, ramp_run, receipts
from strangler.control.errors import Busy
from strangler.control.models import Operation, RampRun, Receipt
from strangler.control.ramp_run import Row, alias
from strangler.control.saga import DONE, Running
from strangler.control.workshop import Workshop
from strangler.domain import ramp
from strangler.domain.estate import Context
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Act, Deed, Run, State
from strangler.domain.stages import Position, Stage
from strangler.sync import drift, shape

log = logging.getLogger("strangler.control")

LOOK_S = 5.0  # how long a look spares others the same work; it may take longer, and ends without a word if its process does
SHORTEST_CHECK_S = 30.0


# ---- one look -----------------------------------------------------------------------------------------------------


def look(context: str) -> Act | None:
    """What was decided and done; None where there is nothing to look at now. Raises ``LostLease`` where somebody was quicker."""
    if not _spared(context):
        return None
    try:
        seen = _settled(context)
        if seen is None or context not in conf.estate().contexts:
            return None
        return None if _left_alone(seen) else _judged(seen, conf.estate().contexts[context])
    finally:
        RampRun.objects.using(alias()).filter(context=context).update(look_until=Now())


def _spared(context: str) -> bool:
    due = RampRun.objects.using(alias()).filter(context=context, state__in=ramp_run.ACTIVE, look_until__lte=Now())
    return bool(due.update(look_until=Now() + timedelta(seconds=LOOK_S)))


def _settled(context: str) -> Row | None:
    """The row, once it knows what its last operation came to; None while that is under way, or the run is over."""
    seen = ramp_run.load(context)
    if seen is not None and seen.row.operation is not None:
        if not _settle(seen):
            return None
        seen = ramp_run.load(context)
    return seen if seen is not None and seen.run.state.is_active else None


def _settle(seen: Row) -> bool:
    """Takes note of the end of the ramp's operation; whether it has ended."""
    operation = Operation.objects.using(alias()).get(id=seen.row.operation)
    if operation.finished_at is None:
        return False
    run, deed = seen.run, Deed(seen.row.deed)
    if operation.outcome == DONE:
        run = run.after(deed, operation.to_percent)
        said = f"{ramp.position(run.at)}, {'a step up' if deed is Deed.STEP else 'taken back'}: {operation.why}"
    else:
        run = replace(run, good_since=None)
        said = f"the {deed} to {ramp.position(operation.to_percent)} was {operation.outcome}: {operation.error}"
    ramp_run.change(seen, **ramp_run.fields(run), **_said(run, said), operation=None, deed="", next_at=None)
    log.info("ramp.settled context=%s deed=%s outcome=%s share=%d", operation.context, deed, operation.outcome, run.at)
    return True


def _left_alone(seen: Row) -> bool:
    """Whether somebody else has moved the context: then the run stands aside, or is over once the owner has changed."""
    at = positions.position_of(seen.row.context)
    stands_aside = seen.run.state is State.ASIDE
    if at == ramp.position(seen.row.percent):
        return stands_aside
    is_over = at > Position.of(Stage.CANARY, 100)
    if is_over or not stands_aside:
        state = State.DONE if is_over else State.ASIDE
        ramp_run.change(seen, state=state, reason=_who_moved(seen.row.context, at), next_at=None)
        log.warning("ramp.%s context=%s at=%s", state, seen.row.context, at)
    return True


def _who_moved(context: str, at: Position) -> str:
    receipts = Receipt.objects.using(alias()).filter(context=context, outcome=DONE, to_stage=at.stage, to_percent=at.percent)
    moved = receipts.exclude(from_stage=at.stage, from_percent=at.percent)  # a hold or a remark moves nothing
    receipt = moved.order_by("-id").first()
    return f"{receipt.who} moved {context} to {at} (receipt {receipt.pk})" if receipt else f"{context} was moved to {at}"


# ---- judging ------------------------------------------------------------------------------------------------------


def _judged(seen: Row, context: Context) -> Act:
    workshop = Workshop(context)
    try:
        verdicts = _judge(workshop, *ramp.gates(seen.run, context.ramp.steps))
    finally:
        workshop.close()
    run = seen.run.seen(all(verdict.passes for verdict in verdicts), seen.now, ramp.gap_s(context.ramp))
    act = ramp.decide(run, verdicts, seen.now, context.ramp)
    _done(seen, run, act, context)
    return act


def _judge(workshop: Workshop, at: Position, to: Position, names: Collection[str]) -> list[Verdict]:
    """A mere look; what fails in it is looked at once more with patience, alone, so that a moment's lag takes nobody back."""
    observer = workshop.observer
    observer.verify = False
    verdicts = observer.judge(at, to, only=names)
    failing = {verdict.gate for verdict in verdicts if verdict.state is Of.FAIL}
    if not failing or "drift" in failing:
        return verdicts
    observer.verify = True
    again = {verdict.gate: verdict for verdict in observer.judge(at, to, only=failing)}
    return [again.get(verdict.gate, verdict) for verdict in verdicts]


# ---- acting -------------------------------------------------------------------------------------------------------


def _done(seen: Row, run: Run, act: Act, context: Context) -> None:
    row = seen.row
    if act.deed in (Deed.STEP, Deed.BACK):
        _move(seen, run, act, context)
        return
    if act.deed is Deed.HOLD:
        ramp_run.change(seen, **ramp_run.fields(run), **_said(run, act.reason), next_at=ramp_run.moment(act.next_at))
        return
    state = State.FROZEN if act.deed is Deed.FREEZE else State.DONE
    with ramp_run.entry(row.context):
        ramp_run.change(seen, **{**ramp_run.fields(run), "state": state}, reason=act.reason, next_at=None)
        receipts.remark(row.context, f"ramp {act.deed}", ramp.position(run.at), who=seen.who, why=act.reason)
    log.warning("ramp.%s context=%s share=%d reason=%r", state, row.context, run.at, act.reason)


def _said(run: Run, reason: str) -> dict[str, Any]:
    """Why it is held stands where it stood."""
    return {"reason": reason} if run.state is State.RUNNING else {}


def _move(seen: Row, run: Run, act: Act, context: Context) -> None:
    """The row and the beginning of the operation are one transaction; evidence that is older than a gap moves nothing."""
    at, to = ramp.position(run.at), ramp.position(act.to)
    verb = engine.ADVANCE if act.deed is Deed.STEP else engine.ROLLBACK

    def enter(begin: Callable[[], Running]) -> Running:
        with ramp_run.entry(context.name):
            running = begin()
            noted = {"operation": running.id, "deed": str(act.deed), "next_at": None, **_said(run, act.reason)}
            ramp_run.change(seen, within_s=ramp.gap_s(context.ramp), **ramp_run.fields(run), **noted)
            return running

    log.warning("ramp.%s context=%s from=%d to=%d reason=%r", act.deed, context.name, run.at, act.to, act.reason)
    try:
        engine.step(context, verb, at, to, who=seen.who, why=act.reason, enter=enter)
    except Busy as busy:  # somebody moves something in this estate: it is theirs now, and ours at a later look
        found = ramp_run.load(context.name)
        if found is not None and found.row.token == seen.row.token:
            ramp_run.change(seen, **ramp_run.fields(run), **_said(run, f"{act.deed} to {to} waits: {busy}"), next_at=None)
        return
    _settled(context.name)


# ---- drift --------------------------------------------------------------------------------------------------------


def check(context: str) -> bool:
    """A full check of every stream whose last one is half way to being too old; whether it was time for one.

    Not part of a look, because it takes as long as the tables are large.
    """
    declared = conf.estate().contexts.get(context)
    if declared is None:
        return False
    limit = declared.gates.max_drift_age_s
    streams = [declared.mirror_stream, *([declared.copies_stream] if declared.read_copies else [])]
    old = [name for name in streams if _is_old(name, limit)]
    if not old or not _may_check(context, max(SHORTEST_CHECK_S, limit / 4)):
        return False
    for name in old:
        shape.look(name)
        drift.check(name, told=_Renewal(context))
    return True


def _is_old(name: str, limit_s: float) -> bool:
    known = observe.drift_of(name)
    return known.differing is None or (known.age_s or 0.0) > limit_s / 2


def _may_check(context: str, again_s: float) -> bool:
    due = RampRun.objects.using(alias()).filter(context=context, state__in=ramp_run.ACTIVE, check_after__lte=Now())
    return bool(due.update(check_after=Now() + timedelta(seconds=again_s)))


class _Renewal:
    """Keeps others from checking the same tables while a check goes on."""

    def __init__(self, context: str) -> None:
        self.context, self.at = context, time.monotonic()

    def __call__(self, _: drift.Progress) -> None:
        if time.monotonic() - self.at > SHORTEST_CHECK_S / 2:
            self.at = time.monotonic()
            RampRun.objects.using(alias()).filter(context=self.context).update(
                check_after=Now() + timedelta(seconds=SHORTEST_CHECK_S)
            )
