"""The engine that moves a context: ``advance``, ``rollback``, ``hold``, and ``resume`` for what a dead process left open.

This is the composition root of the control plane: only here is it said which adapter serves which port.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import connections, transaction

from strangler import conf
from strangler.control.drain import Drain, carry
from strangler.control.errors import Busy, GatesClosed, Undone
from strangler.control.handover import HandOver
from strangler.control.holding import Holding
from strangler.control.ledger import DatabaseLedger, Heartbeat, describe, open_operation
from strangler.control.models import Migration, Operation, Receipt
from strangler.control.observe import HANDOVER_FRESH_S, TRY_AGAIN_FRESH_S, Observer
from strangler.control.publish import ProxyPlane
from strangler.control.saga import DONE, REFUSED, UNDONE, Event, Progress, Runner, Running, Saga, silent
from strangler.control.sides import MonolithSide, ServiceSide
from strangler.control.transitions import Transition
from strangler.domain import plan
from strangler.domain.estate import Context
from strangler.domain.gates import State, Verdict
from strangler.domain.plan import Kind, Plan
from strangler.domain.stages import Position, Side, Stage, next_position, previous_position
from strangler.errors import Fenced, LostLease, Misuse
from strangler.seams import sweep_orphans
from strangler.sync import fence, streams, wake
from strangler.sync.models import Ownership

ADVANCE, ROLLBACK, HOLD = "advance", "rollback", "hold"
TRIES = 8  # of a hand-over that undid itself because the moment was too busy
BETWEEN_TRIES_S = 1.0


# ---- where a context stands ---------------------------------------------------------------------------------------


def context_named(name: str) -> Context:
    """Raises ``Misuse`` for a context that isn't declared or has no service to move to."""
    contexts = conf.estate().contexts
    if name not in contexts:
        raise Misuse(f"there is no context {name!r}; strangler.toml declares {', '.join(sorted(contexts)) or 'none'}")
    if not contexts[name].service_urls:
        raise Misuse(
            f"{name} has no service to move to; give it one in strangler.toml:"
            f' contexts.{name}.service = {{ urls = ["http://…"] }}'
        )
    return contexts[name]


def migration_of(context: str) -> Migration:
    rows = Migration.objects.using(conf.setting("DATABASE"))
    return rows.get_or_create(context=context, defaults={"salt": uuid.uuid4().hex})[0]


def position_of(context: str) -> Position:
    row = migration_of(context)
    return Position.of(Stage(row.stage), row.percent)


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
    ledger: DatabaseLedger = field(default_factory=DatabaseLedger)
    plane: ProxyPlane = field(init=False)
    observer: Observer = field(init=False)

    def __post_init__(self) -> None:
        self.plane = ProxyPlane(self.ledger)
        self.monolith, self.service = MonolithSide(self.context.name), ServiceSide(self.context.name)
        self.observer = Observer(self.context, self.service, self.monolith, self.plane.proxies)

    def close(self) -> None:
        self.plane.close()

    def probe(self, at: Position, to: Position) -> Running:
        """An operation that isn't one, to ask what it would be like."""
        return Running("", self.context.name, "", at, to, "", 0)

    def judge(self, running: Running) -> list[Verdict]:
        return self.observer.judge(running.at, running.to)

    def saga(self, running: Running) -> Saga:
        if running.verb == HOLD:
            return Holding(float(running.data.get("seconds", 5)), self.plane, self.ledger).saga()
        kind = plan.kind(running.at, running.to)
        if kind in (Kind.CUT_OVER, Kind.CUT_BACK):
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
    if receipt.outcome == DONE:
        return receipt
    verdicts = [Verdict(**{**said, "state": State(said["state"])}) for said in receipt.verdicts]
    if receipt.outcome == REFUSED and verdicts:
        raise GatesClosed(f"{receipt.context}: {at} → {to}", verdicts)
    if receipt.outcome == REFUSED:
        raise Undone(f"{receipt.context}: {at} → {to} did not begin: {receipt.error}", receipt)
    raise Undone(f"{receipt.context}: {at} → {to} was undone, and the context is {at} as before: {receipt.error}", receipt)


def _go(
    verb: str, context: Context, way: Sequence[Position], *, who: str, why: str, dry_run: bool, tries: int, progress: Progress
) -> list[Receipt] | Plan:
    workshop = Workshop(context, progress)
    try:
        at = position_of(context.name)
        if dry_run:
            return _plan(workshop, at, way)
        receipts: list[Receipt] = []
        for to in way:
            for left in reversed(range(tries)):
                receipts.append(_once(workshop, verb, at, to, who=who, why=why))
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


def _once(workshop: Workshop, verb: str, at: Position, to: Position, *, who: str, why: str) -> Receipt:
    name = workshop.context.name
    running = workshop.ledger.begin(context=name, verb=verb, at=at, to=to, step=_steps(workshop, at, to)[0], who=who, why=why)
    if position_of(name) != at:  # somebody moved it between our look and our operation
        workshop.ledger.finish(workshop.ledger.note(running, error="the context was moved meanwhile"), REFUSED, {})
        raise Busy(f"{name} was moved by somebody else just now; look again: strangler status {name}")
    return _drive(workshop, running)


def _was_too_slow(receipt: Receipt) -> bool:
    """Whether a hand-over was undone for want of time alone: then another moment may be better."""
    if receipt.outcome != UNDONE:
        return False
    operation = Operation.objects.using(conf.setting("DATABASE")).get(id=receipt.operation)
    return bool(operation.data.get("slow")) and "held_at" in operation.data


def _steps(workshop: Workshop, at: Position, to: Position) -> tuple[str, ...]:
    return tuple(workshop.saga(workshop.probe(at, to)).actions)


def _plan(workshop: Workshop, at: Position, way: Sequence[Position]) -> Plan:
    to = way[0]
    verdicts = tuple(workshop.observer.judge(at, to))
    row = Ownership.objects.using(workshop.ledger.alias).filter(context=workshop.context.name).first()
    return Plan(workshop.context.name, at, to, _steps(workshop, at, to), verdicts, row.epoch if row else 0, tuple(way[1:]))


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
) -> Receipt | Plan:
    """One stage or canary step on, or through all of them to ``to``. Gives the last receipt, or with ``dry_run`` the plan.

    Raises ``Misuse``, ``GatesClosed``, ``Busy``, ``Undone``, ``StillRunning``.
    """
    done = travel(
        ADVANCE, context, to=to, percent=percent, who=who, why=why, dry_run=dry_run, tries=max(1, tries), progress=progress
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
    progress: Progress = silent,
) -> list[Receipt] | Plan:
    """``advance`` or ``rollback`` with every receipt of the way, one an operation.

    A hand-over that undid itself because the moment was too busy is begun again, ``tries`` times in all, each with a receipt.
    """
    declared = context_named(context)
    if not dry_run:
        resume(progress=progress)
    at = position_of(context)
    way = (way_forward if verb == ADVANCE else way_back)(declared, at, to, percent)
    return _go(verb, declared, way, who=who, why=why, dry_run=dry_run, tries=max(1, tries), progress=progress)


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
    if operation is None:
        return None
    if operation.context not in conf.estate().contexts:
        gone = f"strangler.toml doesn't declare {operation.context} any more; declare it again"
        raise Misuse(f"{describe(operation)} is open, but {gone}")
    running = ledger.take()
    if running is None:
        return None
    workshop = Workshop(conf.estate().contexts[running.context], progress, slice_s, ledger)
    try:
        return _drive(workshop, running, resumed=True, patience_s=patience_s)
    except LostLease:
        return None  # somebody else was quicker
    finally:
        workshop.close()
        if not connections[ledger.alias].in_atomic_block:
            connections[ledger.alias].close_if_unusable_or_obsolete()
