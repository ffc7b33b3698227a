"""Streams: made, started, stopped. Whether one is live stands in its row; a worker looks there before each run."""

from __future__ import annotations

from strangler.domain.estate import Context
from strangler.errors import Misconfigured
from strangler.sync import marker, shape
from strangler.sync.database import alias, port, rows
from strangler.sync.databases.port import MARKER, Statement
from strangler.sync.models import Stream

UNSUBSCRIBE = Statement("DELETE FROM strangler_subscription WHERE stream = %s AND NOT collection {among:%s}")
SUBSCRIBE = Statement(
    "INSERT INTO strangler_subscription (stream, collection) SELECT %s, c FROM {each:%s; c} WHERE true ON CONFLICT DO NOTHING "
    "RETURNING collection"
)


def create(context: Context, *, side: str, using: str | None = None) -> None:
    """The streams of a context on this side, off, if they are not there. On a service that is its feed, which needs no start."""
    if side == "service":
        _make(context.name, context.name, Stream.Kind.FEED, using)
        return
    _make(context.mirror_stream, context.name, Stream.Kind.MIRROR, using)
    if context.read_copies:
        _make(context.copies_stream, context.name, Stream.Kind.COPIES, using)
    _make(context.reverse_stream, context.name, Stream.Kind.REVERSE, using)


def subscribe(stream: str, collections: list[str], using: str | None = None, *, exactly: bool = True) -> None:
    """From now on changes of these collections are noted for the stream; ``exactly``: and of no others.

    Nothing was noted of one that is new here, so whoever looks next asks for its backfill (``shape``).
    """
    if exactly:
        rows(UNSUBSCRIBE, [stream, collections], using)
    added = rows(SUBSCRIBE, [stream, collections], using)
    if added:
        shape.forget(stream, [name for (name,) in added], using)


def state(name: str, using: str | None = None) -> str:
    return str(_get(name, using).state)


def start(name: str, using: str | None = None) -> None:
    """Live from now on. Idempotent; a stream that was off starts with nothing published."""
    if _get(name, using).state == Stream.State.LIVE:
        return
    marker.forget(name)
    rows("DELETE FROM strangler_sample WHERE stream = %s", [name], using)  # what was seen of an earlier life says nothing
    Stream.objects.using(alias(using)).filter(name=name).update(
        state=Stream.State.LIVE, reason="", last_error="", failures=0, retry_at=None
    )


def stop(name: str, reason: str = "", using: str | None = None) -> None:
    """No new round starts; one that is under way can't acknowledge any more, because the token rises."""
    rows(
        "UPDATE strangler_stream SET state = 'off', reason = %s, lease_token = lease_token + 1, lease_until = NULL "
        "WHERE name = %s",
        [reason, name],
        using,
    )
    marker.forget(name)


def drop(context: Context, using: str | None = None) -> None:
    """All that is kept for the context's streams."""
    names = [context.mirror_stream, context.copies_stream, context.reverse_stream]
    for table in ("outbox", "subscription", "backfill", "shape", "quarantine", "round", "sample"):
        rows(Statement(f"DELETE FROM strangler_{table} WHERE stream {{among:%s}}"), [names], using)
    rows(Statement("DELETE FROM strangler_stream WHERE name {among:%s}"), [names], using)
    for name in names:
        marker.forget(name)


def live(using: str | None = None) -> list[tuple[str, str]]:
    """(name, kind) of the streams that a worker of this side has to run."""
    found = rows("SELECT name, kind FROM strangler_stream WHERE state = 'live' AND kind <> 'feed' ORDER BY name", using=using)
    return [(name, kind) for name, kind in found]


def _make(name: str, context: str, kind: str, using: str | None) -> None:
    rows(
        # A stream that was dropped and is made again goes on above its old tokens: the destination still knows their versions.
        "INSERT INTO strangler_stream (name, context, kind, lease_token) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [name, context, kind, port(using).draw(MARKER)],
        using,
    )


def _get(name: str, using: str | None) -> Stream:
    found = Stream.objects.using(alias(using)).filter(name=name).first()
    if found is None:
        raise Misconfigured(
            f"stream {name} is not installed; run: strangler sync install {name.removesuffix('-copies').removesuffix('-reverse')}"
        )
    return found
