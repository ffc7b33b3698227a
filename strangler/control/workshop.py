"""The composition root of the control plane: only here is it said which adapter serves which port of an operation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from django.db import transaction

from strangler.control import breakglass
from strangler.control.breakglass import BREAK_GLASS, BreakGlass
from strangler.control.drain import Drain, carry
from strangler.control.handover import HandOver
from strangler.control.handover_rehearsal import REHEARSE, Rehearsal
from strangler.control.holding import HOLD, Holding
from strangler.control.ledger import DatabaseLedger
from strangler.control.observe import Observer
from strangler.control.preview import HANDOVERS
from strangler.control.publish import ProxyPlane
from strangler.control.saga import Event, Progress, Running, Saga, silent
from strangler.control.sides import MonolithSide, ServiceSide
from strangler.control.transitions import Transition
from strangler.domain import plan
from strangler.domain.estate import Context
from strangler.domain.gates import Verdict, overridden
from strangler.domain.plan import Kind
from strangler.domain.stages import Position, Side
from strangler.errors import Fenced
from strangler.seams import sweep_orphans
from strangler.sync import fence, streams, wake

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
