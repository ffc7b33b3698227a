"""A context whose mirror broke serves no reads from the service: it is taken back to stage ``mirror`` (P4).

Freshness alone does not see to that: it guards who has written something lately, and who has not would read rows that no longer
follow. The way back is by the route table alone and has no gates; it leaves a receipt like any other.
"""

from __future__ import annotations

import logging

from strangler import conf
from strangler.control import engine
from strangler.control.ledger import open_operation
from strangler.control.models import Migration
from strangler.domain.stages import Stage
from strangler.sync.models import Stream

log = logging.getLogger("strangler.control")

WHO = "strangler tick"


def retreat() -> list[str]:
    """The contexts that were taken back. Cheap while nothing is broken; what fails is tried again by the next tick."""
    using = conf.setting("DATABASE")
    broken = Stream.objects.using(using).filter(state=Stream.State.BROKEN, kind__in=(Stream.Kind.MIRROR, Stream.Kind.COPIES))
    taken: list[str] = []
    for stream in broken:
        reads = Migration.objects.using(using).filter(context=stream.context, stage__in=(Stage.SHADOW, Stage.CANARY)).exists()
        if not reads or open_operation() is not None or stream.context not in conf.estate().contexts:
            continue  # an operation that is under way fails by itself and undoes what it did
        log.error("context.retreats context=%s stream=%s", stream.context, stream.name)
        engine.travel(engine.ROLLBACK, stream.context, to=Stage.MIRROR, who=WHO, why=f"stream {stream.name} is broken")
        taken.append(stream.context)
    return taken
