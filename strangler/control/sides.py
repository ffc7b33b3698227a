"""The two sides as the hand-over sees them: the monolith's own database, and the service behind its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strangler.control.errors import TooSlow
from strangler.control.handover import Handed, Known
from strangler.sync import deadline, marker, ownership, sequences
from strangler.sync.client import ServiceClient


@dataclass
class MonolithSide:
    """The owner row beside the monolith's tables. A change takes the context's lock exclusively, briefly, a few times."""

    context: str
    lock_timeout_ms: int = 100
    tries: int = 3

    def read(self) -> Known:
        record = ownership.get(self.context)
        return Known(record.epoch, str(record.owner), record.operation)

    def change(self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None) -> Handed:
        patience_ms, tries = self._patience()
        try:
            ownership.change(
                self.context,
                epoch=epoch,
                owner=str(owner),
                operation=operation,
                lock_timeout_ms=patience_ms,
                tries=tries,
                next_ids=dict(next_ids) if next_ids else None,
            )
        except ownership.OwnershipBusy as busy:
            raise TooSlow(str(busy)) from busy
        return Handed(sequences.next_ids(self.context), marker.draw())

    def mark(self) -> int:
        """A marker drawn now: whoever publishes it or a later one has seen all that was committed before."""
        return marker.draw()

    def _patience(self) -> tuple[int, int]:
        """Milliseconds for the lock, and how often: no more than the deadline leaves."""
        all_ms = deadline.cap(self.lock_timeout_ms * self.tries / 1000) * 1000
        each_ms = max(1, int(min(self.lock_timeout_ms, all_ms)))
        return each_ms, max(1, min(self.tries, int(all_ms // each_ms)))


@dataclass
class ServiceSide:
    """The service, through ``/_strangler/ownership``."""

    context: str
    client: ServiceClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = ServiceClient(self.context)

    def read(self) -> Known:
        said = self.client.ownership()
        return Known(int(said["epoch"]), str(said["owner"]), str(said.get("operation") or ""))

    def change(self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None) -> Handed:
        said = self.client.put_ownership(
            epoch=epoch, owner=str(owner), operation=operation, next_ids=dict(next_ids) if next_ids else None
        )
        return Handed(said.get("next_ids") or {}, int(said.get("marker") or 0))

    def mark(self) -> int:
        """As ``MonolithSide.mark``; the service draws one with each answer."""
        return int(self.client.ownership().get("marker") or 0)
