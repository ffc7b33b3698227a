"""Waiting until the taker of a hand-over has everything: the stream to a marker, and the digest of what changed last."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db.models.functions import Now

from strangler import conf
from strangler.control.errors import Slow
from strangler.domain.estate import Context
from strangler.domain.stages import Side
from strangler.errors import LostLease, StranglerError
from strangler.sync import drift, relay, reverse, wake
from strangler.sync.models import Quarantine, Stream

PAUSE_S = 0.005
AGAIN_S = 0.05  # whom it asks needs the processor more than one who asks without end
ROUND_S = 0.2  # how long a stream is carried here at a time; a worker goes on with it


class NotDrained(Slow):
    """The stream did not reach the marker in time."""


class NotEqual(StranglerError):
    """What the stream carried is not the same on both sides."""


def carry(stream: str, giver: Side) -> str:
    """Asks the stream's holder for one more round; where it has none, makes it right here. Gives what went wrong, or nothing."""
    if Stream.objects.using(_alias()).filter(name=stream, lease_until__gt=Now()).exists():
        wake.hurry(stream)
        return ""
    try:
        (relay.run if giver is Side.MONOLITH else reverse.run)(stream, budget_s=ROUND_S)
    except LostLease:
        pass  # a worker was quicker
    except StranglerError as error:
        return str(error)  # the stream backs off and tries again
    return ""


class StillChanging(NotEqual):
    """Rows that change while they are compared, although nobody should write: not so before the fence."""


@dataclass(frozen=True)
class Drain:
    """The stream from ``giver`` of ``context``: the mirror on the way there, the reverse mirror on the way back."""

    context: Context
    giver: Side

    @property
    def stream(self) -> str:
        return self.context.mirror_stream if self.giver is Side.MONOLITH else self.context.reverse_stream

    def to(self, marker: int, left_s: float) -> None:
        """Waits until ``marker`` or a later one is published: everything committed before the fence has arrived.

        A worker is woken; where none holds the stream, this process runs a round itself.
        """
        deadline = time.monotonic() + left_s
        said, asked = "", float("-inf")
        while not self._passed(marker):
            now = time.monotonic()
            if now >= deadline:
                raise NotDrained(f"stream {self.stream} {self._where(marker, said)}")
            if now - asked >= AGAIN_S:
                said, asked = carry(self.stream, self.giver) or said, now
            time.sleep(PAUSE_S)

    def freshen(self) -> int:
        """Compares what changed since the last full check, so that little is left to compare while writes are parked.

        Gives the marker up to which both sides are known to be equal: what was in flight is applied by a later round.
        """
        row = self._row()
        self._equal(drift.check(self.stream, since_marker=row.verified_marker))
        return int(row.marker)

    def verify(self, since: int) -> None:
        """The rows changed since the marker ``since`` are equal on both sides; none is in quarantine."""
        waiting = Quarantine.objects.using(_alias()).filter(stream=self.stream).count()
        if waiting:
            raise NotEqual(f"stream {self.stream}: {waiting} rows could not be applied; see: strangler sync quarantine list")
        report = drift.check(self.stream, since_marker=since)
        self._equal(report)
        if report.in_flight:
            raise StillChanging(
                f"after the drain {report.in_flight} rows of {self.stream} still change; who writes past the fence?"
            )

    def _equal(self, report: drift.DriftReport) -> None:
        if report.differing:
            collection, key, kind = report.differing[0]
            more = f" and {len(report.differing) - 1} more" if len(report.differing) > 1 else ""
            see = f"strangler sync verify {self.context.name}"
            raise NotEqual(f"{collection}/{key} differs between the sides ({kind}){more}; see: {see}")

    def _row(self) -> Stream:
        return Stream.objects.using(_alias()).get(name=self.stream)

    def _passed(self, marker: int) -> bool:
        """Ours was drawn after the fence, so a round that published it or a later one saw everything before the fence."""
        return self._row().marker >= marker

    def _where(self, marker: int, said: str) -> str:
        row = self._row()
        said = said or row.last_error or row.reason
        return f"is at marker {row.marker} and was to reach {marker}" + (f"; it says: {said}" if said else "")


def _alias() -> str:
    return str(conf.setting("DATABASE"))
