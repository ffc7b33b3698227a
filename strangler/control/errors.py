"""What can go wrong while a context moves. The message says what happened, to what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strangler.domain.gates import Verdict
from strangler.errors import StranglerError


class GatesClosed(StranglerError):
    """A gate holds the transition back; nothing was changed."""

    def __init__(self, what: str, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = tuple(verdicts)
        reasons = "; ".join(f"{verdict} [{verdict.state}]" for verdict in verdicts if verdict.holds)
        super().__init__(f"{what} is held back by {reasons}")


class Busy(StranglerError):
    """Another operation runs in this estate. Only one may, and its holder is named."""


class Slow(StranglerError):
    """Something took longer than a pause may last. Another moment may be better, so a hand-over is tried again."""


class TooSlow(Slow):
    """Writes would have been parked for longer than ``max_pause_ms``."""


class NotConverged(Slow):
    """A live proxy did not acknowledge in time."""


class RedisUnavailable(StranglerError):
    """Redis does not answer; route tables and acknowledgements travel there."""


class Undone(StranglerError):
    """The operation failed before its point of no return and undid itself. ``receipt`` tells all."""

    def __init__(self, message: str, receipt: Any = None) -> None:
        self.receipt = receipt
        super().__init__(message)


class Paused(StranglerError):
    """A long step gives its worker back; the next tick goes on with it from where it is."""


class StillRunning(StranglerError):
    """The operation can only go forward and waits for something; the tick goes on with it."""
