"""The transitions that don't change the owner: into and out of the mirror, along the canary, into retirement and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strangler.control import observe
from strangler.control.drain import Drain, carry
from strangler.control.errors import GatesClosed, Paused
from strangler.control.handover import Owning, Plane
from strangler.control.saga import Action, Ledger, Running, Saga
from strangler.domain.estate import Context
from strangler.domain.gates import Verdict, closed
from strangler.domain.plan import Kind
from strangler.domain.stages import Side
from strangler.errors import LostLease, StranglerError
from strangler.sync import backfill, backfill_pace, install, loose_keys, marker, streams

PAUSE_S = 0.05


@dataclass
class Transition:
    """The steps of one such transition. Each action is idempotent; ``token`` is checked before anything outside is changed."""

    context: Context
    plane: Plane
    ledger: Ledger
    judge: Callable[[Running], Sequence[Verdict]]
    monolith: Owning
    service: Owning
    said: Callable[[str], None]
    converge_s: float = 15.0
    stall_s: float = 120.0
    slice_s: float = float("inf")  # how long a long step may go on before it gives its worker back
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _shown: str = field(default="", init=False)
    _began: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def _breathe(self, running: Running) -> None:
        """Between two rounds of a long step: still ours, and not for too long at a time."""
        self.ledger.reload(running)
        if self.clock() - self._began > self.slice_s:
            raise Paused(f"{running.context}: {running.step} goes on at the next tick")

    def saga(self, kind: Kind) -> Saga:
        build = {
            Kind.ENTER_MIRROR: self._enter_mirror,
            Kind.LEAVE_MIRROR: self._leave_mirror,
            Kind.PUBLISH: self._along,
            Kind.RETIRE: self._retire,
            Kind.UNRETIRE: self._unretire,
        }
        return build[kind]()

    def _enter_mirror(self) -> Saga:
        actions: dict[str, Action] = {
            "gates": self.gates,
            "install": self.install,
            "loosen": self.loosen,
            "streams": self.start_mirror,
            "backfill": self.backfill,
            "catch up": self.catch_up,
            "publish": self.publish,
            "converge": self.converge,
        }
        undo: dict[str, Action] = {
            "unpublish": self.unpublish,
            "stop": self.stop_mirror,
            "tighten": self.tighten,
            "uninstall": self.uninstall,
        }
        turning = {"install": "uninstall", "loosen": "tighten", "streams": "stop", "backfill": "stop", "catch up": "stop"}
        return self._saga(actions, undo, {**turning, "publish": "unpublish", "converge": "unpublish"})

    def _leave_mirror(self) -> Saga:
        """The keys come back while the mirror still runs, so that an orphan leaves everything as it was."""
        actions: dict[str, Action] = {
            "gates": self.gates,
            "tighten": self.tighten,
            "publish": self.publish,
            "converge": self.converge,
            "stop": self.stop_mirror,
            "uninstall": self.uninstall,
        }
        undo: dict[str, Action] = {"unpublish": self.unpublish, "loosen": self.loosen}
        turning = {"tighten": "loosen", "publish": "unpublish", "converge": "unpublish"}
        return self._saga(actions, undo, turning, no_return=("stop", "uninstall"))

    def _along(self) -> Saga:
        actions: dict[str, Action] = {"gates": self.gates, "publish": self.publish, "converge": self.converge}
        return self._saga(actions, {"unpublish": self.unpublish}, {"publish": "unpublish", "converge": "unpublish"})

    def _retire(self) -> Saga:
        actions: dict[str, Action] = {
            "gates": self.gates,
            "publish": self.publish,
            "converge": self.converge,
            "stop": self.stop_reverse,
        }
        turning = {"publish": "unpublish", "converge": "unpublish"}
        return self._saga(actions, {"unpublish": self.unpublish}, turning, no_return=("stop",))

    def _unretire(self) -> Saga:
        actions: dict[str, Action] = {
            "gates": self.gates,
            "streams": self.start_reverse,
            "catch up": self.catch_up_reverse,
            "publish": self.publish,
            "converge": self.converge,
        }
        undo: dict[str, Action] = {"unpublish": self.unpublish, "stop": self.stop_reverse}
        turning = {"streams": "stop", "catch up": "stop", "publish": "unpublish", "converge": "unpublish"}
        return self._saga(actions, undo, turning)

    @staticmethod
    def _saga(
        actions: Mapping[str, Action],
        undo: Mapping[str, Action],
        turning: Mapping[str, str],
        no_return: tuple[str, ...] = (),
    ) -> Saga:
        """None of these parks a write, so a resumed one goes on forward from where it was."""
        return Saga(actions, undo, turning, no_return=frozenset(no_return), resumable=frozenset(actions))

    # ---- gates and table ------------------------------------------------------------------------------------------

    def gates(self, running: Running) -> Mapping[str, Any]:
        verdicts = list(self.judge(running))
        if closed(verdicts):
            raise GatesClosed(f"{running.context}: {running.at} → {running.to}", verdicts)
        return {"verdicts": [verdict.to_json() for verdict in verdicts]}

    def publish(self, running: Running) -> Mapping[str, Any]:
        return self.plane.publish(running, running.to)

    def converge(self, running: Running) -> Mapping[str, Any]:
        return {"proxies": dict(self.plane.converged(timeout_s=self.converge_s))}

    def unpublish(self, running: Running) -> Mapping[str, Any]:
        """The old table again, under a new number. Proxies that can't be told now take it as soon as they can."""
        try:
            self.plane.publish(running, running.at)
            return {"proxies": dict(self.plane.converged(timeout_s=1.0))}
        except LostLease:
            raise
        except StranglerError as error:
            return {"release_error": str(error)}

    # ---- tables, keys and streams ---------------------------------------------------------------------------------

    def install(self, running: Running) -> Mapping[str, Any]:
        self.ledger.reload(running)
        install.install(self.context.name)
        return self._new_epoch(running)

    def _new_epoch(self, running: Running) -> Mapping[str, Any]:
        """Every mirroring has an epoch above all that the service ever applied, so nothing of an earlier one looks newer."""
        epoch = running.data.get("epoch")
        if epoch is None:
            monolith, service = self.monolith.read(), self.service.read()
            if monolith.owner != Side.MONOLITH or service.owner == Side.SERVICE:
                known = f"the monolith says {monolith.owner} ({monolith.epoch}), the service {service.owner} ({service.epoch})"
                settle = f"strangler reconcile {running.context}"
                raise StranglerError(f"the sides do not agree who owns {running.context}: {known}; settle it: {settle}")
            epoch = max(monolith.epoch, service.epoch) + 1
            self.ledger.note(running, data={"epoch": epoch})
        for side in (self.monolith, self.service):
            side.change(epoch=epoch, owner=Side.MONOLITH, operation=running.id)
        return {}

    def uninstall(self, running: Running) -> Mapping[str, Any]:
        """Capture, fence and streams go; the epoch stays, because proxies with the last table stamp it on requests (P16, P20)."""
        self.ledger.reload(running)
        install.uninstall(self.context.name, keep_epoch=True)
        return {}

    def loosen(self, running: Running) -> Mapping[str, Any]:
        self.ledger.reload(running)
        loose_keys.drop(self.context.name)
        return {}

    def tighten(self, running: Running) -> Mapping[str, Any]:
        self.ledger.reload(running)
        loose_keys.restore(self.context.name)
        return {}

    @property
    def _towards_service(self) -> list[str]:
        copies = [self.context.copies_stream] if self.context.read_copies else []
        return [self.context.mirror_stream, *copies]

    def start_mirror(self, running: Running) -> Mapping[str, Any]:
        with self.ledger.guard(running):
            for name in self._towards_service:
                streams.start(name)
        return {}

    def stop_mirror(self, running: Running) -> Mapping[str, Any]:
        with self.ledger.guard(running):
            for name in self._towards_service:
                streams.stop(name)
        return {}

    def start_reverse(self, running: Running) -> Mapping[str, Any]:
        with self.ledger.guard(running):
            streams.start(self.context.reverse_stream)
        return {}

    def stop_reverse(self, running: Running) -> Mapping[str, Any]:
        """A context that retires with ``keep_copy`` goes on being mirrored back, for others to read."""
        if running.data.get("keep_copy"):
            return {}
        with self.ledger.guard(running):
            streams.stop(self.context.reverse_stream)
        return {}

    def backfill(self, running: Running) -> Mapping[str, Any]:
        """Every mirrored row is sent, chunk by chunk; a resumed backfill goes on where it was."""
        if not running.data.get("backfill_asked"):
            for name in self._towards_service:
                backfill.start(name)
            self.ledger.note(running, data={"backfill_asked": True})
        for name in self._towards_service:
            self._backfill(running, name)
        return {}

    def _backfill(self, running: Running, name: str) -> None:
        stall = _Stall(self.clock, self.stall_s)
        said = ""
        while backfill.unfinished(name):
            self._breathe(running)
            try:
                backfill.step(name)
            except StranglerError as error:
                said = str(error)
            progress = backfill.progress(name)
            seen = observe.stream(name)
            sent = [(each.state, each.sent) for each in progress]
            waits = self.clock() if backfill_pace.is_paused(name) else None  # for as long as somebody wants it to
            if stall.over((sent, seen.relayed if seen else 0, waits)):
                said = said or (seen.last_error if seen else "") or "no worker carries it; is one running?"
                raise StranglerError(f"the backfill of {name} has not moved for {self.stall_s:.0f} s: {said}")
            self._tell(f"{name}: {_progress(progress)}")
            carry(name, Side.MONOLITH)
            self.sleep(PAUSE_S)

    def catch_up(self, running: Running) -> Mapping[str, Any]:
        """Until every stream has carried what was noted; fails when nothing moves any more."""
        for name in self._towards_service:
            self._catch_up(running, name)
        return {}

    def catch_up_reverse(self, running: Running) -> Mapping[str, Any]:
        """Until the monolith's tables have all that the service had written by now."""
        known = self.service.read()
        said = self.service.change(epoch=known.epoch, owner=known.owner, operation=known.operation)  # unchanged: its marker
        Drain(self.context, Side.SERVICE).to(said.marker, self.stall_s)
        return {}

    def _catch_up(self, running: Running, name: str) -> None:
        drawn = marker.draw()
        stall = _Stall(self.clock, self.stall_s)
        while True:
            seen = observe.stream(name)
            if seen is None:
                raise StranglerError(f"stream {name} is not installed; run: strangler sync install {self.context.name}")
            if seen.marker >= drawn and seen.backfilled is not False:
                return
            if stall.over((seen.relayed, seen.marker, seen.backfilled)):
                said = seen.last_error or "no worker carries it; is one running?"
                stuck = f"has not moved for {self.stall_s:.0f} s with {seen.depth} changes waiting"
                raise StranglerError(f"stream {name} {stuck}: {said}")
            self._tell(f"{name}: {seen.depth} changes waiting")
            self._breathe(running)
            carry(name, Side.MONOLITH)
            self.sleep(PAUSE_S)

    def _tell(self, text: str) -> None:
        if text != self._shown:
            self._shown = text
            self.said(text)


class _Stall:
    """Notices that nothing has moved for too long."""

    def __init__(self, clock: Callable[[], float], limit_s: float) -> None:
        self._clock, self._limit_s = clock, limit_s
        self._state: object = None
        self._moved_at = clock()

    def over(self, state: object) -> bool:
        if state != self._state:
            self._state, self._moved_at = state, self._clock()
        return self._clock() - self._moved_at > self._limit_s


def _progress(listed: Sequence[backfill.Progress]) -> str:
    sent, estimate = sum(each.sent for each in listed), sum(each.estimate for each in listed)
    done = sum(each.state == "done" for each in listed)
    share = f" of about {estimate:,}" if estimate else ""
    return f"{sent:,}{share} rows sent, {done} of {len(listed)} tables complete"
