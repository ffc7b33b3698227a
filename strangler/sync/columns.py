"""The columns of a table as the catalogue has them, and the SQL by which each kind of value travels (``domain.wire``)."""

from __future__ import annotations

from dataclasses import dataclass

from strangler.domain.wire import Kind
from strangler.sync.database import quoted, rows

KINDS = {
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "oid": Kind.INTEGER,
    "float4": Kind.FLOAT,
    "float8": Kind.FLOAT,
    "bool": Kind.BOOLEAN,
    "text": Kind.TEXT,
    "varchar": Kind.TEXT,
    "bpchar": Kind.TEXT,
    "citext": Kind.TEXT,
    "name": Kind.TEXT,
    "numeric": Kind.DECIMAL,
    "timestamptz": Kind.TIMESTAMP,
    "timestamp": Kind.LOCAL,
    "date": Kind.DATE,
    "uuid": Kind.UUID,
    "bytea": Kind.BYTES,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
}
# Kinds of which a key may be made: one value has one text, whatever the session's settings, and the text casts back to the value.
KEY_KINDS = {
    Kind.INTEGER,
    Kind.BOOLEAN,
    Kind.TEXT,
    Kind.DECIMAL,
    Kind.TIMESTAMP,
    Kind.LOCAL,
    Kind.DATE,
    Kind.UUID,
    Kind.BYTES,
}
# Further types with that property, by their names in the catalogue; the ranges are written out bound by bound.
KEY_TYPES = {
    *("time", "timetz", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "char", "ltree", "pg_lsn", "xid8"),
    *("int4range", "int8range"),
}
KEY_RANGES = {"tstzrange": Kind.TIMESTAMP, "tsrange": Kind.LOCAL, "daterange": Kind.DATE}
STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.US'

# A domain may be over a domain, so its base type is looked for until there is none below.
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), base.typname,
       CASE WHEN base.typcategory = 'A' THEN coalesce(element.typname, '') ELSE '' END,
       a.attgenerated <> '', a.attnotnull, a.atthasdef, a.attidentity = 'a', base.typtype = 'e',
       base.typnamespace::regnamespace::text || '.' || quote_ident(base.typname),
       coalesce(l.collisdeterministic, true), has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a
JOIN LATERAL (
  WITH RECURSIVE below(type) AS (
    SELECT a.atttypid UNION ALL SELECT d.typbasetype FROM below JOIN pg_type d ON d.oid = below.type WHERE d.typtype = 'd'
  )
  SELECT t.* FROM below JOIN pg_type t ON t.oid = below.type WHERE t.typtype <> 'd'
) base ON true
LEFT JOIN pg_type element ON element.oid = base.typelem
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
UNIQUE = """
SELECT array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n)
FROM pg_index i
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
      AND i.indexprs IS NULL AND NOT EXISTS (
        SELECT 1 FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) AND NOT a.attnotnull
      )
ORDER BY i.indisprimary DESC, i.indexrelid
"""


@dataclass(frozen=True)
class Column:
    """One column: its name, its type as ``format_type`` writes it, and what its values look like on the wire."""

    name: str
    type: str
    kind: Kind
    element: Kind | None = None
    generated: bool = False
    not_null: bool = False
    base: str = ""
    bare_type: str = ""
    has_default: bool = False
    is_always: bool = False
    is_enum: bool = False
    is_deterministic: bool = True
    is_readable: bool = True

    @property
    def key_type(self) -> str:
        """The type to which a key's text is cast: without length or precision, which a cast would cut to, meaning another row."""
        return (self.bare_type or self.type).replace("%", "%%")

    @property
    def is_demanded(self) -> bool:
        """Whether a row can't be written without a value for it."""
        return self.not_null and not (self.has_default or self.generated or self.is_always)

    @property
    def has_forms(self) -> bool:
        """Whether equal values may differ to the eye: 1.0 and 1.00, or letters of a citext."""
        return self.kind is Kind.DECIMAL or self.base == "citext"

    @property
    def is_key_material(self) -> bool:
        """Whether equal values have equal texts, in every session. Else one row would travel under two keys."""
        if not self.is_deterministic:
            return False
        return self.kind in KEY_KINDS or self.is_enum or self.base in KEY_TYPES or self.base in KEY_RANGES

    @property
    def sql_type(self) -> str:
        return self.type.replace("%", "%%")

    def at(self, row: str) -> str:
        return f"{row}.{quoted(self.name)}"

    @property
    def collation(self) -> str:
        return ' COLLATE "C"' if self.kind is Kind.TEXT else ""

    def ordered(self, row: str) -> str:
        return self.at(row) + self.collation

    def on_wire(self, row: str) -> str:
        """SQL: the value in a form that ``row_to_json`` writes as the wire wants it, whatever the session's settings."""
        column = self.at(row)
        if self.kind is Kind.DECIMAL or self.kind is Kind.OTHER or self.base == "bpchar":
            return f"{column}::text"
        if self.kind is Kind.TIMESTAMP:
            return _dated(column, f"{column} AT TIME ZONE 'UTC'", STAMP + '"Z"')
        if self.kind is Kind.LOCAL:
            return _dated(column, column, STAMP)
        if self.kind is Kind.BYTES:
            return f"translate(encode({column}, 'base64'), E'\\n', '')"
        if self.kind is Kind.ARRAY:
            listed = f"to_json({column}::text[])" if self.element is Kind.DECIMAL else f"to_json({column})"
            # A list has no place for bounds; then the database's own text travels, which it takes as well.
            return f"CASE WHEN array_dims({column}) ~ '[[](?!1:)' THEN to_json({column}::text) ELSE {listed} END"
        return column

    def as_key(self, row: str) -> str:
        """SQL: the value as the text of a key: the same in every session and for equal values, castable back to the type."""
        column = self.at(row)
        if self.kind is Kind.DATE:
            return _dated(column, column, "YYYY-MM-DD")
        if self.kind is Kind.BYTES:
            return f"'\\x' || encode({column}, 'hex')"
        if self.kind in (Kind.TIMESTAMP, Kind.LOCAL):
            return self.on_wire(row)
        if self.kind is Kind.DECIMAL:
            return f"trim_scale({column})::text"
        if self.base == "citext":
            return f"lower({column}::text)"
        if self.base in KEY_RANGES:
            return _range(column, KEY_RANGES[self.base])
        return f"{column}::text"

    def as_key_element(self, row: str) -> str:
        is_plain = self.kind in (Kind.INTEGER, Kind.TEXT, Kind.UUID, Kind.BOOLEAN) and self.base not in ("citext", "bpchar")
        return self.at(row) if is_plain else self.as_key(row)


def _dated(column: str, shown: str, form: str) -> str:
    """SQL: ``shown`` in the form; infinity as itself; years before our era marked, because ``to_char`` hides their sign.

    ``to_char`` knows no date after the last timestamp; such a one is its own text.
    """
    text = f"to_char({shown}, '{form}')"
    as_is = f"NOT isfinite({column})" + (f" OR {column} > '294276-12-31'" if form == "YYYY-MM-DD" else "")
    return f"CASE WHEN {as_is} THEN {column}::text WHEN {column} < '0001-01-01' THEN {text} || ' BC' ELSE {text} END"


def _range(column: str, kind: Kind) -> str:
    """SQL: a range's text whose bounds don't follow the session's time zone and date style."""

    def bound(which: str) -> str:
        value = f"{which}({column})"
        if kind is Kind.DATE:
            text = _dated(value, value, "YYYY-MM-DD")
        elif kind is Kind.TIMESTAMP:
            text = _dated(value, f"{value} AT TIME ZONE 'UTC'", STAMP + '"Z"')
        else:
            text = _dated(value, value, STAMP)
        return f"coalesce('\"' || ({text}) || '\"', '')"

    opened, closed = (f"CASE WHEN {which}_inc({column}) THEN '{a}' ELSE '{b}' END" for which, a, b in _BRACKETS)
    return (
        f"CASE WHEN isempty({column}) THEN 'empty' ELSE {opened} || {bound('lower')} || ',' || {bound('upper')} || {closed} END"
    )


_BRACKETS = (("lower", "[", "("), ("upper", "]", ")"))


def columns_of(table: str, using: str | None = None) -> list[Column]:
    """The columns of the table whose quoted name is ``table``, in order; empty where there is no such table."""
    found = []
    for name, type_, base, element, *facts in rows(COLUMNS, [table], using):
        of = KINDS.get(element, Kind.OTHER) if element else None
        kind = KINDS.get(base, Kind.OTHER)
        if of is not None:  # a list in a list would be taken for a dimension, so JSON values stay within the database's own text
            kind = Kind.OTHER if of is Kind.JSON else Kind.ARRAY
        generated, not_null, has_default, is_always, is_enum, bare, is_deterministic, is_readable = facts
        found.append(
            Column(
                name,
                type_,
                kind,
                of,
                generated,
                not_null,
                base,
                bare,
                has_default=has_default,
                is_always=is_always,
                is_enum=is_enum,
                is_deterministic=is_deterministic,
                is_readable=is_readable,
            )
        )
    return found


def unique_keys(table: str, using: str | None = None) -> list[tuple[str, ...]]:
    """Sets of columns that identify a row (unique, immediate, none nullable), the primary key first."""
    return [tuple(names) for (names,) in rows(UNIQUE, [table], using)]
