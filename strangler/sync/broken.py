"""Broken streams: what is taken away from one, and how it comes back (P4).

The database that writes never stops for us. So a stream whose destination does not keep up is given up: in one statement it is
``broken``, with a higher token, and its subscriptions go. From there on nothing is noted for it, but by transactions that began
before; so the rest (its pointers, the triggers of tables that nobody subscribes to) is taken away by a sweep that is repeated
as long as there is a broken stream. What it has lost, a new backfill brings; nothing else does:

- *A relay that is under way* has an old token: it can neither acknowledge nor raise the marker.
- *The marker* says what was applied before, which stays true; proxies that await a later one never see it. A stream that comes
  back publishes none until its backfill has sent every row.
- *A digest of what changed since the last clean check* would not see what was lost, so that check is forgotten.
- *A sweep that meets a subscriber*: it holds ``strangler_subscription`` in SHARE mode from looking to dropping, so who subscribes
  meanwhile waits, and then finds that the triggers are gone and makes them.
- *A sweep that meets a stream that comes back*: that is no longer ``broken`` before anything is put in place again, and each
  statement of the sweep asks for the state in its own snapshot.
- *A feed* (on the service) has a floor: a position above all that were ever given. Whoever pulls from below it is answered 410,
  also after the feed was opened again (``feed.read``); its copy is then compared as a whole and mended.
"""

from __future__ import annotations

import logging
import time

from django.db.utils import OperationalError

from strangler.errors import StranglerError
from strangler.sync import backfill, capture, collections, ddl, install, marker, stranded, streams
from strangler.sync.collections import Collection
from strangler.sync.database import count, port, rows, sqlstate, value
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

PART = 20_000  # pointers a statement
SWEEP_S = 2.0
PATIENCE_S = 60.0

BROKEN = "SELECT name, context, kind FROM strangler_stream WHERE state = 'broken' ORDER BY name"
UNSUBSCRIBE = """
DELETE FROM strangler_subscription WHERE stream IN (SELECT name FROM strangler_stream WHERE state = 'broken')
"""
DELETE = """
DELETE FROM strangler_outbox WHERE id IN (
  SELECT o.id FROM strangler_outbox o JOIN strangler_stream s ON s.name = o.stream
  WHERE o.stream = %s AND s.state = 'broken' ORDER BY o.id LIMIT %s
)
"""
STATE = "UPDATE strangler_stream SET state = %s, reason = %s WHERE name = %s AND state = %s"
OPEN_AGAIN = "UPDATE strangler_stream SET state = 'off', reason = '' WHERE name = %s AND state = 'paused'"
COMES_BACK = Statement("""
UPDATE strangler_stream
SET state = 'off', reason = 'comes back', over_since = NULL, cursor = {greatest:cursor; floor},
    verified_at = NULL, verified_drift = NULL, verified_marker = 0
WHERE name = %s AND state <> 'live'
""")


def give_up(stream: str, why: str, using: str | None = None, *, token: int | None = None, floor: int = 0) -> bool:
    """The stream is broken from now on; False if it was. ``token``: only while that is the holder's."""
    context, kind = rows("SELECT context, kind FROM strangler_stream WHERE name = %s", [stream], using)[0]
    said = {"stream": stream, "reason": reason(why, context, kind), "token": token, "floor": floor}
    if not port(using).give_up(said):
        return False
    if kind != "feed":
        marker.forget(stream)
    return True


def reason(why: str, context: str, kind: str) -> str:
    """What status says: what happened, what became of it, the next command."""
    if kind == "reverse":
        return f"{why}; the monolith's copy follows no more"
    if kind == "feed":
        return (
            f"given up, so that the service goes on: {why}, and the monolith did not pull; run here: strangler sync install "
            f"{context}, then on the monolith: strangler sync backfill {context}"
        )
    return (
        f"given up, so that the monolith goes on: {why}; its capture is removed, and what has changed since is not at the "
        f"service; once that keeps up again: strangler sync backfill {context}"
    )


def sweep(using: str | None = None) -> None:
    """Take away what broken streams still have, as far as it is to be had in a moment; the next call goes on."""
    found = rows(BROKEN, using=using)
    if not found:
        return
    rows(UNSUBSCRIBE, using=using)
    end = time.monotonic() + SWEEP_S
    for name, context, kind in found:
        while time.monotonic() < end and count(DELETE, [name, PART], using) == PART:
            pass
        known = collections.for_context(context, using) if kind == "feed" else collections.for_stream(name, using).values()
        for collection in known if kind != "reverse" else ():
            if time.monotonic() < end:
                _uncapture(collection, using)


def _uncapture(collection: Collection, using: str | None) -> None:
    """Its triggers go, if nobody wants to hear of it. Tried for a moment only: a writer must not queue behind us."""
    if not port(using).is_any_captured(collection):
        return
    try:
        with port(using).writing(patience_ms=200) as cursor:
            port(using).freeze_subscriptions(cursor)
            cursor.execute("SELECT EXISTS (SELECT 1 FROM strangler_subscription WHERE collection = %s)", [collection.name])
            if not cursor.fetchone()[0]:
                capture.uninstall(collection, using)
    except OperationalError as error:
        if sqlstate(error) not in (ddl.LOCK_NOT_AVAILABLE, ddl.DEADLOCK):
            raise
        log.info("capture.kept table=%s error=%r", collection.table, "its lock was not to be had; tried again")


def come_back(stream: str, using: str | None = None) -> bool:
    """A stream towards the service, live again with a backfill from the beginning; False if it was live.

    What waited before is deleted first, or it would be over its budget again. Then it is no longer broken, then it is captured,
    then the backfill is asked for, then it is live: a crash between two of them leaves a stream that is off, and the same call
    goes on.
    """
    if streams.state(stream, using) == "live":
        return False
    context = str(value("SELECT context FROM strangler_stream WHERE name = %s", [stream], using))
    stranded.refuse(context, using)
    while count(DELETE, [stream, PART], using):
        pass
    rows(COMES_BACK, [stream], using)
    install.install(context, using)
    backfill.start(stream, using=using)
    streams.start(stream, using)
    return True


def open_feed(context: str, using: str | None = None) -> bool:
    """A service's feed that was given up, capturing again; False if it was not. The puller still has to compare everything.

    Opened only when every transaction is over that may write without being noted. Raises ``StranglerError`` where one does not
    end; the same call goes on.
    """
    if not rows(
        "SELECT 1 FROM strangler_stream WHERE name = %s AND kind = 'feed' AND state IN ('broken', 'paused')", [context], using
    ):
        return False
    rows(STATE, ["paused", "is being opened again", context, "broken"], using)
    install.install_replica(context, using)
    older = port(using).open_transactions()
    end = time.monotonic() + PATIENCE_S
    while open_ := port(using).still_open(older):
        if time.monotonic() > end:
            raise StranglerError(
                f"the feed of {context} is not open yet: {open_} has a transaction from before the capture; "
                f"end it, then again: strangler sync install {context}"
            )
        time.sleep(0.05)
    rows(OPEN_AGAIN, [context], using)
    return True
