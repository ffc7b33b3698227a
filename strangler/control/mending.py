"""Comparing, sending again what differs, comparing again: ``strangler sync verify --repair``."""

from __future__ import annotations

import time
from collections.abc import Callable

from strangler import conf
from strangler.control.drain import carry
from strangler.domain.stages import Side
from strangler.errors import StranglerError
from strangler.sync import drift, marker, reverse
from strangler.sync.client import ServiceClient
from strangler.sync.comparison import DriftReport
from strangler.sync.models import Stream

ROUNDS = 3
CARRY_S = 30.0  # for what was sent again to arrive; a worker may carry it on afterwards
PATIENCE_S = 5.0  # for keys in flight to get a verdict
PAUSE_S = 0.05

Told = Callable[[drift.Progress], None]


def verify(stream: str, told: Told | None = None) -> DriftReport:
    return drift.check(stream, patience_s=PATIENCE_S, told=told)


def mend(stream: str, told: Told | None = None) -> tuple[int, DriftReport]:
    """Until nothing differs, a few times at most: how many rows were sent again, and what the last comparison found."""
    sent = 0
    report = verify(stream, told)
    for _ in range(ROUNDS):
        if not report.differing:
            break
        sent += drift.repair(report)
        _await(stream)
        report = verify(stream, told)
    return sent, report


def _await(stream: str) -> None:
    """What was noted before this call has arrived, or the patience is over; carried here where no worker does."""
    row = Stream.objects.using(str(conf.setting("DATABASE"))).get(name=stream)
    is_reverse = row.kind == Stream.Kind.REVERSE
    wanted = int(ServiceClient(row.context).ownership()["marker"]) if is_reverse else marker.draw()
    deadline = time.monotonic() + CARRY_S
    said = ""
    while reverse.published(stream) < wanted:
        if time.monotonic() >= deadline:
            raise StranglerError(
                f"what was sent again through {stream} has not arrived in {CARRY_S:g} s"
                f"{': ' + said if said else ''}; see: strangler sync status"
            )
        said = carry(stream, Side.SERVICE if is_reverse else Side.MONOLITH) or said
        time.sleep(PAUSE_S)
