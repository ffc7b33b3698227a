"""What a dead owner had acknowledged and nobody had fetched, when it was left by break-glass (P22, ADR 19).

Its feed still holds it. When the service answers again everything after the reverse mirror's cursor is pulled, not to be applied
but to be kept for a person. Interleavings:

- *The service still takes writes* while it is asked, because it believes that it owns: it is told first that it does not, at a
  higher epoch, and read to the end once more after that; so nothing comes after what was read.
- *Its feed was over its budget* (P4): when the monolith owns it forgets what it has lost. So it is read before it is told as
  well, and what it says of its loss stays in the record.
- *Two ticks at once, or a crash between two pages*: rows and cursor are one durable transaction that compares the cursor; the
  service forgets a page only when the next one is asked for, after that commit.
- *The mirror towards the service* would overwrite what is stranded there. It is broken by the break-glass, and does not come back
  (``refuse``) until everything is here, or a person has given it up.
- *Keys in quarantine* of the reverse mirror are behind its cursor and were not applied either: the service is asked to note them
  again.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from strangler.domain import wire
from strangler.domain.envelope import Event, to_dict
from strangler.errors import Gone, StranglerError
from strangler.sync import collections, databases
from strangler.sync.database import alias, port, snapshot
from strangler.sync.feed import LIMIT, parse
from strangler.sync.models import Quarantine, Stranded, Stranding, Stream

log = logging.getLogger("strangler.sync")

EVERY_S = 2.0
PART = 200  # keys a call


class Service(Protocol):
    def changes(self, after: int, limit: int) -> dict[str, Any]: ...
    def note(self, collection: str, keys: list[str]) -> int: ...
    def put_ownership(
        self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Found:
    """A stranded key as a person sees it. ``here``: what the monolith has of it, in words."""

    context: str
    collection: str
    key: str
    op: str
    row: Mapping[str, Any] | None
    written_at: str
    here: str
    settled: bool

    @property
    def subject(self) -> str:
        return f"{self.collection}/{self.key}" if self.key else self.collection


# ---- begin and collect --------------------------------------------------------------------------------------------


def begin(context: str, reverse: Stream | None, *, operation: str, epoch: int, using: str | None = None) -> Stranding:
    """For the transaction in which the dead service loses the context, after its puller was stopped. Idempotent."""
    seen = {
        "context": context,
        "epoch": epoch,
        "cursor": reverse.cursor if reverse else 0,
        "applied_to": reverse.marker if reverse else 0,
        "applied_at": reverse.last_round_at if reverse else None,
    }
    rows = Stranding.objects.using(alias(using))
    return rows.get_or_create(operation=uuid.UUID(operation), defaults=seen)[0]


def pending(context: str | None = None, using: str | None = None) -> list[Stranding]:
    """Those that are not collected, the oldest first."""
    found = Stranding.objects.using(alias(using)).filter(collected_at=None).order_by("at")
    return list(found.filter(context=context) if context else found)


def collect(using: str | None = None, client: Service | None = None) -> list[str]:
    """Asks each service that was left; the contexts of which everything is here now. Cheap where none was; the tick calls it."""
    done = []
    for stranding in pending(using=using):
        if not _is_due(stranding, using):
            continue
        try:
            _collect(stranding, client or _client(stranding.context), using)
        except StranglerError as error:
            _note(stranding, using, error=str(error))
            continue
        done.append(stranding.context)
        log.warning("stranded.collected context=%s operation=%s", stranding.context, stranding.operation)
    return done


def _is_due(stranding: Stranding, using: str | None) -> bool:
    """Whether it is for this process to ask now: a dead service is not asked by every tick."""
    now = timezone.now()
    due = Q(tried_at=None) | Q(tried_at__lt=now - timedelta(seconds=EVERY_S)) | Q(tried_at__gt=now + timedelta(minutes=1))
    mine = Stranding.objects.using(alias(using)).filter(due, pk=stranding.pk, collected_at=None)
    return bool(mine.update(tried_at=now))


def _collect(stranding: Stranding, client: Service, using: str | None) -> None:
    lost = _pull(stranding, client, using)
    _note_quarantined(stranding, client, using)
    client.put_ownership(epoch=stranding.epoch, owner="monolith", operation=str(stranding.operation))
    lost = _pull(stranding, client, using) or lost
    with transaction.atomic(using=alias(using)):
        _note(stranding, using, error=lost, collected_at=timezone.now())
        Stream.objects.using(alias(using)).filter(
            context=stranding.context, kind=Stream.Kind.REVERSE, cursor__lt=stranding.cursor
        ).update(cursor=stranding.cursor)


def _pull(stranding: Stranding, client: Service, using: str | None) -> str:
    """To the end of the feed. Gives what the feed itself has lost, in words; nothing where it has everything."""
    while True:
        try:
            events, until, complete_for = parse(client.changes(stranding.cursor, LIMIT))
        except Gone as gone:
            return f"the service's feed has lost changes of its own: {gone}"
        _keep(stranding, events, until, using)
        if complete_for is not None:
            return ""


def _keep(stranding: Stranding, events: Iterable[Event], until: int, using: str | None) -> None:
    """Rows and cursor in one durable transaction; where somebody else was quicker, theirs."""
    kept = [
        Stranded(
            operation=stranding.operation,
            context=stranding.context,
            collection=event.collection,
            key=event.key or "",
            op=str(event.op),
            row=None if event.data is None else json.loads(wire.dumps(to_dict(event)["data"])),
            written_at=event.time,
        )
        for event in events
    ]
    with port(using).writing(durable=True):
        mine = Stranding.objects.using(alias(using)).filter(pk=stranding.pk, cursor=stranding.cursor)
        if not mine.update(cursor=until):
            raise StranglerError(f"{stranding.context}: another process collects what is stranded")
        Stranded.objects.using(alias(using)).bulk_create(
            kept,
            update_conflicts=True,
            unique_fields=["operation", "collection", "key"],
            update_fields=["op", "row", "written_at"],
        )
    stranding.cursor = until


def _note_quarantined(stranding: Stranding, client: Service, using: str | None) -> None:
    reverse = Stream.objects.using(alias(using)).filter(context=stranding.context, kind=Stream.Kind.REVERSE)
    waiting = Quarantine.objects.using(alias(using)).filter(stream__in=reverse.values("name"))
    wanted: dict[str, list[str]] = {}
    for collection, key in waiting.values_list("collection", "key"):
        wanted.setdefault(collection, []).append(key)
    for collection, keys in wanted.items():
        for start in range(0, len(keys), PART):
            client.note(collection, keys[start : start + PART])


def _note(stranding: Stranding, using: str | None, **said: Any) -> None:
    Stranding.objects.using(alias(using)).filter(pk=stranding.pk).update(**said)


def _client(context: str) -> Service:
    from strangler.sync.client import ServiceClient

    return ServiceClient(context)  # type: ignore[return-value]


# ---- what a person does -------------------------------------------------------------------------------------------


def waiting(context: str, using: str | None = None) -> int:
    """How many keys nobody has dealt with."""
    return Stranded.objects.using(alias(using)).filter(context=context, settled_at=None).count()


def losses(context: str, using: str | None = None) -> list[str]:
    """Of those that are collected or given up: what will never be here, in words."""
    found = Stranding.objects.using(alias(using)).filter(context=context).exclude(collected_at=None).exclude(error="")
    return list(found.order_by("at").values_list("error", flat=True))


def listed(context: str, using: str | None = None, *, settled: bool = False) -> list[Found]:
    """In the order in which they were written; with ``settled`` also those that were dealt with."""
    rows = Stranded.objects.using(alias(using)).filter(context=context).order_by("written_at", "id")
    chosen = list(rows if settled else rows.filter(settled_at=None))
    here = _here(context, chosen, using)
    return [
        Found(
            context,
            one.collection,
            one.key,
            one.op,
            one.row,
            one.written_at,
            _compared(one, here.get((one.collection, one.key))),
            one.settled_at is not None,
        )
        for one in chosen
    ]


def settle(context: str, subjects: Iterable[str] | None, using: str | None = None) -> list[str]:
    """Marks keys as dealt with, all that wait without ``subjects``; those that it was news for. The caller records why."""
    rows = Stranded.objects.using(alias(using)).select_for_update().filter(context=context, settled_at=None)
    wanted = None if subjects is None else set(subjects)
    chosen = [one for one in rows if wanted is None or str(one) in wanted]
    Stranded.objects.using(alias(using)).filter(pk__in=[one.pk for one in chosen]).update(settled_at=timezone.now())
    return [str(one) for one in chosen]


def give_up(context: str, using: str | None = None) -> int:
    """What was not collected never will be. The caller records why. How many break-glasses it was about."""
    rows = Stranding.objects.using(alias(using)).filter(context=context, collected_at=None)
    return rows.update(collected_at=timezone.now(), error="given up: the service did not come back")


def refuse(context: str, using: str | None = None) -> None:
    """Raises ``StranglerError`` while something would be overwritten that is not here yet."""
    if found := pending(context, using):
        said = f" ({found[0].error})" if found[0].error else ""
        raise StranglerError(
            f"{context}: what its service acknowledged before it died is not collected yet{said}, and would be overwritten."
            f" Start the service: the tick collects it; see: strangler sync stranded {context}"
        )


def _here(context: str, chosen: Iterable[Stranded], using: str | None) -> dict[tuple[str, str], Mapping[str, Any]]:
    known = {collection.name: collection for collection in collections.for_context(context, using)}
    wanted: dict[str, list[str]] = {}
    for one in chosen:
        if one.key and one.collection in known:
            wanted.setdefault(one.collection, []).append(one.key)
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name, keys in wanted.items():
        for start in range(0, len(keys), PART):
            params = known[name].keys_param(keys[start : start + PART])
            with snapshot(using) as cursor:
                read = databases.of(cursor.db).rows_in(cursor, known[name], f"WHERE {known[name].key_matches('t')}", [params])
            found.update({(name, key): json.loads(text) for key, text, _ in read})
    return found


def _compared(one: Stranded, here: Mapping[str, Any] | None) -> str:
    if one.op == "reset":
        return "the service emptied the table"
    if here is None:
        return "no such row" if one.row is not None else "no such row, as there"
    if one.row is None:
        return "a row that the service deleted"
    differing = sorted(name for name, value in one.row.items() if name in here and here[name] != value)
    return f"another {', '.join(differing)}" if differing else "the same row"
