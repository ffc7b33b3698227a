"""The engine that moves a context: ``advance``, ``rollback``, ``hold``, and ``resume`` for what a dead process left open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from django.db import connections, transaction

from strangler import conf
from strangler.control import breakglass, ramp_run
from strangler.control.breakglass import BREAK_GLASS, Emergency
from strangler.control.errors import Busy, GatesClosed, Undone
from strangler.control.handover_rehearsal import REHEARSE
from strangler.control.holding import HOLD
from strangler.control.ledger import DatabaseLedger, Heartbeat, describe, open_operation
from strangler.control.models import Operation, Receipt
from strangler.control.observe import HANDOVER_FRESH_S, TRY_AGAIN_FRESH_S
from strangler.control.positions import context_named, migration_of, position_of
from strangler.control.preview import preview
from strangler.control.saga import DONE, REFUSED, REHEARSED, UNDONE, Event, Progress, Runner, Running, silent
from strangler.control.sides import MonolithSide
from strangler.control.ways import check_hands_over, check_overrides, target, way_back, way_forward
from strangler.control.workshop import Workshop
from strangler.domain.estate import Context
from strangler.domain.gates import State, Verdict, overridden
from strangler.domain.plan import Plan
from strangler.domain.ramp import State as RampState
from strangler.domain.stages import Position, Stage
from strangler.errors import LostLease, Misuse
from strangler.sync.models import Ownership

ADVANCE, ROLLBACK = "advance", "rollback"
TRIES = 8  # of a hand-over that undid itself because the moment was too busy
BETWEEN_TRIES_S = 1.0
STOP_RAMP_S = 30.0  # a step publishes a table and waits for every proxy; it is undone after half of that


def _drive(workshop: Workshop, running: Running, *, resumed: bool = False, patience_s: float = 20.0) -> Receipt:
    runner = Runner(workshop.saga(running), workshop.ledger, progress=workshop.progress, patience_s=patience_s)
    with Heartbeat(workshop.ledger, running):
        receipt: Receipt = runner.drive(running, resumed=resumed)
    workshop.progress(Event("receipt", running, str(receipt.pk)))
    return receipt


def _judged(receipt: Receipt, at: Position, to: Position) -> Receipt:
    """The receipt of an operation that went through. Raises what stopped it otherwise."""
    if receipt.outcome in (DONE, REHEARSED):
        return receipt
    verdicts = [Verdict(**{**said, "state": State(said["state"])}) for said in receipt.verdicts]
    if receipt.outcome == REFUSED and verdicts:
        raise GatesClosed(f"{receipt.context}: {at} → {to}", verdicts)
    if receipt.outcome == REFUSED:
        raise Undone(f"{receipt.context}: {at} → {to} did not begin: {receipt.error}", receipt)
    raise Undone(f"{receipt.context}: {at} → {to} was undone, and the context is {at} as before: {receipt.error}", receipt)


Enter = Callable[[Callable[[], Running]], Running]
"""Begins an operation in a transaction of its own, or raises instead."""


def step(context: Context, verb: str, at: Position, to: Position, *, who: str, why: str, enter: Enter) -> Receipt:
    """One transition between neighbours, for the ramp: its receipt, whatever the outcome. Raises ``Busy``, or as ``enter``."""
    workshop = Workshop(context)
    try:
        return _once(workshop, verb, at, to, who=who, why=why, enter=enter)
    finally:
        workshop.close()


def _go(
    verb: str,
    context: Context,
    way: Sequence[Position],
    *,
    who: str,
    why: str,
    dry_run: bool,
    tries: int,
    progress: Progress,
    overrides: Sequence[str] = (),
    keep_copy: bool = False,
) -> list[Receipt] | Plan:
    workshop = Workshop(context, progress, only_looks=dry_run)
    workshop.keep_copy = workshop.observer.keep_copy = keep_copy
    try:
        at = position_of(context.name)
        if dry_run:
            return _plan(workshop, at, way, overrides=overrides, who=who, why=why)
        migration_of(context.name)  # so that there is a row to move
        receipts: list[Receipt] = []
        for to in way:
            for left in reversed(range(tries)):
                receipts.append(_once(workshop, verb, at, to, who=who, why=why, overrides=overrides))
                if not (left and _was_too_slow(receipts[-1])):
                    break
                workshop.observer.handover_fresh_s = TRY_AGAIN_FRESH_S
                progress(Event("again", workshop.probe(at, to), f"{receipts[-1].error}; trying again"))
                time.sleep(BETWEEN_TRIES_S)
            _judged(receipts[-1], at, to)
            workshop.observer.handover_fresh_s = HANDOVER_FRESH_S
            at = to
        return receipts
    finally:
        workshop.close()


def _once(
    workshop: Workshop,
    verb: str,
    at: Position,
    to: Position,
    *,
    who: str,
    why: str,
    overrides: Sequence[str] = (),
    enter: Enter | None = None,
) -> Receipt:
    name, step = workshop.context.name, _steps(workshop, at, to)[0]
    data = {"keep_copy": True} if workshop.keep_copy and to.stage is Stage.RETIRED else {}
    begin = partial(workshop.ledger.begin, context=name, verb=verb, at=at, to=to, step=step, who=who, why=why, data=data)
    running = enter(begin) if enter else ramp_run.by_hand(name, begin, forward=verb == ADVANCE)
    _still_there(workshop.ledger, running)
    if overrides:
        running = workshop.ledger.note(running, data={"overrides": sorted(overrides)})
    return _drive(workshop, running)


def _still_there(ledger: DatabaseLedger, running: Running) -> None:
    """To be asked by each operation that has begun: what it publishes is where it begins, and must not be where it was once.

    Raises ``Busy`` where somebody moved the context between our look and our operation.
    """
    name = running.context
    if position_of(name) != running.at:
        ledger.finish(ledger.note(running, error="the context was moved meanwhile"), REFUSED, {})
        raise Busy(f"{name} was moved by somebody else just now; look again: strangler status {name}")


def _was_too_slow(receipt: Receipt) -> bool:
    """Whether a hand-over was undone for want of time alone: then another moment may be better."""
    if receipt.outcome != UNDONE:
        return False
    operation = Operation.objects.using(conf.setting("DATABASE")).get(id=receipt.operation)
    return bool(operation.data.get("slow")) and "held_at" in operation.data


def _steps(workshop: Workshop, at: Position, to: Position) -> tuple[str, ...]:
    return tuple(workshop.saga(workshop.probe(at, to)).actions)


def _plan(workshop: Workshop, at: Position, way: Sequence[Position], *, overrides: Sequence[str], who: str, why: str) -> Plan:
    to = way[0]
    verdicts = tuple(overridden(workshop.observer.judge(at, to), overrides, by=who, why=why))
    row = Ownership.objects.using(workshop.ledger.alias).filter(context=workshop.context.name).first()
    exact = tuple(preview(workshop.context, at, to, workshop.monolith, workshop.service))
    steps = _steps(workshop, at, to)
    return Plan(workshop.context.name, at, to, steps, verdicts, row.epoch if row else 0, tuple(way[1:]), exact)


def advance(
    context: str,
    *,
    to: str | None = None,
    percent: int | None = None,
    who: str,
    why: str = "",
    dry_run: bool = False,
    tries: int = TRIES,
    progress: Progress = silent,
    overrides: Sequence[str] = (),
) -> Receipt | Plan:
    """One stage or canary step on, or through all of them to ``to``. Gives the last receipt, or with ``dry_run`` the plan.

    ``overrides``: names of gates that do not hold this one transition, for the reason in ``why``.
    Raises ``Misuse``, ``GatesClosed``, ``Busy``, ``Undone``, ``StillRunning``.
    """
    done = travel(
        ADVANCE,
        context,
        to=to,
        percent=percent,
        who=who,
        why=why,
        dry_run=dry_run,
        tries=max(1, tries),
        progress=progress,
        overrides=overrides,
    )
    return done if isinstance(done, Plan) else done[-1]


def rollback(
    context: str,
    *,
    to: str | None = None,
    percent: int | None = None,
    who: str,
    why: str = "",
    dry_run: bool = False,
    tries: int = TRIES,
    progress: Progress = silent,
) -> Receipt | Plan:
    """One stage back, or through all of them to ``to``. As ``advance``."""
    done = travel(
        ROLLBACK, context, to=to, percent=percent, who=who, why=why, dry_run=dry_run, tries=max(1, tries), progress=progress
    )
    return done if isinstance(done, Plan) else done[-1]


def travel(
    verb: str,
    context: str,
    *,
    to: str | None = None,
    percent: int | None = None,
    who: str,
    why: str = "",
    dry_run: bool = False,
    tries: int = TRIES,
    max_pause_ms: float | None = None,
    rehearse: bool = False,
    progress: Progress = silent,
    overrides: Sequence[str] = (),
    keep_copy: bool = False,
) -> list[Receipt] | Plan:
    """``advance`` or ``rollback`` with every receipt of the way, one an operation.

    A hand-over that undid itself because the moment was too busy is begun again, ``tries`` times in all, each with a receipt.
    ``max_pause_ms`` takes the place of the declared one. ``rehearse``: a hand-over up to its fence, undone and measured.
    ``keep_copy``: one that retires goes on being mirrored back, as a read copy for what stays in the monolith.
    """
    declared = context_named(context)
    if max_pause_ms is not None:
        declared = replace(declared, gates=replace(declared.gates, max_pause_ms=max_pause_ms))
    target(to, percent)
    if not dry_run:
        if verb == ROLLBACK:
            if open_operation() is None:  # else the way is known only after its end
                way_back(declared, position_of(context), to, percent)  # a mistake stops no ramp
            _stop_ramp(context, who=who, why=why)
        resume(progress=progress)
    at = position_of(context)
    way = (way_forward if verb == ADVANCE else way_back)(declared, at, to, percent)
    check_overrides(context, at, way, overrides, why)
    if max_pause_ms is not None or rehearse:
        check_hands_over(context, at, way[:1] if rehearse else way)
    if rehearse:
        verb, way, tries = REHEARSE, way[:1], 1
    return _go(
        verb,
        declared,
        way,
        who=who,
        why=why,
        dry_run=dry_run,
        tries=max(1, tries),
        progress=progress,
        overrides=overrides,
        keep_copy=keep_copy,
    )


def emergency(context: str) -> Emergency:
    """What break-glass would mean now. Reads only. Raises ``Misuse``, ``Busy``."""
    declared = context_named(context)
    return breakglass.look(declared, position_of(context), MonolithSide(context))


def break_glass(context: str, *, confirm: str, who: str, why: str = "", progress: Progress = silent) -> Receipt:
    """The way back from a dead service, to ``mirror``; may lose what it acknowledged last (P22).

    ``confirm`` is the phrase of ``emergency``. Raises ``Misuse``, ``Busy``, ``GatesClosed``, ``Undone``, ``StillRunning``.
    """
    declared = context_named(context)
    seen = emergency(context)
    if not seen.dead.passes:
        raise GatesClosed(f"{context}: break-glass", [seen.dead])
    if confirm.split() != seen.phrase.split():
        raise Misuse(f'nothing was done: that is not the phrase; to go on without the service say: --confirm "{seen.phrase}"')
    workshop = Workshop(declared, progress)
    try:
        to, ledger, data = breakglass.TO, workshop.ledger, {"confirmed": seen.epoch}
        with transaction.atomic(using=ledger.alias):
            breakglass.supersede(ledger, context, who)
            running = ledger.begin(
                context=context, verb=BREAK_GLASS, at=seen.at, to=to, step="gates", who=who, why=why, data=data
            )
        _still_there(ledger, running)
        return _judged(_drive(workshop, running), seen.at, to)
    finally:
        workshop.close()


def _stop_ramp(context: str, *, who: str, why: str) -> None:
    """A way back by hand wins: the ramp begins nothing more, and the step that it is in comes to its end first."""
    reason = f"{who} rolled {context} back{f': {why}' if why else ''}"
    ramp_run.put(context, RampState.ASIDE, reason, out_of=(RampState.RUNNING, RampState.HELD, RampState.FROZEN))
    deadline = time.monotonic() + STOP_RAMP_S
    while (said := ramp_run.operation_of(context)) and resume() is None:
        if time.monotonic() > deadline:
            raise Busy(f"{context}: the ramp stands aside, but its last step has not come to its end: {said}. Repeat the command")
        time.sleep(0.05)


def hold(context: str, seconds: float, *, who: str, why: str = "", progress: Progress = silent) -> Receipt:
    """Parks the context's writes for ``seconds``, then lets them go on. Proxies park no longer than that by themselves."""
    if not 0 < seconds <= 60:
        raise Misuse(f"a hold lasts more than 0 and at most 60 seconds, not {seconds:g}")
    declared = context_named(context)
    resume(progress=progress)
    at = position_of(context)
    workshop = Workshop(declared, progress)
    try:
        running = workshop.ledger.begin(context=context, verb=HOLD, at=at, to=at, step="hold", who=who, why=why)
        _still_there(workshop.ledger, running)
        running = workshop.ledger.note(running, data={"seconds": seconds})
        return _judged(_drive(workshop, running), at, at)
    finally:
        workshop.close()


def resume(*, progress: Progress = silent, patience_s: float = 2.0, slice_s: float = float("inf")) -> Receipt | None:
    """Finishes or undoes the open operation if its holder is gone. None if there is none, or its holder lives.

    Before the point of no return it is undone, from there on it goes forward; what parks no write goes on anyway. A long
    step gives up after ``slice_s``, to be resumed again. Raises ``StillRunning``.
    """
    ledger = DatabaseLedger()
    operation = open_operation()
    if operation is None and ledger.take_up():
        operation = open_operation()
    if operation is None:
        return None
    if operation.context not in conf.estate().contexts:
        gone = f"strangler.toml doesn't declare {operation.context} any more; declare it again"
        raise Misuse(f"{describe(operation)} is open, but {gone}")
    running = ledger.take()
    if running is None:
        return None
    workshop = Workshop(conf.estate().contexts[running.context], progress, slice_s, ledger=ledger)
    try:
        return _drive(workshop, running, resumed=True, patience_s=patience_s)
    except LostLease:
        return None  # somebody else was quicker
    finally:
        workshop.close()
        if not connections[ledger.alias].in_atomic_block:
            connections[ledger.alias].close_if_unusable_or_obsolete()
