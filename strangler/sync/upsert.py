"""The statements that write rows: one per collection and set of columns, whatever the number of rows.

``plain`` is for batches that just fit. ``careful`` is for those that did not: it deletes before it inserts, so that rows may swap
unique values, and cuts the batch in halves around rows that the database refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.utils import DatabaseError

from strangler.domain import wire
from strangler.domain.envelope import Event, Op
from strangler.sync import databases
from strangler.sync.collections import Collection
from strangler.sync.database import alias, message, sqlstate

CONFLICTS = ("23505", "23P01")  # unique, exclusion: another row stands in the way and may yet go


class Refused(Exception):
    """Keys that the database does not take now: ``(event, reason, waits)``; it waits if another row is in its way."""

    def __init__(self, events: Sequence[tuple[Event, str, bool]]) -> None:
        self.events = events
        super().__init__(f"{len(events)} rows refused")


def plain(cursor: Any, collection: Collection, events: Sequence[Event], using: str | None) -> None:
    """Deletes and upserts in bulk. A database error spoils the transaction; the caller starts anew with ``careful``."""
    delete(cursor, collection, [event.key or "" for event in events if event.op is Op.DELETE])
    insert(cursor, collection, [event for event in events if event.op is Op.UPSERT])


def careful(cursor: Any, collection: Collection, events: Sequence[Event], using: str | None) -> None:
    """Raises ``Refused`` naming exactly the rows that don't go in, for the caller to roll back and go on without them."""
    refused: list[tuple[Event, str, bool]] = []
    for key in _undeletable(cursor, collection, [event.key or "" for event in events if event.op is Op.DELETE], using):
        refused += [(event, key[1], False) for event in events if event.key == key[0]]
    upserts = [event for event in events if event.op is Op.UPSERT]
    delete(cursor, collection, [event.key or "" for event in upserts])
    pending = [upserts] if upserts else []
    while pending:
        part = pending.pop()
        try:
            with transaction.atomic(using=alias(using)):
                insert(cursor, collection, part)
        except DatabaseError as error:
            if sqlstate(error)[:2] not in ("22", "23"):
                raise
            if len(part) == 1:
                refused.append((part[0], message(error), sqlstate(error) in CONFLICTS))
            else:
                half = len(part) // 2
                pending += [part[half:], part[:half]]
    if refused:
        raise Refused(refused)


def _undeletable(cursor: Any, collection: Collection, keys: Sequence[str], using: str | None) -> list[tuple[str, str]]:
    """Deletes; answers the keys whose text isn't even a value of the key's type, with the reason."""
    pending, refused = [list(keys)] if keys else [], []
    while pending:
        part = pending.pop()
        try:
            with transaction.atomic(using=alias(using)):
                delete(cursor, collection, part)
        except DatabaseError as error:
            if sqlstate(error)[:2] not in ("22", "23"):
                raise
            if len(part) == 1:
                refused.append((part[0], message(error)))
            else:
                half = len(part) // 2
                pending += [part[half:], part[:half]]
    return refused


def delete(cursor: Any, collection: Collection, keys: Sequence[str]) -> None:
    if keys:
        cursor.execute(f"DELETE FROM {collection.sql} AS t WHERE {collection.key_matches('t')}", [collection.keys_param(keys)])


def insert(cursor: Any, collection: Collection, events: Sequence[Event]) -> None:
    """Insert or update, the columns that both the rows and the table have; one statement per set of columns."""
    groups: dict[tuple[str, ...], list[Mapping[str, wire.Json]]] = {}
    for event in events:
        if event.data is not None:
            groups.setdefault(tuple(event.data), []).append(event.data)
    if any(column.is_always and column not in collection.key for column in collection.columns):
        delete(cursor, collection, [event.key or "" for event in events])  # an UPDATE may not set GENERATED ALWAYS AS IDENTITY
    for names, records in groups.items():
        columns = [column for column in collection.columns if column.name in names]
        databases.of(cursor.db).upsert(cursor, collection, columns, records)
