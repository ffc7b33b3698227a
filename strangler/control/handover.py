"""The hand-over of ownership from one side to the other: the cut-over, and the same dance back (PROTOCOL, Cut-over; P16, P22).

    gates → pause → hold → fence → drain → offer (5a) → commit (5b) → confirm (5c) → flip → reverse (7)

``commit`` is the point of no return: one transaction on the monolith's database writes the owner and the step. A failure
before it turns back with the giver as owner at a higher epoch; from it on the hand-over only goes forward. Why a stale
holder can do no harm: every change of ownership carries (epoch, operation), and a side refuses an older epoch, the same
epoch with other content, and ``owner → none`` at one epoch; the commit and every published table check the token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from strangler.control import parking
from strangler.control.errors import GatesClosed, NotConverged, TooSlow
from strangler.control.saga import Ledger, Running, Saga
from strangler.domain.gates import Verdict, closed
from strangler.domain.stages import Position, Side
from strangler.errors import LostLease, StaleEpoch, StranglerError
from strangler.sync import deadline

log = logging.getLogger("strangler.control")

PAUSED = ("hold", "fence", "drain", "offer", "commit")  # the steps that `max_pause_ms` bounds
# Of the longest pause: when the hold, the drain and the commit must be through, so that the rest, or turning back, fits too.
HOLD_SHARE, DRAIN_SHARE, COMMIT_SHARE = 0.45, 0.55, 0.6
SOON_S = 0.25  # by then proxies have usually acknowledged a table


@dataclass(frozen=True)
class Known:
    """Whom a side takes for the owner."""

    epoch: int
    owner: str
    operation: str = ""


@dataclass(frozen=True)
class Handed:
    """What a side says when its ownership was set: the ids from which the other goes on, and a marker drawn afterwards."""

    next_ids: Mapping[str, int]
    marker: int


class Owning(Protocol):
    """One side of the hand-over. ``change`` follows P16: idempotent; raises ``StaleEpoch`` for what is older or other."""

    def read(self) -> Known: ...
    def change(self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None) -> Handed: ...


class Plane(Protocol):
    """Proxies and workers, through the published route table."""

    def publish(self, running: Running, position: Position, *, hold_ms: int = 0, pause_ms: int = 0) -> Mapping[str, Any]:
        """A new table, written in a transaction that checks the token. For so long writes are parked, and tasks set aside."""

    def paused(self, running: Running, *, timeout_s: float) -> None:
        """Every live worker sets the context's tasks aside for this operation and runs none. Raises ``NotConverged``."""

    def held(self, running: Running, *, timeout_s: float) -> None:
        """Every live proxy parks writes for this operation and has no older one in flight. Raises ``NotConverged``."""

    def converged(self, *, timeout_s: float) -> Mapping[str, Any]:
        """Every live proxy has the newest table: proxy id → version. Raises ``NotConverged``."""


@dataclass
class HandOver:
    """The steps of one hand-over. ``giver`` and ``taker`` are the sides; the monolith's database holds the ledger."""

    giver: Side
    sides: Mapping[Side, Owning]
    plane: Plane
    ledger: Ledger
    judge: Callable[[Running], Sequence[Verdict]]
    drain: Callable[[int, float], None]  # (marker, seconds left): the taker has applied everything before the marker
    verify: Callable[[Running], None]  # the keys changed since the last check are equal on both sides, quarantine is empty
    streams: Callable[[Running], None]  # step 7: the streams that belong to the new owner
    nudge: Callable[[], object] = lambda: None  # afterwards, outside of any transaction: the new stream's first round
    warm: Callable[[], Mapping[str, Any]] = dict  # right before the hold: whatever would cost time while writes are parked
    wake: Callable[[], object] = lambda: None  # the new owner's stream has just been started
    max_pause_ms: float = 500.0
    max_task_wait_s: float = 30.0
    converge_s: float = 15.0
    clock: Callable[[], float] = time.time

    def saga(self) -> Saga:
        back = {"undo-owner": self.undo_owner, "undo-other": self.undo_other, "release": self.release}
        if self.giver is Side.MONOLITH:  # the monolith's word alone is enough to go on; the service hears of it afterwards
            back = {name: back[name] for name in ("undo-owner", "release", "undo-other")}
        return Saga(
            actions={
                "gates": self.gates,
                "pause": self.pause,
                "hold": self.hold,
                "fence": self.fence,
                "drain": self.drained,
                "offer": self.offer,
                "commit": self.commit,
                "confirm": self.confirm,
                "flip": self.flip,
                "reverse": self.reverse,
            },
            undo=back,
            turning={"pause": "release", "hold": "release", **dict.fromkeys(("fence", "drain", "offer", "commit"), "undo-owner")},
            # The monolith's fence and its record are one transaction too: who lost the token can't fence, and a fence that was
            # not to be had has left nothing to undo.
            atomic=frozenset({"commit", "fence"} if self.giver is Side.MONOLITH else {"commit"}),
            no_return=frozenset({"confirm", "flip", "reverse"}),
            resumable=frozenset({"confirm", "flip", "reverse"}),
        )

    @property
    def taker(self) -> Side:
        return self.giver.other

    # ---- there ----------------------------------------------------------------------------------------------------

    def gates(self, running: Running) -> Mapping[str, Any]:
        unsettled = self._settle()
        verdicts = list(self.judge(running))
        if closed(verdicts):
            raise GatesClosed(f"{running.context}: {running.at} → {running.to}", verdicts)
        if unsettled:
            raise unsettled
        epoch = self.sides[Side.MONOLITH].read().epoch
        return {"verdicts": [verdict.to_json() for verdict in verdicts], "epoch": epoch}

    def _settle(self) -> StranglerError | None:
        """A change of owner that the service still has to hear of (an undo that it missed) is told first."""
        try:
            monolith, service = self.sides[Side.MONOLITH].read(), self.sides[Side.SERVICE].read()
            if service.epoch < monolith.epoch and monolith.owner == self.giver:
                self.sides[Side.SERVICE].change(epoch=monolith.epoch, owner=monolith.owner, operation=monolith.operation)
        except StranglerError as error:
            return error
        return None

    def pause(self, running: Running) -> Mapping[str, Any]:
        """No task of the context is begun any more, and those under way end, before a single write is parked."""
        published = self.plane.publish(running, running.at, pause_ms=self._pause_ms)
        self.plane.paused(running, timeout_s=self.max_task_wait_s)
        return {**published, **self.warm()}

    def hold(self, running: Running) -> Mapping[str, Any]:
        running = self.ledger.note(running, data={"held_at": self.clock()})
        with self.bounded(running, HOLD_SHARE):
            published = self.plane.publish(running, running.at, hold_ms=self._hold_ms, pause_ms=self._pause_ms)
            self.plane.held(running, timeout_s=self.left(running, HOLD_SHARE))
        self._in_time(running)
        return published

    def fence(self, running: Running) -> Mapping[str, Any]:
        epoch = int(running.data["epoch"]) + 1
        with self.bounded(running, DRAIN_SHARE):
            handed = self.sides[self.giver].change(epoch=epoch, owner=Side.NONE, operation=running.id)
        log.info("handover.fenced context=%s epoch=%s marker=%s operation=%s", running.context, epoch, handed.marker, running.id)
        return {"fenced": epoch, "next_ids": dict(handed.next_ids), "marker": handed.marker}

    def drained(self, running: Running) -> Mapping[str, Any]:
        with self.bounded(running, DRAIN_SHARE):
            self.drain(int(running.data["marker"]), self.left(running, DRAIN_SHARE))
        with self.bounded(running, COMMIT_SHARE):
            self.verify(running)
        return {}

    def offer(self, running: Running) -> Mapping[str, Any]:
        with self.bounded(running, COMMIT_SHARE):
            self.sides[self.taker].change(
                epoch=running.data["fenced"], owner=Side.NONE, operation=running.id, next_ids=running.data["next_ids"]
            )
        self._in_time(running)
        return {}

    def commit(self, running: Running) -> Mapping[str, Any]:
        """Runs in one transaction with the record of the step, on the monolith's database: the point of no return."""
        with self.bounded(running, COMMIT_SHARE):
            self.sides[Side.MONOLITH].change(epoch=running.data["fenced"], owner=self.taker, operation=running.id)
        return {}

    def confirm(self, running: Running) -> Mapping[str, Any]:
        return self._say(Side.SERVICE, running.data["fenced"], self.taker, running)

    def flip(self, running: Running) -> Mapping[str, Any]:
        published = self.plane.publish(running, running.to)
        try:
            acknowledged = self.plane.converged(timeout_s=SOON_S)
            parked = self._parked_ms(running)  # writes go on from here; what follows is not waited for by any of them
            self._fill(running)
        except NotConverged:  # the reverse mirror does not wait for a proxy that is late
            self._fill(running)
            acknowledged = self.plane.converged(timeout_s=self.converge_s)
            parked = self._parked_ms(running)
        return {**published, "proxies": dict(acknowledged), "pause_ms": parked}

    def _fill(self, running: Running) -> None:
        """The reverse mirror begins."""
        if self.taker is Side.SERVICE:
            with self.ledger.guard(running):
                self.streams(running)
            self.wake()

    def reverse(self, running: Running) -> Mapping[str, Any]:
        with self.ledger.guard(running):
            self.streams(running)
        self.nudge()
        return {}

    # ---- and back -------------------------------------------------------------------------------------------------

    def undo_owner(self, running: Running) -> Mapping[str, Any]:
        """The giver owns again, at an epoch above everything that this operation can have said."""
        if self.giver is Side.MONOLITH and "fenced" not in running.data:
            return {}  # it never stopped owning
        epoch = int(running.data["epoch"]) + 2
        return self._say(self.giver, epoch, self.giver, running) or {"undone": epoch}

    def undo_other(self, running: Running) -> Mapping[str, Any]:
        if "undone" not in running.data:
            return {}  # no ownership was touched
        try:
            return self._say(self.taker, running.data["undone"], self.giver, running)
        except StranglerError as error:
            if self.taker is Side.MONOLITH:
                raise
            log.warning("handover.owed context=%s error=%s operation=%s", running.context, error, running.id)
            return {"owed": True}  # the tick tells the service; the next hand-over begins with it too

    def _say(self, name: Side, epoch: int, owner: Side, running: Running) -> Mapping[str, Any]:
        """Who owns, where it must not be refused. Only a side whose database is another one meanwhile may: it has closed itself,
        nobody owns until ``strangler reconcile`` (P16), and that has to wait for the end of this operation.
        """
        side = self.sides[name]
        try:
            side.change(epoch=epoch, owner=owner, operation=running.id)
        except StaleEpoch:
            known = side.read()
            if known.owner != Side.NONE or known.epoch < epoch or known.operation == running.id:
                raise
            log.warning(
                "handover.closed context=%s side=%s epoch=%s operation=%s", running.context, name, known.epoch, running.id
            )
            return {"closed": str(name)}
        return {}

    def release(self, running: Running) -> Mapping[str, Any]:
        return {**parking.release(self.plane, running, timeout_s=1.0), "pause_ms": self._parked_ms(running)}

    # ---- time -----------------------------------------------------------------------------------------------------

    @property
    def _hold_ms(self) -> int:
        """After so long proxies end a hold by themselves."""
        return int(self.max_pause_ms * 2 + 2000)

    @property
    def _pause_ms(self) -> int:
        """After so long workers go on with the tasks by themselves: a pause outlasts its hold."""
        return int(self.max_task_wait_s * 1000) + self._hold_ms + 5000

    def _parked_ms(self, running: Running) -> float | None:
        return parking.parked_ms(running, self.clock())

    def left(self, running: Running, share: float) -> float:
        """Seconds until ``share`` of the longest pause is over."""
        return max(0.0, (share * self.max_pause_ms - (self._parked_ms(running) or 0.0)) / 1000)

    @contextmanager
    def bounded(self, running: Running, share: float) -> Iterator[None]:
        """What waits inside, at a socket or a lock, does so no longer than until ``share`` of the longest pause is over."""
        self._in_time(running)
        try:
            with deadline.within(self.left(running, share)):
                yield
        except LostLease:
            raise
        except StranglerError as error:
            if self.left(running, share) > 0:
                raise
            raise TooSlow(f"{self._slow(running)}: {error}") from error

    def _in_time(self, running: Running) -> None:
        if (self._parked_ms(running) or 0.0) > COMMIT_SHARE * self.max_pause_ms:
            raise TooSlow(self._slow(running))

    def _slow(self, running: Running) -> str:
        """How long writes have been parked, and which step took most of it."""
        parked = self._parked_ms(running) or 0.0
        took = {step: ms for step, ms in running.data.get("steps_ms", {}).items() if step in PAUSED}
        took[running.step] = parked - sum(took.values())
        slow = max(took, key=lambda step: took[step])
        return (
            f"writes were parked for {parked:.0f} of the {self.max_pause_ms:g} ms that max_pause_ms allows, too long for the rest"
            f" to fit; the slow step was {slow} ({took[slow]:.0f} ms)"
        )
