"""Whether rows of the monolith are on their way to a context's service, for a proxy that found a difference.

One statement, so one snapshot: a sweep of the relay raises its stream's marker in the transaction that deletes its last pointers.
So where no pointer is left, and the marker is one that was known before the two sides were asked, nothing has arrived since.
What a sweep can't end cleanly for (quarantine, a backfill) raises no marker, and counts as waiting.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef

from strangler import conf
from strangler.domain.estate import Context
from strangler.sync import marker
from strangler.sync.models import Backfill, Outbox, Quarantine, Stream


def look(context: Context) -> dict[str, Any]:
    """``{markers, waiting, position}``: the marker of each stream that is through, and the position read after looking."""
    using = conf.setting("DATABASE")
    names = [context.mirror_stream, *([context.copies_stream] if context.read_copies else [])]
    of_stream = {"stream": OuterRef("name")}
    rows = Stream.objects.using(using).filter(name__in=names)
    busy = Exists(Outbox.objects.filter(**of_stream)) | Exists(Quarantine.objects.filter(**of_stream))
    busy |= Exists(Backfill.objects.filter(**of_stream).exclude(state="done"))
    found = list(rows.annotate(busy=busy).values_list("name", "marker", "state", "busy"))
    quiet = {name: at for name, at, state, waits in found if state == Stream.State.LIVE and not waits}
    return {"markers": quiet, "waiting": len(quiet) < len(names), "position": marker.position()}
