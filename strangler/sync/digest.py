"""Digests of this side's tables: of ranges, and of single keys (DESIGN section 5, P29).

Where PostgreSQL can write every column's canonical text, the rows never leave the database. Where a column is left to Python
(float, JSON, array of such), all the others still come as finished text and only that one is made canonical here.

Ranges are in the order of the key, and that of text is by its bytes, on whatever server. A single text key is compared by the
``text_pattern_ops`` operators, for which Django makes an index (``…_like``); the primary key's own index has the database's
collation and is of no use here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from strangler.domain import wire
from strangler.domain.digest import MODULUS, RangeDigest, canonical_json, canonical_json_text, number
from strangler.domain.wire import Kind
from strangler.errors import StranglerError
from strangler.sync import canonical, collections, databases
from strangler.sync.canonical import Piece
from strangler.sync.collections import Collection
from strangler.sync.columns import Column
from strangler.sync.database import value

PATTERN = ("text", "character varying")  # types whose pattern operators are those of text
PINNED = "SELECT " + ", ".join(f"set_config('{name}', '{setting}', true)" for name, setting in canonical.SETTINGS.items())
_encodings: dict[str, str] = {}


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
    return all(map(canonical.is_exact, collection.columns))


def total(cursor: Any, collection: Collection, within: Range) -> RangeDigest:
    """Count and digest of a range."""
    return totals(cursor, collection, [within])[0]


def totals(cursor: Any, collection: Collection, ranges: Sequence[Range]) -> list[RangeDigest]:
    """Count and digest of each range, in one statement."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.totals(cursor, collection, ranges)  # type: ignore[no-any-return]
    if not in_sql(collection):
        return [RangeDigest.of(digest for _, digest in _rows(cursor, collection, within)) for within in ranges]
    row_digest = _row_digest(cursor, collection)
    parts: list[str] = []
    params: list[object] = []
    for index, within in enumerate(ranges):
        where, bounds = _where(collection, within)
        params += bounds
        # OFFSET 0 keeps the planner from writing the digest's expression into both aggregates.
        parts.append(
            f"SELECT {index} AS part, count(*), count(d), sum(d) "
            f"FROM (SELECT {row_digest} AS d FROM {collection.sql} AS t {where} OFFSET 0) AS r"
        )
    _pin(cursor)
    cursor.execute(" UNION ALL ".join(parts) + " ORDER BY part", params)
    found = cursor.fetchall()
    if any(count != known for _, count, known, _ in found):
        raise _changed(collection)
    return [RangeDigest(count, int(digest or 0) % MODULUS) for _, count, _, digest in found]


def keys(cursor: Any, collection: Collection, within: Range, limit: int | None = None) -> list[tuple[str, int]]:
    """(key, digest) of each row of a range, in order of the key."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.keys(cursor, collection, within, limit)  # type: ignore[no-any-return]
    tail = f"ORDER BY {_order(collection)}" + (f" LIMIT {int(limit)}" if limit is not None else "")
    return _rows(cursor, collection, within, tail)


def of_keys(cursor: Any, collection: Collection, wanted: Iterable[str]) -> dict[str, int]:
    """Digest of each of the wanted keys that exists."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.of_keys(cursor, collection, wanted)  # type: ignore[no-any-return]
    return dict(_select(cursor, collection, f"WHERE {collection.key_matches('t')}", [collection.keys_param(wanted)]))


def texts_of(cursor: Any, collection: Collection, wanted: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """Key → column → canonical text, None for NULL; of those keys that exist. For people, not for digests."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.texts_of(cursor, collection, wanted)  # type: ignore[no-any-return]
    columns = collection.columns
    written = [canonical.text(c, "t") if canonical.is_exact(c) else canonical.source(c, "t") for c in columns]
    makers = [str if canonical.is_exact(column) else _maker(column) for column in columns]
    _pin(cursor)
    cursor.execute(
        f"SELECT {collection.key_text('t')}, {', '.join(written)} FROM {collection.sql} AS t WHERE {collection.key_matches('t')}",
        [collection.keys_param(wanted)],
    )
    return {
        key: {c.name: None if text is None else make(text) for c, make, text in zip(columns, makers, texts, strict=True)}
        for key, *texts in cursor.fetchall()
    }


def key_after(cursor: Any, collection: Collection, within: Range, count: int) -> str | None:
    """The key that comes ``count`` rows after the range's first one, or None where it has no more than so many."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.key_after(cursor, collection, within, count)  # type: ignore[no-any-return]
    where, params = _where(collection, within)
    return _edge(cursor, collection, where, params, _order(collection), offset=count)


def buckets(cursor: Any, collection: Collection, within: Range, count: int) -> list[Bucket]:
    """At most ``count`` runs of equally many consecutive keys (the last may have fewer); the digest of each."""
    if (process := databases.of(cursor.db).digests) is not None:
        return process.buckets(cursor, collection, within, count)  # type: ignore[no-any-return]
    if count == 1:
        return _whole(cursor, collection, within)
    if not in_sql(collection):
        found = keys(cursor, collection, within)
        size = -(-len(found) // count) or 1
        return [_bucket(found[at : at + size]) for at in range(0, len(found), size)]
    where, params = _where(collection, within)
    _pin(cursor)
    cursor.execute(f"SELECT count(*) FROM {collection.sql} AS t {where}", params)
    (rows,) = cursor.fetchone()
    size = -(-rows // count) or 1
    cursor.execute(
        f"SELECT max(key) FILTER (WHERE n %% {size} = 0), max(key) FILTER (WHERE n %% {size} = {size - 1} OR n = {rows - 1}), "
        "count(*), count(digest), sum(digest) "
        f"FROM (SELECT {collection.key_text('t')} AS key, {_row_digest(cursor, collection)} AS digest, "
        f"row_number() OVER (ORDER BY {_order(collection)}) - 1 AS n FROM {collection.sql} AS t {where}) AS numbered "
        f"GROUP BY n / {size} ORDER BY n / {size}",
        params,
    )
    found = cursor.fetchall()
    if any(n != known for _, _, n, known, _ in found):
        raise _changed(collection)
    return [Bucket(first, last, n, int(digest) % MODULUS) for first, last, n, _, digest in found]


def _whole(cursor: Any, collection: Collection, within: Range) -> list[Bucket]:
    """One run over everything: what a check of equal sides asks for, so without numbering the rows."""
    summed = total(cursor, collection, within)
    if not summed.count:
        return []
    where, params = _where(collection, within)
    first = _edge(cursor, collection, where, params, _order(collection))
    last = _edge(cursor, collection, where, params, _order(collection, descending=True))
    return [Bucket(str(first), str(last), summed.count, summed.digest)]


def _edge(cursor: Any, collection: Collection, where: str, params: list[object], order: str, offset: int = 0) -> str | None:
    columns = ", ".join(column.at("t") for column in collection.key)
    cursor.execute(
        f"SELECT {collection.key_text('t')} FROM "
        f"(SELECT {columns} FROM {collection.sql} AS t {where} ORDER BY {order} OFFSET {int(offset)} LIMIT 1) AS t",
        params,
    )
    found = cursor.fetchone()
    return found[0] if found else None


def _bucket(part: list[tuple[str, int]]) -> Bucket:
    summed = RangeDigest.of(digest for _, digest in part)
    return Bucket(part[0][0], part[-1][0], summed.count, summed.digest)


# ---- the order of keys -------------------------------------------------------------------------------------------------


def _has_pattern(collection: Collection) -> bool:
    (*others, last) = collection.key
    return not others and last.type.partition("(")[0] in PATTERN


def _order(collection: Collection, *, descending: bool = False) -> str:
    """SQL: for ORDER BY."""
    if _has_pattern(collection):
        return f"{collection.key[0].at('t')} USING {'~>~' if descending else '~<~'}"
    return ", ".join(column.ordered("t") + (" DESC" if descending else "") for column in collection.key)


def _where(collection: Collection, within: Range) -> tuple[str, list[object]]:
    parts: list[str] = []
    params: list[object] = []
    for bound, sign in ((within.low, ">="), (within.high, "<=" if within.is_closed else "<")):
        if bound is None:
            continue
        if _has_pattern(collection):
            parts.append(f"{collection.key[0].at('t')} ~{sign}~ %s::text")
        else:
            parts.append(f"({collection.key_order('t')}) {sign} ({collection.key_bound()})")
        params += collection.bound_params(bound)
    return ("WHERE " + " AND ".join(parts) if parts else ""), params


# ---- a row's digest ----------------------------------------------------------------------------------------------------


def _pieces(cursor: Any, collection: Collection) -> list[Piece]:
    alias = cursor.db.alias
    if alias not in _encodings:
        _encodings[alias] = str(value("SHOW server_encoding", using=alias))
    return canonical.pieces(collection.columns, "t", is_utf8=_encodings[alias] == "UTF8")


def _row_digest(cursor: Any, collection: Collection) -> str:
    """SQL: the row's digest as a signed number; congruent to the unsigned one modulo 2^64, so sums agree."""
    hashed = f"sha256(textsend({canonical.joined(_pieces(cursor, collection))}))"
    if cursor.db.pg_version >= 18_00_00:
        return f"substr({hashed}, 1, 8)::bigint"
    return f"('x' || left(encode({hashed}, 'hex'), 16))::bit(64)::bigint"


def _rows(cursor: Any, collection: Collection, within: Range, tail: str = "") -> list[tuple[str, int]]:
    where, params = _where(collection, within)
    return _select(cursor, collection, f"{where} {tail}", params)


def _select(cursor: Any, collection: Collection, rest: str, params: list[object]) -> list[tuple[str, int]]:
    _pin(cursor)
    if not in_sql(collection):
        return _by_python(cursor, collection, rest, params)
    cursor.execute(
        f"SELECT {collection.key_text('t')}, {_row_digest(cursor, collection)} FROM {collection.sql} AS t {rest}", params
    )
    found = cursor.fetchall()
    if any(digest is None for _, digest in found):
        raise _changed(collection)
    return [(key, digest % MODULUS) for key, digest in found]


def _by_python(cursor: Any, collection: Collection, rest: str, params: list[object]) -> list[tuple[str, int]]:
    """The runs between the columns that are left to Python come as finished text, those columns as what they are made from."""
    selected, makers = _selected(_pieces(cursor, collection))
    cursor.execute(
        f"SELECT {collection.key_text('t')}, {', '.join(selected)} FROM {collection.sql} AS t {rest}",
        params,
    )
    found, hash_, whole = [], hashlib.sha256, int.from_bytes
    for key, *texts in cursor.fetchall():
        for index, make in makers:
            text = texts[index]
            if text is None:
                texts[index] = "-"
            else:
                made = make(text)
                texts[index] = f"{len(made) if made.isascii() else len(made.encode())}:{made}"
        try:
            found.append((key, whole(hash_("".join(texts).encode()).digest()[:8], "big")))
        except TypeError:
            raise _changed(collection) from None
    return found


def _selected(pieces: Sequence[Piece]) -> tuple[list[str], list[tuple[int, Callable[[str], str]]]]:
    """SQL of each part of the row's text, and which parts Python makes of what is selected, and how."""
    selected: list[str] = []
    makers: list[tuple[int, Callable[[str], str]]] = []
    run: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Column):
            makers.append((len(selected) + 1, _maker(piece)))
            selected += [canonical.joined(run), canonical.source(piece, "t")]
            run = []
        else:
            run.append(piece)
    return [*selected, canonical.joined(run)], makers


def _maker(column: Column) -> Callable[[str], str]:
    if column.kind is Kind.FLOAT:
        return lambda text: number(float(text))
    if column.kind is Kind.JSON:
        return canonical_json_text
    return lambda text: canonical_json(wire.loads(text))


def _pin(cursor: Any) -> None:
    """Until the end of the transaction: what decides how PostgreSQL writes a value as text."""
    cursor.execute(PINNED)


def _changed(collection: Collection) -> StranglerError:
    """A column that was NOT NULL when the catalogue was read is not any more."""
    collections.forget()
    again = f"strangler sync verify {collection.context}"
    return StranglerError(f"the columns of {collection.name} have just changed; compare again: {again}")
