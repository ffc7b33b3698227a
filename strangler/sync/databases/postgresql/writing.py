"""Rows from the wire into a table of PostgreSQL: one statement, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from strangler.domain import wire
from strangler.domain.wire import Kind
from strangler.sync.collections import Collection
from strangler.sync.columns import Column
from strangler.sync.database import quoted

NULLS = "strangler:null"  # names the columns of a record that hold a JSON null, where null itself is the SQL NULL


def upsert(cursor: Any, collection: Collection, columns: Sequence[Column], records: Sequence[Mapping[str, wire.Json]]) -> None:
    if collection.json_columns:
        records = [_record(row) for row in records]
    cursor.execute(statement(collection, columns), [_array(records)])


def statement(collection: Collection, columns: Sequence[Column]) -> str:
    """SQL with one parameter, the rows as a JSON array."""
    key = {column.name for column in collection.key}
    form = "json" if any(c.base == "json" for c in columns) else "jsonb"  # a json column keeps the order of its names
    changed = [c for c in columns if (c.name not in key or c.has_forms) and not c.is_always]
    changes = ", ".join(f"{quoted(c.name)} = EXCLUDED.{quoted(c.name)}" for c in changed)
    types = ", ".join(f"{quoted(c.name)} {'text' if c.kind is Kind.BYTES else c.sql_type}" for c in columns)
    return (
        f"INSERT INTO {collection.sql} ({', '.join(quoted(c.name) for c in columns)}) OVERRIDING SYSTEM VALUE "
        f"SELECT {', '.join(map(_value, columns))} FROM {form}_to_recordset(%s::{form}) AS r({types}, {quoted(NULLS)} jsonb) "
        f"ON CONFLICT ({', '.join(quoted(c.name) for c in collection.key)}) "
        + (f"DO UPDATE SET {changes}" if changes else "DO NOTHING")
    )


def _value(column: Column) -> str:
    value = column.at("r")
    if column.kind is Kind.BYTES:
        return f"decode({value}, 'base64')"
    if column.kind is Kind.JSON:
        name = column.name.replace("'", "''").replace("%", "%%")
        return f"CASE WHEN jsonb_exists(r.{quoted(NULLS)}, '{name}') THEN 'null'::{column.sql_type} ELSE {value} END"
    return value


def _array(records: Sequence[Mapping[str, wire.Json]]) -> str:
    """The rows as a JSON array. What orjson does not write (exact and large numbers, halves of characters) goes the slow way."""
    try:
        return orjson.dumps(records).decode()
    except TypeError:
        return wire.dumps(records)


def _record(row: Mapping[str, wire.Json]) -> Mapping[str, wire.Json]:
    nulls = [name for name, value in row.items() if value is wire.JSON_NULL]
    if not nulls:
        return row
    return {**row, **dict.fromkeys(nulls), NULLS: nulls}
