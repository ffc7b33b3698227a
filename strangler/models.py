"""Where Django looks for the models of the app ``strangler``."""

from strangler.control.models import Migration, Operation, Receipt, RouteTableVersion
from strangler.sync.models import Applied, Backfill, LooseKey, Outbox, Ownership, Quarantine, Round, Shape, Stream, Subscription
from strangler.sync.recording.models import Effect, RecordedWrite, Recording

__all__ = [
    "Applied",
    "Backfill",
    "Effect",
    "LooseKey",
    "Migration",
    "Operation",
    "Outbox",
    "Ownership",
    "Quarantine",
    "Receipt",
    "RecordedWrite",
    "Recording",
    "Round",
    "RouteTableVersion",
    "Shape",
    "Stream",
    "Subscription",
]
