"""Where Django looks for the models of the app ``strangler``."""

from strangler.analysis.runtime.models import Crossing
from strangler.analysis.usage.models import Usage, UsageSpan
from strangler.control.models import Migration, Operation, RampRun, Receipt, RouteTableVersion
from strangler.control.parity.models import ParityBucket, ParityPair, ParityProxy, ParityShape
from strangler.sync.models import (
    Applied,
    Backfill,
    LooseKey,
    Outbox,
    Ownership,
    Quarantine,
    Round,
    Shape,
    Stranded,
    Stranding,
    Stream,
    Subscription,
)
from strangler.sync.recording.models import Effect, RecordedWrite, Recording

__all__ = [
    "Applied",
    "Backfill",
    "Crossing",
    "Effect",
    "LooseKey",
    "Migration",
    "Operation",
    "Outbox",
    "Ownership",
    "ParityBucket",
    "ParityPair",
    "ParityProxy",
    "ParityShape",
    "Quarantine",
    "RampRun",
    "Receipt",
    "RecordedWrite",
    "Recording",
    "Round",
    "RouteTableVersion",
    "Shape",
    "Stranded",
    "Stranding",
    "Stream",
    "Subscription",
    "Usage",
    "UsageSpan",
]
