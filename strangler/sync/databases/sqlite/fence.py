"""The fence in SQLite: row triggers that read the owner (P15).

There is one writer at a time. Who has written holds the file's write lock to the end of the transaction, so a change of owner
waits for it; whoever writes after the change reads the new owner. A transaction that had begun to read before the change and
writes after it is refused by SQLite itself (``SQLITE_BUSY_SNAPSHOT``): it can't pass blind. A statement that finds no row to
change is not refused, and changes nothing.
"""

from __future__ import annotations

from strangler.sync.collections import Collection
from strangler.sync.database import literal, quote

PREFIX = "strangler_fence_"
EVENTS = ("insert", "update", "delete")
TRIGGER = (
    "CREATE TRIGGER {trigger} BEFORE {event} ON {table} FOR EACH ROW "
    "WHEN NOT EXISTS (SELECT 1 FROM strangler_origin) "
    "AND coalesce((SELECT owner FROM strangler_ownership WHERE context = {context}), 'monolith') <> {side} "
    "BEGIN SELECT RAISE(ABORT, {message}); END"
)


def statements(collection: Collection, context: str, side: str) -> list[str]:
    # RAISE takes a constant (an expression only from SQLite 3.47 on, and then older programs could not open the file).
    message = f"strangler: {context} is owned by the other side; this side, {side}, may not write {collection.table}"
    return [
        TRIGGER.format(
            trigger=quote(name),
            event=event.upper(),
            table=collection.ddl,
            context=literal(context),
            side=literal(side),
            message=literal(message),
        )
        for name, event in zip(names(collection.table), EVENTS, strict=True)
    ]


def names(table: str) -> list[str]:
    return [f"{PREFIX}{event}_{table}" for event in EVENTS]
