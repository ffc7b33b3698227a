"""The outbox: pointers that the capture triggers wrote, each a key of a collection that a stream has not been told of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from strangler.sync import databases
from strangler.sync.collections import Collection
from strangler.sync.database import execute, port, rows, value
from strangler.sync.databases.port import Statement

READ = Statement("""
SELECT id, collection, key, {on_wire:noted_at}, pos FROM strangler_outbox WHERE stream = %s AND id > %s ORDER BY id LIMIT %s
""")
# Here and in ``note_all`` the transaction gets its number before the first id is drawn, as in every trigger: see ``Floor``.
NOTE = Statement(
    "INSERT INTO strangler_outbox (stream, collection, key, origin) SELECT %s, %s, k, 'repair' FROM {each:%s; k} WHERE {numbered}"
)
OLDEST = Statement("SELECT {since:noted_at} FROM strangler_outbox WHERE stream = %s ORDER BY id LIMIT 1")


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
            self._noted = port(using).horizon()

    def reached(self, oldest_running: int) -> int:
        """What the floor may become after a sweep that begins with a snapshot in which that is the oldest running transaction."""
        if self._noted and oldest_running >= self._noted[1]:
            reached, self._noted = self._noted[0], None
            return reached
        return self.at


def read(cursor: Any, stream: str, limit: int, after: int = 0) -> list[Pointer]:
    """The stream's oldest pointers beyond the id ``after`` that the cursor's snapshot shows."""
    return list(map(Pointer._make, execute(cursor, READ, [stream, after, limit]).fetchall()))


def note(stream: str, collection: str, keys: Iterable[str], using: str | None = None) -> int:
    """Pointers by hand, for keys that are to be sent again: how drift is repaired and quarantine retried."""
    listed = list(keys)
    rows(NOTE, [stream, collection, listed], using)
    return len(listed)


def note_all(cursor: Any, stream: str, collection: Collection) -> None:
    """A pointer for each row that the collection has now: after a reset, which may have been of one partition only."""
    noting = (
        "INSERT INTO strangler_outbox (stream, collection, key, origin) "
        f"SELECT %s, %s, {collection.key_text('t')}, 'reset' FROM {collection.sql} AS t WHERE {databases.of(cursor.db).numbered}"
    )
    cursor.execute(noting, [stream, collection.name])


def depth(stream: str, using: str | None = None) -> int:
    return int(value("SELECT count(*) FROM strangler_outbox WHERE stream = %s", [stream], using))


def oldest_s(stream: str, using: str | None = None) -> float | None:
    """The age in seconds of the oldest pointer, or None."""
    age = value(OLDEST, [stream], using)
    return None if age is None else float(age)
