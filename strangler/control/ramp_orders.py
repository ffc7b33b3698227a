"""What a person tells a ramp: start, hold, resume, abort. Each leaves a receipt; of two who give orders at once one is told."""

from __future__ import annotations

from django.db.models.functions import Now

from strangler.control import engine, positions, ramp_run, receipts
from strangler.control.errors import Busy
from strangler.control.ledger import describe, open_operation
from strangler.control.models import RampRun, Receipt
from strangler.control.ramp_run import Row, alias
from strangler.domain import ramp
from strangler.domain.ramp import Run, State
from strangler.domain.stages import Position, Stage
from strangler.errors import Misuse

START, HOLD, RESUME, ABORT = "ramp start", "ramp hold", "ramp resume", "ramp abort"


def start(context: str, *, to: int = 100, who: str, why: str = "") -> RampRun:
    """The first step comes after an interval of passing gates where the context is now. Raises ``Misuse``, ``Busy``."""
    positions.context_named(context)
    positions.migration_of(context)  # so that there is a row to be in a position
    if not 1 <= to <= 100:
        raise Misuse(f"a canary share is 1…100 percent, not {to}")
    with ramp_run.entry(context):
        _nobody_else_moves(context)
        seen = ramp_run.load(context)
        if seen is not None and seen.run.state.is_active:
            raise Busy(f"{context}: {_known(seen)}; end it first: strangler ramp abort {context}")
        at = _place(context, to)
        fresh = {
            **ramp_run.fields(Run(at=at, target=to)),
            "target": to,
            "who": who,
            "why": why,
            "reason": "nothing has been seen yet",
            "next_at": None,
            "operation": None,
            "deed": "",
            "started_at": Now(),
            "look_until": Now(),
            "check_after": Now(),
            "token": seen.row.token + 1 if seen else 1,  # a look at an earlier run changes nothing of this one
        }
        RampRun.objects.using(alias()).update_or_create(context=context, defaults=fresh)
        receipts.remark(context, START, ramp.position(at), who=who, why=why)
        return RampRun.objects.using(alias()).get(context=context)


def hold(context: str, *, who: str, why: str = "") -> RampRun:
    """It takes no step any more; what fails is still taken back. A step that is under way comes to its end."""
    seen = _active(context)
    with ramp_run.entry(context):
        if not ramp_run.put(context, State.HELD, _by("held", who, why), out_of=(State.RUNNING, State.FROZEN)):
            raise Busy(f"{context}: {_known(_active(context))}; there is nothing to hold")
        return _answered(seen, HOLD, who, why)


def resume(context: str, *, who: str, why: str = "") -> RampRun:
    """It goes on from where the context is now, and begins its interval anew."""
    seen = _active(context)
    with ramp_run.entry(context):
        _nobody_else_moves(context)
        seen = _active(context)
        if seen.run.state is State.RUNNING:
            raise Busy(f"{context}: {_known(seen)}; there is nothing to resume")
        at = _place(context, seen.row.target)
        run = seen.run.resumed(at)
        reason = _by("resumed", who, why)
        ramp_run.change(seen, **ramp_run.fields(run), reason=reason, next_at=None, operation=None, deed="")
        return _answered(seen, RESUME, who, why)


def abort(context: str, *, back_to: str | None = None, who: str, why: str = "") -> tuple[RampRun, list[Receipt]]:
    """It is over, and the share stays; or goes back to ``shadow`` or a share, with the receipts of that way."""
    _active(context)
    target = _target(context, back_to) if back_to else None
    with ramp_run.entry(context):
        seen = _active(context)
        active = tuple(state for state in State if state.is_active)
        ramp_run.put(context, State.ABORTED, _by("aborted", who, why), out_of=active)
        row = _answered(seen, ABORT, who, why)
    if target is None:
        return row, []
    to, percent = str(target.stage), target.percent or None
    done = engine.travel(engine.ROLLBACK, context, to=to, percent=percent, who=who, why=why or "the ramp was aborted")
    assert isinstance(done, list)
    return row, done


# ---- what is asked of the order -----------------------------------------------------------------------------------


def _active(context: str) -> Row:
    positions.context_named(context)
    seen = ramp_run.load(context)
    if seen is None or not seen.run.state.is_active:
        over = f" any more: {seen.row.state}, {seen.row.reason}" if seen else ""
        raise Misuse(f"{context} has no ramp{over}; start one: strangler ramp start {context}")
    return seen


def _nobody_else_moves(context: str) -> None:
    """Raises ``Busy`` while an operation on the context is under way, the ramp's own included."""
    operation = open_operation()
    if operation is not None and operation.context == context:
        raise Busy(f"{context}: {describe(operation)} is under way; repeat the command afterwards: strangler status {context}")


def _place(context: str, target: int) -> int:
    """The share at which the context is. Raises ``Misuse`` where no ramp could go on from."""
    at = positions.position_of(context)
    share = ramp.share_of(at)
    if share is None and at < Position.of(Stage.SHADOW):
        raise Misuse(f"{context} is {at}, and a ramp begins in shadow: strangler advance {context} --to shadow")
    if share is None:
        raise Misuse(f"{context} is {at}, past every share; the way back is: strangler rollback {context}")
    if share >= target:
        onward = f"strangler advance {context} --to live" if share == 100 else f"strangler ramp start {context} --to 100"
        raise Misuse(f"{context} is {at} already, and the ramp would end at {target} %; the way on is: {onward}")
    return share


def _target(context: str, back_to: str) -> Position:
    """Raises ``Misuse`` for what is no share, or not behind where the context is."""
    share = 0 if back_to == "shadow" else int(back_to) if back_to.isdecimal() else -1
    if not 0 <= share <= 100 or (share == 0 and back_to != "shadow"):
        raise Misuse(f"--back-to {back_to}: it is shadow, or a share from 1 to 100")
    target = ramp.position(share)
    at = positions.position_of(context)
    if target >= at:
        raise Misuse(f"--back-to {back_to}: {context} is {at}, which is not past {target}")
    return target


def _known(seen: Row) -> str:
    return f"{ramp_run.sentence(seen.row)} is {seen.row.state}: {seen.row.reason}"


def _by(what: str, who: str, why: str) -> str:
    return f"{what} by {who}{f': {why}' if why else ''}"


def _answered(seen: Row, verb: str, who: str, why: str) -> RampRun:
    receipts.remark(seen.row.context, verb, positions.position_of(seen.row.context), who=who, why=why)
    return RampRun.objects.using(alias()).get(context=seen.row.context)
