"""``strangler hold``: the writes of a context are parked for a while, without moving anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from strangler.control import parking
from strangler.control.handover import Plane
from strangler.control.saga import Ledger, Running, Saga

HOLD = "hold"


@dataclass
class Holding:
    seconds: float
    plane: Plane
    ledger: Ledger
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def saga(self) -> Saga:
        return Saga(
            actions={"hold": self.hold, "keep": self.keep, "release": self.release},
            undo={"release": self.release},
            turning={"hold": "release", "keep": "release"},
            no_return=frozenset({"release"}),
            resumable=frozenset({"release"}),
        )

    def hold(self, running: Running) -> Mapping[str, Any]:
        running = self.ledger.note(running, data={"held_at": self.clock()})
        published = self.plane.publish(running, running.at, hold_ms=max(1, int(self.seconds * 1000)))
        self.plane.held(running, timeout_s=min(5.0, self.seconds))
        return published

    def keep(self, running: Running) -> Mapping[str, Any]:
        ends = float(running.data["held_at"]) + self.seconds
        while (left := ends - self.clock()) > 0:
            self.ledger.reload(running)
            self.sleep(min(0.25, left))
        return {}

    def release(self, running: Running) -> Mapping[str, Any]:
        released = parking.release(self.plane, running, timeout_s=5.0)
        return {**released, "pause_ms": parking.parked_ms(running, self.clock())}
