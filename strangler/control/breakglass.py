"""Break-glass: the way back from a service that is dead (P22, ADR 19).

    gates → hold → break → flip → settle

A dead service can't be fenced. So the monolith becomes the owner without its word, at an epoch above every one that an operation
can have said to it: what it still believes when it comes back is stale, it refuses every stamp of the new table (P20), and the
tick tells it (``sync.stranded``). Where this may go wrong, and what is done about it:

- *The service lives after all*: it is looked at once more while writes are parked; then everything is released.
- *It comes back a moment later*, or hangs and wakes: every live proxy has held, and has no older write in flight, before the
  monolith owns, as far as they answer. A proxy that doesn't is overtaken by the table; what it got through is stranded.
- *The puller is about to apply a late page*: the exclusive lock of the owner row waits for it, and the token that rises in the
  same transaction refuses the next one. So the cursor that is recorded is exact.
- *An operation waits for the dead service's word* (a rollback that was fenced, a cut-over that was committed): it is taken away
  from its holder under a higher token. A message of its that is still under way has a lower epoch.
- *The service lives after all, and such an operation was put off*: it goes on (``supersede``), or nobody would own.
- *A process dies*: ``break`` is one transaction with its record. Before it, everything is released; from it on it goes forward.
- *New ids here meet those that the service gave out*: sequences leave room (``ROOM``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Sum
from django.utils import timezone

from strangler import conf
from strangler.control import parking
from strangler.control.errors import Busy, GatesClosed
from strangler.control.handover import Owning, Plane
from strangler.control.ledger import SUPERSEDED, DatabaseLedger, describe, open_operation
from strangler.control.models import Operation
from strangler.control.saga import Running, Saga
from strangler.domain import emergency
from strangler.domain.emergency import Loss
from strangler.domain.estate import Context
from strangler.domain.gates import State, Verdict
from strangler.domain.plan import Kind, kind
from strangler.domain.stages import Position, Side, Stage
from strangler.errors import Fenced, LostLease, Misuse, StranglerError
from strangler.seams import sweep_orphans
from strangler.sync import broken, fence, sequences, stranded, streams
from strangler.sync.client import ServiceClient
from strangler.sync.models import Quarantine, Round, Stream

BREAK_GLASS = "break-glass"
TO = Position.of(Stage.MIRROR)  # from here on no request needs the service
ROOM = 10_000  # ids that the service may have given out and the monolith has not seen
LOOKS, BETWEEN_LOOKS_S, TIMEOUT = 3, 0.5, (1.0, 2.0)
RATE_OVER_S = 300.0
HOLD_S = 2.0  # for proxies to park what they have; one that doesn't answer is not waited for longer


# ---- what is the case ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Emergency:
    """What a person has to know before they say yes. ``phrase`` is what they type."""

    context: str
    at: Position
    epoch: int
    dead: Verdict
    loss: Loss
    supersedes: str  # the operation that waits for the dead service's word, in words

    @property
    def phrase(self) -> str:
        return emergency.phrase(self.context, self.epoch)

    def to_json(self) -> dict[str, Any]:
        return {
            "context": self.context,
            "from": str(self.at),
            "to": str(TO),
            "epoch": self.epoch,
            "dead": self.dead.to_json(),
            "loss": self.loss.to_json(),
            "supersedes": self.supersedes,
            "confirm": self.phrase,
            "open": self.dead.passes,
        }


def look(context: Context, at: Position, monolith: Owning, *, looks: int = LOOKS) -> Emergency:
    """Reads only. Raises ``Misuse`` where the monolith owns, so that the ordinary way back is open, or nothing follows."""
    name, here = context.name, monolith.read()
    waiting = _waiting(name)
    if at.stage is Stage.RETIRED:
        raise Misuse(
            f"{name} is retired: the monolith's tables have not followed since, so there is nothing to go back to;"
            f" bring the service back, from a backup if need be, then: strangler rollback {name}"
        )
    if here.owner == Side.MONOLITH:
        raise Misuse(f"the monolith owns {name}, so no word of the service is needed; the way back is: strangler rollback {name}")
    return Emergency(name, at, here.epoch, look_dead(context, looks=looks), loss_of(context), waiting)


def look_dead(context: Context, *, looks: int = LOOKS) -> Verdict:
    """Dead is what is not ready at any of its addresses, at any of several looks."""
    for left in reversed(range(looks)):
        verdict = emergency.dead(context.name, {url: _why_not_ready(context.name, url) for url in context.service_urls})
        if not verdict.passes or not left:
            return verdict
        time.sleep(BETWEEN_LOOKS_S)
    raise AssertionError("unreachable")


def _why_not_ready(context: str, url: str) -> str:
    try:
        ServiceClient(context, url, timeout=TIMEOUT).ready()
    except StranglerError as error:
        return str(error)
    return ""


def loss_of(context: Context) -> Loss:
    using, now = conf.setting("DATABASE"), timezone.now()
    reverse = Stream.objects.using(using).filter(name=context.reverse_stream).first()
    if reverse is None:
        return Loss(0, 0, None, None, 0, None)
    rounds = Round.objects.using(using).filter(stream=reverse.name, at__gt=now - timedelta(seconds=RATE_OVER_S))
    changes = rounds.aggregate(sum=Sum("changes"))["sum"]
    last = reverse.last_round_at
    return Loss(
        position=reverse.cursor,
        marker=reverse.marker,
        applied_at=last.isoformat(timespec="milliseconds") if last else None,
        age_s=max(0.0, (now - last).total_seconds()) if last else None,
        refused=Quarantine.objects.using(using).filter(stream=reverse.name).count(),
        per_s=None if changes is None else changes / RATE_OVER_S,
    )


# ---- an operation that waits for the dead -------------------------------------------------------------------------


def _needs_the_service(operation: Operation) -> bool:
    """It can neither go on nor back without the service's word."""
    at, to = (Position.of(Stage(stage), share) for stage, share in _ends(operation))
    if at == to:
        return False
    match kind(at, to), operation.undoing, operation.step:
        case (Kind.CUT_BACK, True, "undo-owner") | (Kind.CUT_OVER, False, "confirm"):
            return operation.verb != BREAK_GLASS
    return False


def _ends(operation: Operation) -> list[tuple[str, int]]:
    return [(operation.from_stage, operation.from_percent), (operation.to_stage, operation.to_percent)]


def _waiting(context: str) -> str:
    """The open operation that break-glass would end, in words. Raises ``Busy`` for any other."""
    operation = open_operation()
    if operation is None:
        return ""
    if operation.context != context or not _needs_the_service(operation):
        raise Busy(f"another operation runs in this estate: {describe(operation)}. See: strangler status")
    return describe(operation)


def supersede(ledger: DatabaseLedger, context: str, who: str) -> None:
    """Takes the waiting operation from its holder and sets it aside: the holder finds another token, and stops.

    Its receipt is written when the glass breaks. Until then it has only been put off: where the service lives after all, it goes
    on, since only it can say who owns (``ledger.take_up``). To be called in the transaction that begins the break-glass.
    """
    operation = open_operation()
    if operation is None or operation.context != context or not _needs_the_service(operation):
        return
    seized = ledger.seize(operation)
    if seized is None:
        raise Busy(f"{describe(operation)} went on this moment; look again: strangler status {context}")
    running = ledger.note(seized, error=f"break-glass by {who}: it waited for the word of a dead service")
    ledger.set_aside(running, SUPERSEDED)


def epoch_above(context: str, monolith: Owning, alias: str) -> int:
    """Two above every epoch that anybody can have said of the context: an operation says its own plus two at the most."""
    said = Operation.objects.using(alias).filter(context=context).values_list("data__epoch", flat=True)
    return max([monolith.read().epoch, *(int(epoch) + 2 for epoch in said if epoch is not None)]) + 2


# ---- the steps ----------------------------------------------------------------------------------------------------


@dataclass
class BreakGlass:
    context: Context
    plane: Plane
    ledger: DatabaseLedger
    monolith: Owning
    look_dead: Callable[[int], Verdict]  # at so many looks
    converge_s: float = 15.0
    clock: Callable[[], float] = time.time

    def saga(self) -> Saga:
        return Saga(
            actions={"gates": self.gates, "hold": self.hold, "break": self.break_, "flip": self.flip, "settle": self.settle},
            undo={"release": self.release},
            turning={"hold": "release", "break": "release"},
            atomic=frozenset({"break"}),
            no_return=frozenset({"flip", "settle"}),
            resumable=frozenset({"flip", "settle"}),
        )

    def gates(self, running: Running) -> Mapping[str, Any]:
        verdict = self._still_dead(running, LOOKS)
        here = self.monolith.read()
        if here.epoch != running.data["confirmed"]:
            raise StranglerError(f"{running.context} is at epoch {here.epoch} now, not at the one that was confirmed; look again")
        return {"verdicts": [verdict.to_json()], "epoch": epoch_above(running.context, self.monolith, conf.setting("DATABASE"))}

    def hold(self, running: Running) -> Mapping[str, Any]:
        """Best effort: no live proxy sends the service another write. Then the last look at it."""
        running = self.ledger.note(running, data={"held_at": self.clock()})
        result: dict[str, Any] = {}
        try:
            result.update(self.plane.publish(running, running.at, hold_ms=int(HOLD_S * 1000) + 8000))
            self.plane.held(running, timeout_s=HOLD_S)
        except LostLease:
            raise
        except StranglerError as error:
            result["hold_error"] = str(error)
        self._still_dead(running)
        return result

    def break_(self, running: Running) -> Mapping[str, Any]:
        """The point of no return, one transaction: owner, streams, and what is left behind."""
        epoch, name = int(running.data["epoch"]), running.context
        self.monolith.change(epoch=epoch, owner=Side.MONOLITH, operation=running.id)  # no page is being applied from here on
        self.ledger.end_aside(name, SUPERSEDED)
        with suppress(DatabaseError), transaction.atomic(using=conf.setting("DATABASE")):  # a narrow column may have no room
            sequences.advance(name, {column: first + ROOM for column, first in sequences.next_ids(name).items()})
        streams.stop(self.context.reverse_stream, "left by break-glass")
        loss = loss_of(self.context)
        reverse = Stream.objects.using(conf.setting("DATABASE")).get(name=self.context.reverse_stream)
        stranded.begin(name, reverse, operation=running.id, epoch=epoch)
        broken.give_up(self.context.mirror_stream, "its dead service was left by break-glass")
        return {"verdicts": [*running.data["verdicts"], loss.verdict().to_json()], "loss": loss.to_json()}

    def flip(self, running: Running) -> Mapping[str, Any]:
        published = self.plane.publish(running, running.to)
        acknowledged = self.plane.converged(timeout_s=self.converge_s)
        return {**published, "proxies": dict(acknowledged), "pause_ms": self._parked_ms(running)}

    def settle(self, running: Running) -> Mapping[str, Any]:
        """Parents deleted while nobody here followed. Where the monolith closed itself meanwhile (P16), reconcile does it."""
        with suppress(Fenced), fence.translate(), transaction.atomic(using=conf.setting("DATABASE")):
            sweep_orphans(running.context)
        return {}

    def release(self, running: Running) -> Mapping[str, Any]:
        return {**parking.release(self.plane, running, timeout_s=1.0), "pause_ms": self._parked_ms(running)}

    def _still_dead(self, running: Running, looks: int = 1) -> Verdict:
        verdict = self.look_dead(looks)
        if verdict.state is not State.PASS:
            raise GatesClosed(f"{running.context}: break-glass", [verdict])
        return verdict

    def _parked_ms(self, running: Running) -> float | None:
        return parking.parked_ms(running, self.clock())
