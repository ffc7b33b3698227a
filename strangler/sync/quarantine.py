"""Quarantine: keys that can't be applied although the stream was drained, each with all that comes after it (P9).

A key is put here by the round in which it failed for the last time, in the transaction that deletes its pointers. From then on:

- *Its later changes* have pointers of their own, which are sent when they come. What succeeds carries the row as it is then, so
  nothing of what stayed behind is missing, and the key is cured. What fails counts up ``attempts``.
- *A reset* (TRUNCATE) of its collection that is applied cures it too: at the destination there is nothing older any more, and the
  rows that are still there at the source are noted again in the same transaction.
- *A retry* is a pointer like any other, through the source's outbox: so no retry can overwrite a newer row, and two at once do no
  harm. For a reverse stream the source is the service, which is asked to note the key.
- *A discard* is a decision to let the row be: it no longer keeps the stream from being called fresh (P23), and status no longer
  shouts. The key stays in the table, because it is known drift: ``verify`` reports it, and no hand-over passes its gates while
  it is there. It goes as every other does, when the key is applied. A change of the row that fails again reopens it.

So there is one way to lose a row for good: to delete it at its owner.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from strangler.errors import Misuse, StranglerError
from strangler.sync import collections, databases, digest
from strangler.sync.database import count, execute, port, rows, snapshot
from strangler.sync.databases.port import Statement

PUT = Statement("""
INSERT INTO strangler_quarantine AS q (stream, collection, key, error, attempts)
SELECT %s, c, k, e, 1 FROM {zipped:u(c, k, e)} WHERE true
ON CONFLICT (stream, collection, key)
DO UPDATE SET error = EXCLUDED.error, attempts = q.attempts + 1, discarded_at = NULL
""")
CURE = Statement("""
DELETE FROM strangler_quarantine WHERE stream = %s AND (collection, key) IN (SELECT c, k FROM {zipped:u(c, k)})
""")
CURE_ALL = Statement("DELETE FROM strangler_quarantine WHERE stream = %s AND collection {among:%s}")
CHOSEN = "stream = %(stream)s AND collection = coalesce(%(collection)s, collection) AND key = coalesce(%(key)s, key)"
LISTED = f"""
SELECT q.stream, q.collection, q.key, q.error, q.attempts, {{on_wire:q.since}}, {{on_wire:q.discarded_at}}, s.kind, s.context
FROM strangler_quarantine q JOIN strangler_stream s ON s.name = q.stream WHERE {CHOSEN} ORDER BY q.id {{limit:%(limit)s}}
"""
COUNTED = """
SELECT stream, count(*) FILTER (WHERE discarded_at IS NULL), count(discarded_at) FROM strangler_quarantine GROUP BY stream
"""
# A key '' stands for a reset too, and a reset in its place is always right: it notes every row that is there.
RETRY = Statement(f"""
INSERT INTO strangler_outbox (stream, collection, key, origin)
SELECT stream, collection, nullif(key, ''), 'retry' FROM strangler_quarantine WHERE {{numbered}} AND {CHOSEN}
""")
DISCARD = Statement(f"""
UPDATE strangler_quarantine SET discarded_at = {{now}} WHERE {CHOSEN} AND discarded_at IS NULL
RETURNING collection, key, error
""")
POINTERS = Statement("""
SELECT count(*), {on_wire:min(noted_at)} FROM strangler_outbox WHERE stream = %s AND collection = %s AND key = %s
""")
PART = 200  # keys a call


class Source(Protocol):
    """The service: of a reverse stream the source, else the destination."""

    def note(self, collection: str, keys: Sequence[str]) -> int: ...
    def digest_keys(self, collection: str, keys: Sequence[str]) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Entry:
    """One key. ``attempts`` counts how often it was given up; ``discarded_at`` is set when an operator lets it be."""

    stream: str
    collection: str
    key: str
    error: str
    attempts: int
    since: dt.datetime
    discarded_at: dt.datetime | None
    kind: str
    context: str


@dataclass(frozen=True)
class Detail:
    """What can be known of a key now. ``row``: as this database has it, JSON text; ``other``: what the service has, in words."""

    entry: Entry
    row: str | None
    other: str
    waiting: int
    waiting_since: dt.datetime | None


def put(cursor: Any, stream: str, failing: Mapping[str, str]) -> None:
    """Subject → reason. For the transaction that gives them up."""
    split = [(*subject.partition("/")[::2], reason) for subject, reason in failing.items()]
    execute(cursor, PUT, [stream, *databases.of(cursor.db).zip(split)])


def cure(cursor: Any, stream: str, applied: Names[str], resets: Sequence[str] = ()) -> None:
    """Those subjects are applied, and those collections were reset. Before ``put``, in the same transaction."""
    split = [subject.partition("/")[::2] for subject in applied if subject not in resets]
    if split:
        execute(cursor, CURE, [stream, *databases.of(cursor.db).zip(split)])
    if resets:
        execute(cursor, CURE_ALL, [stream, list(resets)])


def listed(
    stream: str | None = None,
    collection: str | None = None,
    key: str | None = None,
    *,
    limit: int | None = None,
    using: str | None = None,
) -> list[Entry]:
    """The oldest first; all, or ``limit`` of them."""
    sql = LISTED if stream else LISTED.replace("stream = %(stream)s", "true")
    said = {"stream": stream, "collection": collection, "key": key, "limit": limit}
    return [
        Entry(name, of, one, error, attempts, _moment(since), _moment(discarded_at), kind, context)
        for name, of, one, error, attempts, since, discarded_at, kind, context in rows(Statement(sql), said, using)
    ]


def counts(using: str | None = None) -> dict[str, tuple[int, int]]:
    """Stream → how many wait, how many are discarded."""
    return {stream: (waiting, discarded) for stream, waiting, discarded in rows(COUNTED, using=using)}


def get(stream: str, collection: str, key: str, using: str | None = None) -> Entry:
    """Raises ``Misuse`` where it is not in quarantine."""
    found = listed(stream, collection, key, using=using)
    if not found:
        raise Misuse(f"{collection}/{key} of stream {stream} is not in quarantine; see: strangler sync quarantine list")
    return found[0]


def show(stream: str, collection: str, key: str, *, client: Source | None = None, using: str | None = None) -> Detail:
    """The key with its row on both sides, as far as they answer."""
    entry = get(stream, collection, key, using)
    known = collections.for_stream(stream, using).get(collection)
    row, here = None, None
    if known is not None:
        with snapshot(using) as cursor:
            found = port(using).rows_in(cursor, known, f"WHERE {known.key_matches('t')}", [known.keys_param([key])])
            row, here = (found[0][1] if found else None), digest.of_keys(cursor, known, [key]).get(key)
    waiting, since = rows(POINTERS, [stream, collection, key], using)[0]
    return Detail(entry, row, _other(entry, here, client), waiting, _moment(since))


def _other(entry: Entry, here: int | None, client: Source | None) -> str:
    try:
        listed = (client or _client(entry.context)).digest_keys(entry.collection, [entry.key])
    except StranglerError as error:
        return f"unknown: {error}"
    there = {item["from"]: int(item["digest"]) for item in listed if item["count"]}
    if entry.key not in there:
        return "no such row"
    return "the same row" if there[entry.key] == here else "another row"


def retry(
    stream: str,
    collection: str | None = None,
    key: str | None = None,
    *,
    client: Source | None = None,
    using: str | None = None,
) -> int:
    """Note the chosen keys again at their source; how many. They stay here until they are applied."""
    chosen = {"stream": stream, "collection": collection, "key": key}
    kind, context = _stream(stream, using)
    if kind != "reverse":
        return count(RETRY, chosen, using)
    wanted: dict[str, list[str]] = {}
    for name, one in rows(f"SELECT collection, key FROM strangler_quarantine WHERE {CHOSEN}", chosen, using):
        wanted.setdefault(name, []).append(one)
    source = client or _client(context)
    return sum(
        source.note(name, keys[start : start + PART]) for name, keys in wanted.items() for start in range(0, len(keys), PART)
    )


def discard(
    stream: str, collection: str | None = None, key: str | None = None, using: str | None = None
) -> list[tuple[str, str, str]]:
    """Let the chosen keys be: (collection, key, error) of those that were not discarded yet.

    The caller records why, in the same transaction.
    """
    _stream(stream, using)
    chosen = {"stream": stream, "collection": collection, "key": key}
    return [(name, one, error) for name, one, error in rows(DISCARD, chosen, using)]


def _moment(text: str | None) -> Any:
    return None if text is None else dt.datetime.fromisoformat(text)


def _stream(stream: str, using: str | None) -> tuple[str, str]:
    found = rows("SELECT kind, context FROM strangler_stream WHERE name = %s", [stream], using)
    if not found:
        raise Misuse(f"there is no stream {stream!r}; see: strangler sync status")
    return str(found[0][0]), str(found[0][1])


def _client(context: str) -> Source:
    from strangler.sync.client import ServiceClient

    return ServiceClient(context)
