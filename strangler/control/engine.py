"""The engine that moves a context: ``advance``, ``rollback``, ``hold``, and ``resume`` for what a dead process left open.

This is the composition root of the control plane: only here is it said which adapter serves which port.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from django.db import connections, transaction

from strangler import conf
from strangler.control import breakglass, ramp_run
from strangler.control.breakglass import BREAK_GLASS, BreakGlass, Emergency
from strangler.control.drain import Drain, carry
from strangler.control.errors import Busy, GatesClosed, Undone
from strangler.control.handover import HandOver
from strangler.control.holding import Holding
from strangler.control.ledger import DatabaseLedger, Heartbeat, describe, open_operation
from strangler.control.models import Migration, Operation, Receipt
from strangler.control.observe import HANDOVER_FRESH_S, TRY_AGAIN_FRESH_S, Observer
from strangler.control.preview import HANDOVERS, preview
from strangler.control.publish import ProxyPlane
from strangler.control.rehearsal import REHEARSE, Rehearsal
from strangler.control.saga import DONE, REFUSED, REHEARSED, UNDONE, Event, Progress, Runner, Running, Saga, silent
from strangler.control.sides import MonolithSide, ServiceSide
from strangler.control.transitions import Transition
from strangler.domain import plan
from strangler.domain.estate import Context
from strangler.domain.gates import State, Verdict, overridden
from strangler.domain.plan import Kind, Plan
from strangler.domain.ramp import State as RampState
from strangler.domain.stages import Position, Side, Stage, next_position, previous_position
from strangler.errors import Fenced, LostLease, Misuse
from strangler.seams import sweep_orphans
from strangler.sync import fence, streams, wake
from strangler.sync.models import Ownership

ADVANCE, ROLLBACK, HOLD = "advance", "rollback", "hold"
TRIES = 8  # of a hand-over that undid itself because the moment was too busy
BETWEEN_TRIES_S = 1.0
STOP_RAMP_S = 30.0  # a step publishes a table and waits for every proxy; it is undone after half of that


# ---- where a context stands ---------------------------------------------------------------------------------------


def declared_context(name: str) -> Context:
    """Raises ``Misuse`` for a context that isn't declared."""
    contexts = conf.estate().contexts
    if name not in contexts:
        raise Misuse(f"there is no context {name!r}; strangler.toml declares {', '.join(sorted(contexts)) or 'none'}")
    return contexts[name]


def context_named(name: str) -> Context:
    """Raises ``Misuse`` for a context that isn't declared or has no service to move to."""
    context = declared_context(name)
    if not context.service_urls:
        raise Misuse(
            f"{name} has no service to move to; give it one in strangler.toml:"
            f' contexts.{name}.service = {{ urls = ["http://…"] }}'
        )
    return context


def migration_of(context: str) -> Migration:
    rows = Migration.objects.using(conf.setting("DATABASE"))
    return rows.get_or_create(context=context, defaults={"salt": uuid.uuid4().hex})[0]


def position_of(context: str) -> Position:
    row = Migration.objects.using(conf.setting("DATABASE")).filter(context=context).first()
    return Position.of(Stage(row.stage), row.percent) if row else Position.of(Stage.MONOLITH)


# ---- where it shall go --------------------------------------------------------------------------------------------


def _target(to: str | None, percent: int | None) -> tuple[Stage | None, int | None]:
    try:
        stage = Stage(to) if to else None
    except ValueError:
        raise Misuse(f"there is no stage {to!r}; the stages are {', '.join(Stage)}") from None
    if percent is not None:
        if stage not in (None, Stage.CANARY):
            raise Misuse(f"--percent belongs to canary, not to {stage}")
        if not 1 <= percent <= 100:
            raise Misuse(f"a canary share is 1…100 percent, not {percent}")
        stage = Stage.CANARY
    return stage, percent


def way_forward(context: Context, at: Position, to: str | None = None, percent: int | None = None) -> list[Position]:
    """The positions to go through. Raises ``Misuse`` where there is no way forward."""
    stage, percent = _target(to, percent)
    steps = context.ramp.steps
    if stage is None:
        following = next_position(at, steps)
        if following is None:
            raise Misuse(f"{context.name} is {at}, the last stage; the way back is: strangler rollback {context.name}")
        return [following]
    if stage is Stage.CANARY and percent is None:
        larger = [share for share in steps if share > at.percent] if at.stage is Stage.CANARY else list(steps)
        if not larger:
            raise Misuse(f"{context.name} is {at} already; next is: strangler advance {context.name} --to live")
        percent = larger[0]
    target = Position.of(stage, percent or 0)
    if target == at:
        raise Misuse(f"{context.name} is {at} already; there is nothing to do")
    if target < at:
        raise Misuse(f"{context.name} is {at}, which is past {target}; the way back is: {back_command(context.name, target)}")
    return plan.forward(at, target, steps)


def way_back(context: Context, at: Position, to: str | None = None, percent: int | None = None) -> list[Position]:
    """The positions to go back through; without a target one stage. Raises ``Misuse`` where there is no way back."""
    stage, percent = _target(to, percent)
    previous = previous_position(at)
    if previous is None:
        raise Misuse(f"{context.name} is {at}, the first stage; there is nothing to roll back")
    if stage is None:
        return [previous]
    target = Position.of(stage, (percent or 100) if stage is Stage.CANARY else 0)
    if target >= at:
        raise Misuse(f"{context.name} is {at}; {target} is not behind it. The way on is: strangler advance {context.name}")
    return plan.backward(at, target)


def check_overrides(context: str, at: Position, way: Sequence[Position], overrides: Sequence[str], why: str) -> None:
    """Raises ``Misuse`` for overrides without a reason, for more than one transition, or of a gate that stands for a promise."""
    if not overrides:
        return
    if not why.strip():
        raise Misuse(f'an override needs a reason, which the receipt keeps: --override {overrides[0]} --why "…"')
    if len(way) > 1:
        raise Misuse(
            f"an override is for one transition, and this goes through {plan.names(way)};"
            f" go one step at a time: strangler advance {context} --override {overrides[0]}"
        )
    for gate in overrides:
        refused = plan.refusal(gate, at, way[0])
        if refused:
            raise Misuse(f"gate {gate!r} can not be overridden: {refused}")


def back_command(context: str, target: Position) -> str:
    share = f" --percent {target.percent}" if target.stage is Stage.CANARY else ""
    return f"strangler rollback {context} --to {target.stage}{share}"


# ---- the wiring ---------------------------------------------------------------------------------------------------


PATIENT_TRIES = 100  # for the owner's lock, where no write is parked meanwhile


@dataclass
class Workshop:
    """Everything that one operation on one context needs, wired."""

    context: Context
    progress: Progress = silent
    slice_s: float = float("inf")
    keep_copy: bool = False
    ledger: DatabaseLedger = field(default_factory=DatabaseLedger)
    only_looks: bool = False
    plane: ProxyPlane = field(init=False)
    observer: Observer = field(init=False)

    def __post_init__(self) -> None:
        self.plane = ProxyPlane(self.ledger)
        self.monolith, self.service = MonolithSide(self.context.name), ServiceSide(self.context.name)
        self.observer = Observer(self.context, self.service, self.monolith, self.plane.proxies, only_looks=self.only_looks)

    def close(self) -> None:
        self.plane.close()

    def probe(self, at: Position, to: Position) -> Running:
        """An operation that isn't one, to ask what it would be like."""
        return Running("", self.context.name, "", at, to, "", 0)

    def judge(self, running: Running) -> list[Verdict]:
        """An override stands with the operation, so it holds for whoever resumes it, and is used up with its end."""
        self.observer.keep_copy = bool(running.data.get("keep_copy"))
        verdicts = self.observer.judge(running.at, running.to)
        return overridden(verdicts, running.data.get("overrides", ()), by=running.who, why=running.why)

    def saga(self, running: Running) -> Saga:
        if running.verb == HOLD:
            return Holding(float(running.data.get("seconds", 5)), self.plane, self.ledger).saga()
        if running.verb == BREAK_GLASS:
            return BreakGlass(
                self.context,
                self.plane,
                self.ledger,
                MonolithSide(self.context.name, tries=PATIENT_TRIES),
                lambda looks: breakglass.look_dead(self.context, looks=looks),
            ).saga()
        kind = plan.kind(running.at, running.to)
        if running.verb == REHEARSE:
            giver = self.monolith if kind is Kind.CUT_OVER else self.service
            return Rehearsal(self._hand_over(running), giver.mark).saga()
        if kind in HANDOVERS:
            return self._hand_over(running).saga()
        return Transition(
            self.context,
            self.plane,
            self.ledger,
            self.judge,
            MonolithSide(self.context.name, tries=PATIENT_TRIES),
            self.service,
            said=lambda text: self.progress(Event("wait", running, text)),
            slice_s=self.slice_s,
        ).saga(kind)

    def _hand_over(self, running: Running) -> HandOver:
        giver = running.at.stage.owner
        drain = Drain(self.context, giver)
        return HandOver(
            giver=giver,
            sides={Side.MONOLITH: self.monolith, Side.SERVICE: self.service},
            plane=self.plane,
            ledger=self.ledger,
            judge=self.judge,
            drain=drain.to,
            verify=lambda running: drain.verify(int(running.data["verified"])),
            streams=self._streams_of_owner,
            warm=lambda: self._warm(drain),
            wake=lambda: wake.wake(self.context.reverse_stream),
            nudge=lambda: carry(self.context.reverse_stream, Side.SERVICE),
            max_pause_ms=self.context.gates.max_pause_ms,
            max_task_wait_s=self.context.gates.max_task_wait_s,
        )

    def _warm(self, drain: Drain) -> dict[str, int]:
        """Before a write is parked: connections to Redis, broker and service are open, little is left to carry and compare."""
        self.plane.proxies.open()
        carry(drain.stream, drain.giver)
        return {"verified": drain.freshen()}

    def _streams_of_owner(self, running: Running) -> None:
        """Step 7: the reverse mirror runs exactly while the service owns; the mirror to the service stays, and is idle then."""
        if running.to.stage.owner is Side.SERVICE:
            streams.start(self.context.reverse_stream)
        else:
            streams.stop(self.context.reverse_stream)
            with suppress(Fenced), fence.translate(), transaction.atomic(using=self.ledger.alias):  # else reconcile does it (P16)
                sweep_orphans(self.context.name)  # parents deleted between the owners: their delete event was followed by nobody


# ---- the verbs ----------------------------------------------------------------------------------------------------


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
    _target(to, percent)
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
        _hands_over(context, at, way[:1] if rehearse else way)
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


def _hands_over(context: str, at: Position, way: Sequence[Position]) -> None:
    """Raises ``Misuse`` where no step of the way parks a write."""
    if not any(plan.kind(here, there) in HANDOVERS for here, there in zip([at, *way], way, strict=False)):
        raise Misuse(
            f"{context}: {at} → {plan.names(way)} changes no owner and parks no write, so there is no pause to bound or rehearse;"
            " that is canary 100 % → live, and the way back"
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
