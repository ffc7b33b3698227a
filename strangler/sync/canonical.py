"""SQL for the canonical text of a row (DESIGN section 5): what PostgreSQL can write itself, and what is left to Python.

A row is a list of pieces: constants, expressions that are never NULL, and the columns that only Python can write. Constants that
meet are joined, each value is written once where its length is known beforehand (UUIDs, booleans, times), and NULL is only asked
for where the column may hold it: together that takes half the time of the straightforward expression.

In SQL it is exact or it isn't done: numbers inside JSON and floats are written as ECMAScript does, which only Python can here.
The sessions must have ``SETTINGS``, so that two of them write the same text for a range, an interval or an array of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strangler.domain.wire import Kind
from strangler.sync.columns import STAMP, Column

SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
TIMES = {  # kind → length of the text, zone of the bounds within which it has that length, what is shown, its form
    Kind.TIMESTAMP: (27, "+00", "{} AT TIME ZONE 'UTC'", STAMP + '"Z"'),
    Kind.LOCAL: (26, "", "{}", STAMP),
    Kind.DATE: (10, "", "{}", "YYYY-MM-DD"),
}
EXACT_ELEMENTS = (Kind.TEXT, Kind.BOOLEAN, Kind.UUID, Kind.DECIMAL, Kind.DATE, Kind.TIMESTAMP, Kind.LOCAL)
SMALL_INTEGERS = ("smallint[]", "integer[]")  # a bigint beyond 2^53 is another number in ECMAScript


@dataclass(frozen=True)
class Constant:
    text: str


Piece = Constant | str | Column  # str: an SQL expression, of type text or an integer


def pieces(columns: Sequence[Column], row: str, *, is_utf8: bool) -> list[Piece]:
    """The row's canonical text in order. ``is_utf8``: the server's encoding, in which ``octet_length`` counts."""
    found: list[Piece] = []
    for column in sorted(columns, key=lambda column: column.name):
        for piece in _field(column, row, is_utf8):
            if isinstance(piece, Constant) and found and isinstance(found[-1], Constant):
                found[-1] = Constant(found[-1].text + piece.text)
            else:
                found.append(piece)
    return found


def joined(run: Sequence[Piece]) -> str:
    """SQL (for use with parameters): the text of pieces none of which is left to Python."""
    return "''" if not run else " || ".join(_constant(p.text) if isinstance(p, Constant) else str(p) for p in run)


def is_exact(column: Column) -> bool:
    """Whether PostgreSQL itself writes the column's canonical text."""
    if column.kind is Kind.ARRAY:
        return column.element in EXACT_ELEMENTS or column.type in SMALL_INTEGERS
    return column.kind not in (Kind.FLOAT, Kind.JSON)


def text(column: Column, row: str) -> str:
    """SQL: the value's canonical text by itself, NULL for NULL; of a column that ``is_exact``."""
    at = column.at(row)
    if column.kind is Kind.BOOLEAN:
        return f"CASE {at} WHEN true THEN 't' WHEN false THEN 'f' END"
    if column.kind is Kind.DECIMAL:
        return f"trim_scale({at})::text"
    if column.kind in TIMES:
        return column.as_key(row)
    if column.kind is Kind.ARRAY:
        return source(column, row)
    return column.on_wire(row) if column.kind is Kind.BYTES else f"{at}::text"


def source(column: Column, row: str) -> str:
    """SQL: the text from which Python makes a column's canonical text; NULL for NULL, also where JSON has a ``null``."""
    if column.kind is Kind.ARRAY:
        return f"to_json({column.on_wire(row)})::text"
    return f"{column.at(row)}::text"


def _field(column: Column, row: str, is_utf8: bool) -> list[Piece]:
    name, at = Constant(f"{column.name}="), column.at(row)
    if not is_exact(column):
        return [name, column, Constant(";")]
    if column.kind is Kind.BOOLEAN:
        true, false, null = (_constant(f"{column.name}={value};") for value in ("1:t", "1:f", "-"))
        return [f"CASE {at} WHEN true THEN {true} WHEN false THEN {false} ELSE {null} END"]
    if column.kind is Kind.UUID and column.not_null:
        return [Constant(f"{column.name}=36:"), f"{at}::text", Constant(";")]
    value = _value(column, row, is_utf8)
    if not column.not_null:
        value = [f"coalesce({joined(value)}, '-')"]
    return [name, *value, Constant(";")]


def _value(column: Column, row: str, is_utf8: bool) -> list[Piece]:
    """``LENGTH:TEXT``; NULL for NULL."""
    at = column.at(row)
    if column.kind is Kind.UUID:
        return [Constant("36:"), f"{at}::text"]
    if column.kind in TIMES:
        length, zone, shown, form = TIMES[column.kind]
        usual = f"'{length}:' || to_char({shown.format(at)}, '{form}')"
        rare = joined(_measured(text(column, row), is_utf8))
        return [f"CASE WHEN {at} >= '0001-01-01{zone}' AND {at} < '10000-01-01{zone}' THEN {usual} ELSE {rare} END"]
    return _measured(text(column, row), is_utf8)


def _measured(written: str, is_utf8: bool) -> list[Piece]:
    counted = written if is_utf8 else f"convert_to({written}, 'UTF8')"
    return [f"octet_length({counted})", Constant(":"), written]


def _constant(text: str) -> str:
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"
