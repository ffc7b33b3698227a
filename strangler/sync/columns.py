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
STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.US'

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), coalesce(base.typname, t.typname),
       CASE WHEN coalesce(base.typcategory, t.typcategory) = 'A' THEN coalesce(element.typname, '') ELSE '' END,
       a.attgenerated <> '', a.attnotnull
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type base ON t.typtype = 'd' AND base.oid = t.typbasetype
LEFT JOIN pg_type element ON element.oid = coalesce(base.typelem, t.typelem)
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
    padded: bool = False

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
        if self.kind is Kind.DECIMAL or self.kind is Kind.OTHER or self.padded:
            return f"{column}::text"
        if self.kind is Kind.TIMESTAMP:
            return _dated(column, f"{column} AT TIME ZONE 'UTC'", STAMP + '"Z"')
        if self.kind is Kind.LOCAL:
            return _dated(column, column, STAMP)
        if self.kind is Kind.BYTES:
            return f"translate(encode({column}, 'base64'), E'\\n', '')"
        if self.kind is Kind.ARRAY and self.element is Kind.DECIMAL:
            return f"{column}::text[]"
        return column

    def as_key(self, row: str) -> str:
        """SQL: the value as the text of a key: the same in every session, and castable back to the column's type."""
        if self.kind is Kind.DATE:
            return _dated(self.at(row), self.at(row), "YYYY-MM-DD")
        if self.kind is Kind.BYTES:
            return f"'\\x' || encode({self.at(row)}, 'hex')"
        if self.kind in (Kind.TIMESTAMP, Kind.LOCAL):
            return self.on_wire(row)
        return f"{self.at(row)}::text"

    def as_key_element(self, row: str) -> str:
        return self.at(row) if self.kind in (Kind.INTEGER, Kind.TEXT, Kind.UUID, Kind.BOOLEAN) else self.as_key(row)


def _dated(column: str, shown: str, form: str) -> str:
    """SQL: ``shown`` in the form; infinity as itself; years before our era marked, because ``to_char`` hides their sign."""
    text = f"to_char({shown}, '{form}')"
    return (
        f"CASE WHEN NOT isfinite({column}) THEN {column}::text WHEN {column} < '0001-01-01' THEN {text} || ' BC' ELSE {text} END"
    )


def columns_of(table: str, using: str | None = None) -> list[Column]:
    """The columns of the table whose quoted name is ``table``, in order; empty where there is no such table."""
    found = []
    for name, type_, base, element, generated, not_null in rows(COLUMNS, [table], using):
        kind = Kind.ARRAY if element else KINDS.get(base, Kind.OTHER)
        found.append(
            Column(name, type_, kind, KINDS.get(element, Kind.OTHER) if element else None, generated, not_null, base == "bpchar")
        )
    return found


def unique_keys(table: str, using: str | None = None) -> list[tuple[str, ...]]:
    """Sets of columns that identify a row (unique, immediate, none nullable), the primary key first."""
    return [tuple(names) for (names,) in rows(UNIQUE, [table], using)]
