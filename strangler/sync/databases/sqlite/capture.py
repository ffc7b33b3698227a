"""Capture in SQLite: row triggers that note a pointer in the writer's own transaction (P1), in SQL that any program can run.

- *Every writer* fires them: they are in the file. So do foreign keys' CASCADE and SET NULL, UPSERT, and DELETE without WHERE,
  which is a loop over rows as soon as the table has a trigger. There is no TRUNCATE, so there is no reset.
- ``INSERT OR REPLACE`` and ``UPDATE OR REPLACE`` delete the rows that stand in their way without firing a DELETE trigger, unless
  the writer's connection has ``recursive_triggers``. A row with the same key is noted by its successor. One that has another key
  and an equal unique value would go unseen, so a BEFORE trigger notes whatever equals the new row in a unique index. If nothing
  is replaced in the end, the pointer tells of a row as it is. (Not so in a unique index over an expression.)
- *A key that changes* is noted under its old and its new value.
- *A change that was applied* has its origin in ``strangler_origin``, a row that lives only within the applying transaction; as
  SQLite has one writer, nobody else can see it (P5).
- *Ids of pointers* are never given twice (AUTOINCREMENT): the relay deletes by id what it has read (P6).
- *A writer from before the trigger* was over when the trigger came, for that needs the one write lock; a reader that becomes a
  writer with an older snapshot is refused by SQLite (``SQLITE_BUSY_SNAPSHOT``).
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from strangler.sync.collections import Collection
from strangler.sync.database import literal, quote
from strangler.sync.databases.sqlite.columns import unique_indexes

PREFIX = "strangler_capture_"
HERE = "coalesce((SELECT origin FROM strangler_origin), '')"
NOTE = (
    "INSERT INTO strangler_outbox (stream, collection, key, origin) "
    "SELECT s.stream, s.collection, k.key, {here} FROM strangler_subscription AS s, ({keys}) AS k "
    "WHERE s.collection = {name} AND s.stream <> {here};"
)
TRIGGER = "CREATE TRIGGER {trigger} {when} ON {table} FOR EACH ROW {if_}BEGIN {note} END"


def statements(connection: BaseDatabaseWrapper, collection: Collection) -> list[str]:
    """The triggers of the collection's table."""
    new, old = _plain(collection.key_text("NEW")), _plain(collection.key_text("OLD"))
    made = [
        _trigger(collection, "insert", "AFTER INSERT", f"SELECT {new} AS key"),
        _trigger(collection, "update", "AFTER UPDATE", f"SELECT {new} AS key UNION SELECT {old}"),
        _trigger(collection, "delete", "AFTER DELETE", f"SELECT {old} AS key"),
    ]
    replaced = _replaced(connection, collection)
    if replaced:
        for event, itself in (("insert", "NEW"), ("update", "OLD")):
            same = " AND ".join(f"t.{quote(column.name)} IS {itself}.{quote(column.name)}" for column in collection.key)
            there = f"FROM {collection.ddl} AS t WHERE ({replaced}) AND NOT ({same})"
            keys = f"SELECT {_plain(collection.key_text('t'))} AS key {there}"
            when = f"WHEN EXISTS (SELECT 1 {there}) "
            made.append(_trigger(collection, f"{event}_or_replace", f"BEFORE {event.upper()}", keys, when))
    return made


def names(table: str) -> list[str]:
    """Every name that a capture trigger of the table may have."""
    return [f"{PREFIX}{event}_{table}" for event in ("insert", "update", "delete", "insert_or_replace", "update_or_replace")]


def _trigger(collection: Collection, event: str, when: str, keys: str, if_: str = "") -> str:
    return TRIGGER.format(
        trigger=quote(f"{PREFIX}{event}_{collection.table}"),
        when=when,
        table=collection.ddl,
        if_=if_,
        note=NOTE.format(here=HERE, keys=keys, name=literal(collection.name)),
    )


def _replaced(connection: BaseDatabaseWrapper, collection: Collection) -> str:
    """SQL: the row ``t`` equals NEW in a unique index other than the key's; '' where there is no such index."""
    key = {column.name for column in collection.key}
    conflicts = [
        " AND ".join(f"t.{quote(column)} = NEW.{quote(column)} COLLATE {collation}" for column, collation in index if column)
        for index in unique_indexes(connection, collection.table)
        if all(column is not None for column, _ in index) and {column for column, _ in index} != key
    ]
    return " OR ".join(f"({conflict})" for conflict in conflicts)


def _plain(sql: str) -> str:
    return sql.replace("%%", "%")
