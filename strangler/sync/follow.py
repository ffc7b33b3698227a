"""Following the project's migrations: what they change on a mirrored table is captured, fenced and backfilled again (P2, P3).

After ``migrate`` and now and then in the tick. A migration never fails for us: what can't be done is logged, the system check
names it, and the tick tries again.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db.utils import Error

from strangler import conf
from strangler.errors import StranglerError
from strangler.sync import capture, collections, install, mirrorable, shape
from strangler.sync.client import ServiceClient
from strangler.sync.database import alias, message, port, rows
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

PERIOD_S = 30.0
SUBSCRIBED = "SELECT collection FROM strangler_subscription WHERE stream = %s"
# Capture of a broken stream was taken away on purpose (P4); a backfill by hand brings it back.
FOLLOWED = """
SELECT o.context FROM strangler_ownership o
WHERE NOT EXISTS (SELECT 1 FROM strangler_stream s WHERE s.context = o.context AND s.state = 'broken')
"""
GONE = Statement("DELETE FROM strangler_backfill WHERE stream = %s AND NOT collection {among:%s}")

_next_at = 0.0


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of ``post_migrate``: the tables may have changed."""
    try:
        if mirrorable.is_same_database(using, alias()):
            follow(using, exactly=True)
    except Exception as error:  # the project's own migration is through, and stays so
        log.warning("follow.failed error=%s next='strangler sync install'", message(error))


def now_and_then() -> None:
    """For the tick: DDL that no migration did, partitions that were attached."""
    global _next_at
    if time.monotonic() >= _next_at:
        _next_at = time.monotonic() + PERIOD_S
        follow()


def follow(using: str | None = None, *, exactly: bool = False) -> None:
    """Every installed context: triggers where they are missing, then backfills of what has another shape. Idempotent.

    ``exactly``: this code is the newest, as that of ``migrate`` is; what it does not know is gone. A worker's may be older.
    """
    declared, problems = conf.load()
    if problems or not port(using).has_table("strangler_shape"):
        return
    installed = {context for (context,) in rows(FOLLOWED, using=using)}
    collections.forget()
    for context in declared.contexts.values():
        if context.name in installed:
            try:
                _mend(context.name, using, exactly)
                if conf.side() == "monolith":
                    for stream in (context.mirror_stream, *([context.copies_stream] if context.read_copies else [])):
                        shape.look(stream, using=using)
                        _ask_service(context.name, stream, using)
            except (StranglerError, Error) as error:
                log.warning("follow.waits context=%s reason=%s", context.name, message(error))
    if installed:
        capture.prune(using)


def _ask_service(context: str, stream: str, using: str | None) -> None:
    """Where it has no place for a column: whether it has one by now, though no change tells."""
    left_out = shape.ignored(using).get(stream)
    if left_out:
        said = ServiceClient(context).ownership().get("schemas") or {}
        shape.hear(stream, {name: said[name] for name in left_out if name in said}, using)


def _mend(context: str, using: str | None, exactly: bool) -> None:
    stream = collections.declared(context).mirror_stream
    subscribed = {name for (name,) in rows(SUBSCRIBED, [stream], using)}
    named = {collection.name for collection in collections.for_context(context, using)}
    is_complete = subscribed == named if exactly else subscribed >= named
    if not is_complete or install.missing(context, using):
        lost = _lost(context, using)
        install.install(context, using, exactly=exactly)
        if exactly and conf.side() == "monolith":
            rows(GONE, [stream, sorted(named)], using)
        for name, names in lost.items():
            shape.again(name, names, using)
        log.info("follow.installed context=%s", context)


def _lost(context: str, using: str | None) -> dict[str, list[str]]:
    """Stream → its collections that have no capture at all: a table that SQLite's ALTER made anew had none for a while, and what
    was written then is noted nowhere."""
    declared, db = collections.declared(context), port(using)
    streams = {declared.mirror_stream: collections.for_context(context, using)}
    if conf.side() == "monolith":
        streams[declared.copies_stream] = collections.read_copies(context, using)
    return {name: [one.name for one in listed if not db.is_any_captured(one)] for name, listed in streams.items()}
