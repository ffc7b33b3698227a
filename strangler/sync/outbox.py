"""The outbox: pointers that the capture triggers wrote, each a key of a collection that a stream has not been told of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from strangler.sync.collections import Collection
from strangler.sync.database import connection, rows, value

NOTED_AT = """to_char(noted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
READ = f"""
SELECT id, collection, key, {NOTED_AT}, pos FROM strangler_outbox WHERE stream = %s AND id > %s ORDER BY id LIMIT %s
"""
# Here and in ``note_all`` the transaction gets its number before the first id is drawn, as in every trigger: see ``Floor``.
NUMBERED = "pg_current_xact_id() IS NOT NULL"
NOTE = (
    "INSERT INTO strangler_outbox (stream, collection, key, origin) "
    f"SELECT %s, %s, k, 'repair' FROM unnest(%s::text[]) AS k WHERE {NUMBERED}"
)
HORIZON = """
SELECT CASE WHEN is_called THEN last_value ELSE 0 END, pg_current_xact_id()::text::bigint FROM strangler_outbox_id_seq
WHERE set_config('synchronous_commit', 'off', true) = 'off'
"""


class Pointer(NamedTuple):
    """``key`` None: the collection was reset. ``noted_at`` as on the wire, RFC 3339 in UTC. ``pos`` only in a feed."""

    id: int
    collection: str
    key: str | None
    noted_at: str
    pos: int | None = None


@dataclass
class Floor:
    """The id up to which no pointer is left and none can appear: reading begins above it (P14).

    Without it each read goes over the dead entries of all that was delivered since the last vacuum. How it is known: note the
    greatest id that was drawn so far, and then a transaction number. Whoever drew one of those ids had a smaller number. Once no
    transaction with a smaller number runs, all those ids are committed or gone; and when a sweep from the old floor whose
    snapshot knows that has delivered all that it saw, none of them is left. A holder begins at 0: that is the full scan.
    """

    at: int = 0
    _noted: tuple[int, int] | None = None

    def note(self, using: str | None = None) -> None:
        """Outside of the snapshot, before it is opened. Costs nothing while what was noted last is still waited for."""
        if self._noted is None:
            self._noted = rows(HORIZON, using=using)[0]

    def reached(self, oldest_running: int) -> int:
        """What the floor may become after a sweep that begins with a snapshot in which that is the oldest running transaction."""
        if self._noted and oldest_running >= self._noted[1]:
            reached, self._noted = self._noted[0], None
            return reached
        return self.at


def read(cursor: Any, stream: str, limit: int, after: int = 0) -> list[Pointer]:
    """The stream's oldest pointers beyond the id ``after`` that the cursor's snapshot shows."""
    cursor.execute(READ, [stream, after, limit])
    return list(map(Pointer._make, cursor.fetchall()))


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
        f"SELECT %s, %s, {collection.key_text('t')}, 'reset' FROM {collection.sql} AS t WHERE {NUMBERED}",
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
