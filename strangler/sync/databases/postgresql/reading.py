"""Rows as PostgreSQL writes them for the wire: JSON text, made in the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from strangler.sync.collections import Collection


def rows_of(
    cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
    """(collection, key) → the row's wire values as JSON text, and its columns that hold a JSON null, for the keys that exist.

    One statement, so one snapshot.
    """
    parts: list[str] = []
    params: list[object] = []
    for name, (collection, keys) in wanted.items():
        parts.append(f"SELECT %s::text, {_row(collection)} FROM {collection.sql} AS t WHERE {collection.key_matches('t')}")
        params += [name, list(keys)]
    cursor.execute(" UNION ALL ".join(parts), params)
    return {(name, key): (text, nulls) for name, key, text, nulls in cursor.fetchall()}


def rows_after(cursor: Any, collection: Collection, last: str | None, limit: int) -> list[tuple[str, str, list[str] | None]]:
    """(key, row's wire values as JSON text, columns that hold a JSON null) of the next rows in order of the key."""
    order = collection.key_order("t")
    beyond = "" if last is None else f"WHERE ({order}) > ({collection.key_bound()})"
    params = [] if last is None else collection.bound_params(last)
    return rows_in(cursor, collection, f"{beyond} ORDER BY {order} LIMIT {int(limit)}", params)


def rows_in(cursor: Any, collection: Collection, tail: str, params: Sequence[Any]) -> list[tuple[str, str, list[str] | None]]:
    cursor.execute(f"SELECT {_row(collection)} FROM {collection.sql} AS t {tail}", params)
    found: list[tuple[str, str, list[str] | None]] = cursor.fetchall()
    return found


def _row(collection: Collection) -> str:
    """SQL: key, wire values as JSON text, names of the columns that hold a JSON null."""
    nulls = ", ".join(
        f"CASE WHEN {column.at('t')}::text = 'null' THEN {_text(column.name)} END" for column in collection.json_columns
    )
    named = f"array_remove(ARRAY[{nulls}]::text[], NULL)" if nulls else "NULL::text[]"
    return f"{collection.key_text('t')}, {collection.row_json('t')}, {named}"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''").replace("%", "%%") + "'"
