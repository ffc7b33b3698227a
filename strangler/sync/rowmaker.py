"""A row to try writes with: one that is there, or one made of the columns' types. The caller's transaction is rolled back."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import DatabaseError, transaction

from strangler.domain.wire import Kind
from strangler.sync.collections import Collection
from strangler.sync.columns import Column, columns_of
from strangler.sync.database import message, quoted

# Values of types that are no wire kind of their own.
SAMPLES = {
    "time": "12:00",
    "timetz": "12:00+00",
    "interval": "1 hour",
    "inet": "127.0.0.1",
    "cidr": "127.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03",
    "money": "1",
    "xml": "<a/>",
    "tsvector": "a:1",
    "point": "(0,0)",
    "hstore": "",
    "ltree": "a",
    "bit": "0",
    "varbit": "0",
}


class NoRow(Exception):
    """No row is to be had; the message says why."""


def take(cursor: Any, collection: Collection) -> tuple[dict[str, Any], str]:
    """(column → value, key) of a row that nobody has locked, locked from now on; made if there is none. Raises ``NoRow``."""
    names = [column.name for column in collection.columns]
    wanted = ", ".join([*map(quoted, names), collection.key_text("t")])
    cursor.execute(f"SELECT {wanted} FROM {collection.sql} AS t LIMIT 1 FOR UPDATE SKIP LOCKED", [])
    found = cursor.fetchone()
    if found is None:
        values = {column.name: value(column) for column in collection.columns if _is_needed(column)}
        found = _insert(cursor, collection.sql, values, wanted)
    return dict(zip(names, found, strict=False)), str(found[-1])


def another(cursor: Any, table: str, key: list[str]) -> dict[str, Any]:
    """A new row of ``table`` (a quoted name): its key columns and their values. Raises ``NoRow``."""
    columns = [column for column in columns_of(table.replace("%%", "%"), cursor.db.alias) if not column.generated]
    values = {column.name: value(column) for column in columns if column.name in key or _is_needed(column)}
    made = _insert(cursor, table, values, ", ".join(map(quoted, key)))
    return dict(zip(key, made, strict=True))


def copied(cursor: Any, statement: str, data: bytes | None = None) -> bytes:
    """COPY in or out, with psycopg 3 or 2."""
    raw = cursor.cursor
    if hasattr(raw, "copy"):
        with raw.copy(statement) as copy:
            if data is None:
                return b"".join(bytes(part) for part in copy)
            copy.write(data)
        return b""
    import io

    stream = io.BytesIO(data or b"")
    raw.copy_expert(statement, stream)
    return stream.getvalue()


def _insert(cursor: Any, table: str, values: dict[str, Any], wanted: str) -> tuple[Any, ...]:
    listed, given = ", ".join(quoted(column) for column in values), ", ".join(["%s"] * len(values))
    source = f"({listed}) OVERRIDING SYSTEM VALUE VALUES ({given})" if values else "DEFAULT VALUES"
    try:
        with transaction.atomic(using=cursor.db.alias):
            cursor.execute(f"INSERT INTO {table} AS t {source} RETURNING {wanted}", list(values.values()))
            return tuple(cursor.fetchone())
    except DatabaseError as error:
        raise NoRow(f"no row of the table is free, and none can be made for it: {message(error)}") from error


def _is_needed(column: Column) -> bool:
    return column.not_null and not (column.has_default or column.is_always)


def value(column: Column) -> Any:
    """A value that such a column takes, as far as its type tells."""
    by_kind = {
        Kind.INTEGER: 32_001 if column.base == "int2" else 1_900_000_001,
        Kind.FLOAT: 1.5,
        Kind.BOOLEAN: True,
        Kind.TEXT: "~",
        Kind.DECIMAL: 1,
        Kind.TIMESTAMP: dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        Kind.LOCAL: dt.datetime(2000, 1, 1),
        Kind.DATE: dt.date(2000, 1, 1),
        Kind.UUID: uuid.uuid4(),
        Kind.BYTES: b"~",
        Kind.JSON: "{}",
        Kind.ARRAY: "{}",
    }
    if column.kind in by_kind:
        return by_kind[column.kind]
    if column.base.endswith("range"):
        return "{}" if column.base.endswith("multirange") else "empty"
    return SAMPLES.get(column.base, "")
