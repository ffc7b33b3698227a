"""``--rehearse``: a hand-over up to its fence, and undone; what its pause would have been, step by step.

    gates → pause → hold → drain → release

The steps are those of the hand-over and have its bounds. What follows the fence is measured as far as it changes nothing: the
stream is drained to a marker drawn now, and what changed since the last check is compared. No owner, epoch or stage changes in
any interleaving, because no step writes one; a hold and a pause end by themselves where nobody is left to end them. A process
that dies on the way is undone like any other hand-over: the tick releases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from strangler.control.drain import StillChanging
from strangler.control.handover import COMMIT_SHARE, DRAIN_SHARE, HandOver
from strangler.control.saga import REHEARSED, Running, Saga

REHEARSE = "rehearse"
STEPS = ("gates", "pause", "hold", "drain", "release")


@dataclass
class Rehearsal:
    """``mark`` draws a marker at the giver: a round that publishes it or a later one has seen everything committed by now."""

    over: HandOver
    mark: Callable[[], int]

    def saga(self) -> Saga:
        return Saga(
            actions={
                "gates": self.over.gates,
                "pause": self.over.pause,
                "hold": self.over.hold,
                "drain": self.drain,
                "release": self.over.release,
            },
            undo={"release": self.over.release},
            turning=dict.fromkeys(("pause", "hold", "drain"), "release"),
            no_return=frozenset({"release"}),
            resumable=frozenset({"release"}),
            outcome=REHEARSED,
        )

    def drain(self, running: Running) -> Mapping[str, Any]:
        """Without the fence rows still change that no proxy holds; that is held against nobody."""
        with self.over.bounded(running, DRAIN_SHARE):
            self.over.drain(self.mark(), self.over.left(running, DRAIN_SHARE))
        with self.over.bounded(running, COMMIT_SHARE), suppress(StillChanging):
            self.over.verify(running)
        return {}
