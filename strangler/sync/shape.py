"""Shapes: which columns, key and partitions a collection had when its backfill was last asked for (P3).

DDL is not captured: ``ADD COLUMN … DEFAULT`` or ``ALTER … USING`` rewrite rows without a pointer, and a partition that is
attached or dropped brings or takes rows. So the monolith remembers the shape of each collection of a stream. Where the catalogue
shows another one a new backfill is asked for, and drift is unknown until it is through.

Interleavings that it stands:

- *Two processes see it at once* (migrate, a worker, the tick): a compare-and-swap on the remembered shape; one asks.
- *A writer meanwhile* has its pointer as ever; the backfill reads rows that were there before it.
- *The catalogue changes again before the backfill begins*: the shape that is remembered was read earlier, so it differs again.
- *Another key*: pointers under the old one name no row any more. Capture is laid anew first, under a lock that waits for every
  writer that used the old function (``capture.install``); then the old pointers go, and the backfill notes all rows.
- *A worker whose code is older than the database*, or newer, meets pointers of a collection that it does not know: it must not
  acknowledge them. It backs off, and says so, until it is restarted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from strangler.errors import StranglerError
from strangler.sync import collections
from strangler.sync.collections import Collection
from strangler.sync.database import alias, execute, port, rows, value
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

REMEMBER = """
INSERT INTO strangler_shape AS s (stream, collection, schema, key_form, leaves) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (stream, collection) DO UPDATE
SET schema = EXCLUDED.schema, key_form = EXCLUDED.key_form, leaves = EXCLUDED.leaves
"""
KNOWN = REMEMBER[: REMEMBER.index("ON CONFLICT")] + "ON CONFLICT (stream, collection) DO NOTHING"
REMEMBERED = Statement("SELECT collection, schema, key_form, {text:leaves} FROM strangler_shape WHERE stream = %(stream)s")
FORGET = Statement("DELETE FROM strangler_shape WHERE stream = %s AND collection {among:%s}")
# Backfills from before shapes were remembered.
UNSHAPED = """
SELECT b.collection FROM strangler_backfill b WHERE b.stream = %(stream)s
       AND NOT EXISTS (SELECT 1 FROM strangler_shape s WHERE s.stream = b.stream AND s.collection = b.collection)
"""
SWAP = Statement("""
UPDATE strangler_shape SET schema = %s
WHERE stream = %s AND collection = %s AND (schema, key_form, leaves) = (%s, %s, {json:%s})
RETURNING 1
""")
UNKNOWN_DRIFT = "UPDATE strangler_stream SET verified_drift = NULL, verified_at = NULL, verified_marker = 0 WHERE name = %s"
PENDING = """
SELECT EXISTS (SELECT 1 FROM strangler_backfill WHERE stream = %(stream)s AND state <> 'done')
"""
FOLLOWED = "SELECT 1 FROM strangler_stream WHERE name = %s AND state = 'live' AND kind IN ('mirror', 'copies')"
STRANGERS = Statement("SELECT collection FROM strangler_subscription WHERE stream = %s AND collection {among:%s} ORDER BY 1")

# A collection without a row yet has no backfill either, which will carry everything.
THERE = Statement("SELECT there FROM strangler_shape WHERE stream = %s AND collection = %s{for_update}")
HEAR = Statement("""
UPDATE strangler_shape SET there = %s, ignored = coalesce({json:%s}, ignored) WHERE stream = %s AND collection = %s
""")
IGNORED = Statement("""
SELECT stream, collection, {text:ignored} FROM strangler_shape WHERE {text:ignored} <> '[]' ORDER BY stream, collection
""")

_heard: dict[tuple[str, str, str], tuple[str, list[str] | None]] = {}


def remember(stream: str, collection: Collection, using: str | None = None, *, anew: bool = True) -> None:
    """With the backfill that is asked for: the shape that its rows will have. Not ``anew``: only if none is remembered."""
    rows(
        REMEMBER if anew else KNOWN,
        [stream, collection.name, collection.schema, collection.key_form, json.dumps(collection.leaves)],
        using,
    )


def forget(stream: str, names: list[str], using: str | None = None) -> None:
    """To whoever looks next these collections are new: nothing was noted of them for a while, or their backfill was given up."""
    rows(FORGET, [stream, names], using)


def is_pending(stream: str, using: str | None = None) -> bool:
    """Whether a backfill of the stream is not through, so that nothing can be said of its drift."""
    return bool(value(PENDING, {"stream": stream}, using))


def current(stream: str, using: str | None = None) -> dict[str, Collection]:
    """For the relay, each round: the stream's collections as the catalogue has them, at least as new as what is remembered.

    Another process may have seen a new shape, and have asked for a backfill, while this one still believed what it was told
    before. Were its rounds to leave the new columns out, no backfill would ever bring them.
    """
    known = collections.for_stream(stream, using)
    remembered = _remembered(stream, using)
    if remembered and any(_of(collection) != remembered.get(name) for name, collection in known.items()):
        collections.forget()
        known = collections.for_stream(stream, using)
        look(stream, known, using)
    return known


def look(stream: str, known: Mapping[str, Collection] | None = None, using: str | None = None) -> list[str]:
    """Compares the catalogue with what is remembered; asks for backfills; the collections for which it did.

    Without ``known`` the catalogue is asked anew. Only of a stream that runs and has been backfilled.
    """
    if not rows(FOLLOWED, [stream], using):
        return []
    if known is None:
        collections.forget()
        known = collections.for_stream(stream, using)
    for (name,) in rows(UNSHAPED, {"stream": stream}, using):
        if name in known:
            remember(stream, known[name], using)
    remembered = _remembered(stream, using)
    if not remembered:
        return []  # never backfilled: that will carry everything
    changed = [name for name, collection in known.items() if _has_changed(collection, remembered.get(name), stream, using)]
    return [name for name in changed if _ask(stream, known[name], remembered.get(name), using)]


def again(stream: str, names: list[str], using: str | None = None) -> None:
    """Backfills of collections that were not captured for a while. Only of a stream that runs and has been backfilled."""
    if names and rows(FOLLOWED, [stream], using) and _remembered(stream, using):
        known = collections.for_stream(stream, using)
        for name in names:
            _ask(stream, known[name], None, using)


def hear(stream: str, schemas: Mapping[str, Any], using: str | None = None) -> None:
    """What the destination says of its own tables. Where one has changed since, the rows travel again.

    Then it may have a place for columns that it left out before, or a migration there has rewritten its rows.
    ``schemas``: collection → ``{"schema", "ignored"}``, or the schema alone.
    """
    for name, said in schemas.items():
        there, ignored = (said, None) if isinstance(said, str) else (str(said["schema"]), list(said["ignored"]))
        if _heard.get((alias(using), stream, name)) == (there, ignored):
            continue
        with port(using).writing() as cursor:
            found = execute(cursor, THERE, [stream, name]).fetchall()
            execute(cursor, HEAR, [there, None if ignored is None else json.dumps(ignored), stream, name])
        if found and found[0][0] not in ("", there):
            known = collections.for_stream(stream, using)
            if name in known:
                _ask(stream, known[name], None, using)
        _heard[alias(using), stream, name] = (there, ignored)


def ignored(using: str | None = None) -> dict[str, dict[str, list[str]]]:
    """Stream → collection → the columns that the destination has no place for."""
    found: dict[str, dict[str, list[str]]] = {}
    for stream, name, columns in rows(IGNORED, using=using):
        found.setdefault(stream, {})[name] = json.loads(columns)
    return found


def refuse_strangers(cursor: Any, stream: str, names: Iterable[str]) -> None:
    """Raises ``StranglerError`` where a pointer is of a subscribed collection that this process's code does not know."""
    listed = sorted(names)
    if not listed:
        return
    found = [name for (name,) in execute(cursor, STRANGERS, [stream, listed]).fetchall()]
    if found:
        raise StranglerError(
            f"this worker's code knows no {', '.join(found)}, which the database has; "
            "restart the workers with the code that was migrated, or, if it is gone: strangler sync install"
        )


def _remembered(stream: str, using: str | None) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    found = rows(REMEMBERED, {"stream": stream}, using)
    return {name: (schema, form, tuple(json.loads(leaves))) for name, schema, form, leaves in found}


def _of(collection: Collection) -> tuple[str, str, tuple[str, ...]]:
    return collection.schema, collection.key_form, collection.leaves


def _has_changed(collection: Collection, before: tuple[str, str, tuple[str, ...]] | None, stream: str, using: str | None) -> bool:
    now = _of(collection)
    if before == now:
        return False
    if before and before[:2] == now[:2] and set(before[2]) <= set(now[2]):
        added = [leaf for leaf in now[2] if leaf not in before[2]]
        if not any(rows(f"SELECT 1 FROM {leaf} LIMIT 1", using=using) for leaf in added):
            remember(stream, collection, using)  # an empty partition, as they are made in advance: what comes is captured
            return False
    return True


def _ask(stream: str, collection: Collection, before: tuple[str, str, tuple[str, ...]] | None, using: str | None) -> bool:
    """A backfill of the collection; False where another process was quicker."""
    from strangler.sync import backfill, capture

    capture.install(collection, using)
    with port(using).writing() as cursor:
        if before is not None:
            old = (before[0], before[1], json.dumps(before[2]))
            if not execute(cursor, SWAP, [collection.schema, stream, collection.name, *old]).fetchone():
                return False
            if before[1] != collection.key_form:
                for table in ("outbox", "quarantine"):
                    cursor.execute(
                        f"DELETE FROM strangler_{table} WHERE stream = %s AND collection = %s AND key IS NOT NULL",
                        [stream, collection.name],
                    )
        cursor.execute(UNKNOWN_DRIFT, [stream])
        backfill.start(stream, [collection.name], using)
    log.warning("shape.changed stream=%s collection=%s schema=%s next='backfill'", stream, collection.name, collection.schema)
    return True
