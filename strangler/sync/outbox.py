"""The outbox: pointers that the capture triggers wrote, each a key of a collection that a stream has not been told of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strangler.sync.collections import Collection
from strangler.sync.database import connection, value

READ = "SELECT id, collection, key, noted_at, pos FROM strangler_outbox WHERE stream = %s ORDER BY id LIMIT %s"
NOTE = "INSERT INTO strangler_outbox (stream, collection, key, origin) SELECT %s, %s, k, 'repair' FROM unnest(%s::text[]) AS k"


@dataclass(frozen=True, slots=True)
class Pointer:
    """``key`` None: the collection was reset. ``pos`` only in a feed."""

    id: int
    collection: str
    key: str | None
    noted_at: dt.datetime
    pos: int | None = None


def read(cursor: Any, stream: str, limit: int) -> list[Pointer]:
    """The stream's oldest pointers that the cursor's snapshot shows."""
    cursor.execute(READ, [stream, limit])
    return [Pointer(*row) for row in cursor.fetchall()]


def note(stream: str, collection: str, keys: Iterable[str], using: str | None = None) -> int:
    """Pointers by hand, for keys that are to be sent again: how drift is repaired and quarantine retried."""
    listed = list(keys)
    with connection(using).cursor() as cursor:
        cursor.execute(NOTE, [stream, collection, listed])
    return len(listed)


def note_all(cursor: Any, stream: str, collection: Collection) -> None:
    """A pointer for each row that the collection has now: after a reset, which may have been of one partition only."""
    cursor.execute(
        "INSERT INTO strangler_outbox (stream, collection, key, origin) "
        f"SELECT %s, %s, {collection.key_text('t')}, 'reset' FROM {collection.sql} AS t",
        [stream, collection.name],
    )


def depth(stream: str, using: str | None = None) -> int:
    return int(value("SELECT count(*) FROM strangler_outbox WHERE stream = %s", [stream], using))


def oldest_s(stream: str, using: str | None = None) -> float | None:
    """The age in seconds of the oldest pointer, or None."""
    age = value(
        "SELECT extract(epoch FROM clock_timestamp() - noted_at) FROM strangler_outbox WHERE stream = %s ORDER BY id LIMIT 1",
        [stream],
        using,
    )
    return None if age is None else float(age)
