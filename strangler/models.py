"""Where Django looks for the models of the app ``strangler``."""

from strangler.analysis.usage.models import Usage, UsageSpan
from strangler.control.models import Migration, Operation, Receipt, RouteTableVersion
from strangler.sync.models import Applied, Backfill, LooseKey, Outbox, Ownership, Quarantine, Round, Shape, Stream, Subscription

__all__ = [
    "Applied",
    "Backfill",
    "LooseKey",
    "Migration",
    "Operation",
    "Outbox",
    "Ownership",
    "Quarantine",
    "Receipt",
    "Round",
    "RouteTableVersion",
    "Shape",
    "Stream",
    "Subscription",
    "Usage",
    "UsageSpan",
]
