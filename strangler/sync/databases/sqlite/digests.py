"""Digests of SQLite's tables: made in the process, from the wire values of the rows (``digest`` says what each function is)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from strangler.domain import wire
from strangler.domain.digest import RangeDigest, canonical, row_digest
from strangler.sync import databases
from strangler.sync.collections import Collection
from strangler.sync.digest import Bucket, Range


def totals(cursor: Any, collection: Collection, ranges: Sequence[Range]) -> list[RangeDigest]:
    return [RangeDigest.of(digest for _, digest in keys(cursor, collection, within)) for within in ranges]


def keys(cursor: Any, collection: Collection, within: Range, limit: int | None = None) -> list[tuple[str, int]]:
    where, params = _where(collection, within)
    tail = f"{where} ORDER BY {collection.key_order('t')}" + (f" LIMIT {int(limit)}" if limit is not None else "")
    return _digests(cursor, collection, tail, params)


def of_keys(cursor: Any, collection: Collection, wanted: Iterable[str]) -> dict[str, int]:
    return dict(_digests(cursor, collection, f"WHERE {collection.key_matches('t')}", [collection.keys_param(wanted)]))


def texts_of(cursor: Any, collection: Collection, wanted: Iterable[str]) -> dict[str, dict[str, str | None]]:
    found = _rows(cursor, collection, f"WHERE {collection.key_matches('t')}", [collection.keys_param(wanted)])
    return {
        key: {
            column.name: None if row[column.name] is None else canonical(column.kind, row[column.name])
            for column in collection.columns
        }
        for key, row in found
    }


def key_after(cursor: Any, collection: Collection, within: Range, count: int) -> str | None:
    where, params = _where(collection, within)
    cursor.execute(
        f"SELECT {collection.key_text('t')} FROM {collection.sql} AS t {where} "
        f"ORDER BY {collection.key_order('t')} LIMIT 1 OFFSET {int(count)}",
        params,
    )
    found = cursor.fetchone()
    return found[0] if found else None


def buckets(cursor: Any, collection: Collection, within: Range, count: int) -> list[Bucket]:
    found = keys(cursor, collection, within)
    size = -(-len(found) // count) or 1
    return [_bucket(found[at : at + size]) for at in range(0, len(found), size)]


def _bucket(part: Sequence[tuple[str, int]]) -> Bucket:
    summed = RangeDigest.of(digest for _, digest in part)
    return Bucket(part[0][0], part[-1][0], summed.count, summed.digest)


def _where(collection: Collection, within: Range) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    for bound, sign in ((within.low, ">="), (within.high, "<=" if within.is_closed else "<")):
        if bound is not None:
            parts.append(f"({collection.key_order('t')}) {sign} ({collection.key_bound()})")
            params += collection.bound_params(bound)
    return ("WHERE " + " AND ".join(parts) if parts else ""), params


def _digests(cursor: Any, collection: Collection, tail: str, params: Sequence[Any]) -> list[tuple[str, int]]:
    kinds = {column.name: column.kind for column in collection.columns}
    return [
        (key, row_digest({name: (kinds[name], value) for name, value in row.items()}))
        for key, row in _rows(cursor, collection, tail, params)
    ]


def _rows(cursor: Any, collection: Collection, tail: str, params: Sequence[Any]) -> list[tuple[str, wire.Written]]:
    found = databases.of(cursor.db).rows_in(cursor, collection, tail, params)
    return [(key, wire.Written(text, nulls)) for key, text, nulls in found]
