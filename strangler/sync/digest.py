"""Digests of this side's tables: of ranges, and of single keys (DESIGN section 5, P29).

Where every column is of a kind that PostgreSQL can write canonically, the rows never leave the database. A column of another kind
(float, JSON, array, range, …) is made canonical here, from the same wire values that the relay would send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from strangler.domain import wire
from strangler.domain.digest import MODULUS, RangeDigest, row_digest
from strangler.domain.wire import Kind
from strangler.sync.collections import Collection
from strangler.sync.database import quoted


@dataclass(frozen=True)
class Bucket:
    """A run of consecutive keys: the first and the last that are really there, how many, and the sum of their digests."""

    from_: str
    to: str
    count: int
    digest: int


@dataclass(frozen=True)
class Range:
    """Keys in the order of the key: from ``low`` (inclusive) to ``high``; None is open. ``is_closed``: ``high`` belongs to it."""

    low: str | None = None
    high: str | None = None
    is_closed: bool = True


def in_sql(collection: Collection) -> bool:
    """Whether the database itself can make this collection's digests."""
    return all(column.canonical("t") is not None for column in collection.columns)


def total(cursor: Any, collection: Collection, within: Range) -> RangeDigest:
    """Count and digest of a range."""
    where, params = _where(collection, within)
    if in_sql(collection):
        cursor.execute(
            f"SELECT count(*), mod(coalesce(sum({_row_digest(collection)}), 0), {MODULUS}) FROM {collection.sql} AS t {where}",
            params,
        )
        count, digest = cursor.fetchone()
        return RangeDigest(count, int(digest) % MODULUS)
    return RangeDigest.of(digest for _, digest in keys(cursor, collection, within))


def keys(cursor: Any, collection: Collection, within: Range, limit: int | None = None) -> list[tuple[str, int]]:
    """(key, digest) of each row of a range, in order of the key."""
    where, params = _where(collection, within)
    tail = f"ORDER BY {collection.key_order('t')}" + (f" LIMIT {int(limit)}" if limit is not None else "")
    return _rows(cursor, collection, where, params, tail)


def of_keys(cursor: Any, collection: Collection, wanted: Iterable[str]) -> dict[str, int]:
    """Digest of each of the wanted keys that exists."""
    return dict(_rows(cursor, collection, f"WHERE {collection.key_matches('t')}", [list(wanted)], ""))


def buckets(cursor: Any, collection: Collection, within: Range, count: int) -> list[Bucket]:
    """At most ``count`` runs of equally many consecutive keys; the digest of each."""
    if in_sql(collection):
        where, params = _where(collection, within)
        cursor.execute(
            "SELECT max(key) FILTER (WHERE is_first), max(key) FILTER (WHERE is_last), count(*), "
            f"mod(sum(digest), {MODULUS}) FROM (SELECT key, digest, bucket, "
            "lag(bucket) OVER (ORDER BY n) IS DISTINCT FROM bucket AS is_first, "
            "lead(bucket) OVER (ORDER BY n) IS DISTINCT FROM bucket AS is_last "
            f"FROM (SELECT {collection.key_text('t')} AS key, {_row_digest(collection)} AS digest, "
            f"row_number() OVER (ORDER BY {collection.key_order('t')}) AS n, "
            f"ntile({int(count)}) OVER (ORDER BY {collection.key_order('t')}) AS bucket "
            f"FROM {collection.sql} AS t {where}) AS r) AS b "
            "GROUP BY bucket ORDER BY bucket",
            params,
        )
        return [Bucket(first, last, n, int(digest) % MODULUS) for first, last, n, digest in cursor.fetchall()]
    found = keys(cursor, collection, within)
    return [_bucket(part) for part in _cut(found, count)]


def _bucket(part: list[tuple[str, int]]) -> Bucket:
    summed = RangeDigest.of(digest for _, digest in part)
    return Bucket(part[0][0], part[-1][0], summed.count, summed.digest)


def _cut(found: list[tuple[str, int]], count: int) -> list[list[tuple[str, int]]]:
    """As ``ntile`` does: the first ones are larger by one."""
    size, larger = divmod(len(found), count)
    parts, at = [], 0
    for index in range(min(count, len(found))):
        end = at + size + (index < larger)
        parts.append(found[at:end])
        at = end
    return parts


def _where(collection: Collection, within: Range) -> tuple[str, list[object]]:
    order = f"({collection.key_order('t')})"
    parts: list[str] = []
    params: list[object] = []
    if within.low is not None:
        parts.append(f"{order} >= ({collection.key_bound()})")
        params += collection.bound_params(within.low)
    if within.high is not None:
        parts.append(f"{order} {'<=' if within.is_closed else '<'} ({collection.key_bound()})")
        params += collection.bound_params(within.high)
    return ("WHERE " + " AND ".join(parts) if parts else ""), params


def _row_digest(collection: Collection) -> str:
    """SQL: the row's digest as a signed number; congruent to the unsigned one modulo 2^64, so sums agree."""
    fields = []
    for column in sorted(collection.columns, key=lambda column: column.name):
        name = column.name.replace("'", "''").replace("%", "%%")
        text = column.canonical("t")
        fields.append(f"'{name}=' || coalesce(octet_length(convert_to({text}, 'UTF8')) || ':' || ({text}), '-') || ';'")
    text = " || ".join(fields)
    return f"('x' || encode(substr(sha256(convert_to({text}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint"


def _rows(cursor: Any, collection: Collection, where: str, params: list[object], tail: str) -> list[tuple[str, int]]:
    if in_sql(collection):
        cursor.execute(
            f"SELECT {collection.key_text('t')}, {_row_digest(collection)} FROM {collection.sql} AS t {where} {tail}", params
        )
        return [(key, digest % MODULUS) for key, digest in cursor.fetchall()]
    nulls = ", ".join(
        f"{column.at('t')}::text IS NOT DISTINCT FROM 'null' AS {quoted(column.name)}" for column in collection.json_columns
    )
    names = f"(SELECT row_to_json(w) FROM (SELECT {nulls}) AS w)::text" if nulls else "NULL"
    cursor.execute(
        f"SELECT {collection.key_text('t')}, {collection.row_json('t')}, {names} FROM {collection.sql} AS t {where} {tail}",
        params,
    )
    kinds = {column.name: column.kind for column in collection.columns}
    return [(key, _python_digest(kinds, text, null)) for key, text, null in cursor.fetchall()]


def _python_digest(kinds: dict[str, Kind], text: str, nulls: str | None) -> int:
    row: dict[str, wire.Json] = wire.loads(text)
    for name, is_null in (wire.loads(nulls) if nulls else {}).items():
        if is_null:
            row[name] = wire.JSON_NULL
    return row_digest({name: (kinds[name], value) for name, value in row.items()})
