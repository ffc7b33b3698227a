"""The columns of a SQLite table: names from the catalogue, forms from the model's fields where there is a model.

Keys are made by SQL alone, because the capture triggers make them too, in programs that know nothing of us. Their text is the one
that PostgreSQL makes for the same values, so that the two ends of a stream may be different databases. Rows are read as they are
stored and made to wire values in the process.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from strangler.domain import wire
from strangler.domain.wire import Kind
from strangler.sync.collections import Collection
from strangler.sync.columns import Column
from strangler.sync.databases.sqlite.values import Form, key_in, key_list, to_stored, to_wire

FIELDS = {
    "BooleanField": Form.BOOLEAN,
    "NullBooleanField": Form.BOOLEAN,
    "BinaryField": Form.BYTES,
    "DateField": Form.DATE,
    "DateTimeField": Form.MOMENT,
    "DecimalField": Form.DECIMAL,
    "DurationField": Form.DURATION,
    "FloatField": Form.FLOAT,
    "GenericIPAddressField": Form.ADDRESS,
    "IPAddressField": Form.ADDRESS,
    "JSONField": Form.JSON,
    "TimeField": Form.TIME,
    "UUIDField": Form.UUID,
}
# By what a declared type contains, in this order; the names are those that Django and SQLite's own affinities know.
DECLARED = (
    ("int", Form.INTEGER),
    ("bool", Form.BOOLEAN),
    ("char", Form.TEXT),
    ("clob", Form.TEXT),
    ("text", Form.TEXT),
    ("datetime", Form.MOMENT),
    ("timestamp", Form.MOMENT),
    ("date", Form.DATE),
    ("time", Form.TIME),
    ("decimal", Form.DECIMAL),
    ("numeric", Form.DECIMAL),
    ("real", Form.FLOAT),
    ("floa", Form.FLOAT),
    ("doub", Form.FLOAT),
    ("blob", Form.BYTES),
)
UNKEYABLE = (Form.FLOAT, Form.DECIMAL, Form.DURATION, Form.JSON)

COLUMNS = 'SELECT name, type, "notnull", pk, hidden, dflt_value FROM pragma_table_xinfo(%s) WHERE hidden <> 1 ORDER BY cid'
INDEXES = """
SELECT i.name, i.origin, i.partial, c.name, c.coll
FROM pragma_index_list(%s) AS i JOIN pragma_index_xinfo(i.name) AS c
WHERE i."unique" = 1 AND c.key = 1 ORDER BY i.origin <> 'pk', i.seq, c.seqno
"""


@dataclass(frozen=True)
class StoredColumn(Column):
    """``zone``: the one in which moments are stored, where that is not UTC."""

    form: Form = Form.TEXT
    zone: dt.tzinfo | None = None

    @property
    def is_key_material(self) -> bool:
        """SQLite rounds decimals and writes floats in more than one way; JSON and durations have several texts."""
        return self.form not in UNKEYABLE

    def wire(self, stored: Any) -> wire.Json:
        value = to_wire(self.form, stored, self.zone)
        return value.removesuffix("Z") if self.kind is Kind.LOCAL and isinstance(value, str) else value

    def ordered(self, row: str) -> str:
        return self.at(row) + (" COLLATE BINARY" if self.form is Form.TEXT else "")

    @property
    def collation(self) -> str:
        return " COLLATE BINARY" if self.form is Form.TEXT else ""

    def as_key(self, row: str) -> str:
        """SQL: the text that PostgreSQL would write for the same value."""
        at = self.at(row)
        if self.form is Form.INTEGER:
            return f"CAST({at} AS TEXT)"
        if self.form is Form.UUID:
            return (
                "lower(" + "||'-'||".join(f"substr({at},{n},{m})" for n, m in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))) + ")"
            )
        if self.form is Form.BOOLEAN:
            return f"CASE {at} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CAST({at} AS TEXT) END"
        if self.form is Form.MOMENT:
            return f"substr({at},1,10)||'T'||substr({at},12,8)||'.'||substr(substr({at},21)||'000000',1,6)||'Z'"
        if self.form is Form.TIME:
            return f"CASE WHEN instr({at},'.') THEN rtrim(rtrim({at},'0'),'.') ELSE {at} END"
        if self.form is Form.ADDRESS:
            return f"{at} || CASE WHEN instr({at},':') THEN '/128' ELSE '/32' END"
        if self.form is Form.BYTES:
            return f"'\\x' || lower(hex({at}))"
        return at

    def as_key_element(self, row: str) -> str:
        """SQL: the value as an element of a JSON array, as text."""
        plain = self.form in (Form.INTEGER, Form.BOOLEAN)
        return self.as_key(row) if plain else f"json_quote({self.as_key(row)})"

    def sought(self, row: str) -> str:
        """SQL: the column in the form in which keys are handed over as JSON."""
        return f"hex({self.at(row)})" if self.form is Form.BYTES else self.at(row)

    def handed(self, text: Any) -> Any:
        stored = key_in(self.form, text, self.zone)
        return stored.hex().upper() if isinstance(stored, bytes) else stored


@dataclass(frozen=True)
class StoredCollection(Collection):
    """A table of SQLite."""

    @property
    def forms(self) -> tuple[StoredColumn, ...]:
        return self.columns  # type: ignore[return-value]

    @property
    def key_forms(self) -> tuple[StoredColumn, ...]:
        return self.key  # type: ignore[return-value]

    def key_text(self, row: str) -> str:
        if len(self.key) == 1:
            return self.key[0].as_key(row)
        return "'[' || " + " || ', ' || ".join(column.as_key_element(row) for column in self.key) + " || ']'"

    def key_matches(self, row: str, param: str = "%s") -> str:
        columns = ", ".join(column.sought(row) for column in self.key_forms)
        if len(self.key) == 1:
            return f"{columns} IN (SELECT value FROM json_each({param}))"
        parts = ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(self.key)))
        return f"({columns}) IN (SELECT {parts} FROM json_each({param}))"

    def keys_param(self, keys: Iterable[str]) -> str:
        if len(self.key) == 1:
            (only,) = self.key_forms
            return json.dumps([only.handed(key) for key in keys])
        return json.dumps([self._parts(key, StoredColumn.handed) for key in keys])

    def key_bound(self, param: str = "%s") -> str:
        return ", ".join(param + column.collation for column in self.key)

    def bound_params(self, key: str) -> list[Any]:
        if len(self.key) == 1:
            (only,) = self.key_forms
            return [key_in(only.form, key, only.zone)]
        return self._parts(key, lambda column, text: key_in(column.form, text, column.zone))

    def _parts(self, key: str, take: Any) -> list[Any]:
        parts = key_list(key)
        if len(parts) != len(self.key):
            parts = [None] * len(self.key)  # matches nothing
        return [take(column, part) for column, part in zip(self.key_forms, parts, strict=True)]

    @property
    def stored(self) -> str:
        """SQL: the columns as they are stored. The sign keeps Python's sqlite3 from converting by declared type."""
        return ", ".join(f"+{column.at('t')}" for column in self.columns)

    def wire_row(self, stored: Sequence[Any]) -> dict[str, wire.Json]:
        return {column.name: column.wire(value) for column, value in zip(self.forms, stored, strict=True)}

    def stored_row(self, row: Mapping[str, wire.Json], columns: Sequence[Column]) -> list[Any]:
        """The values to store, in the order of ``columns``. Raises ``BadValue``."""
        return [to_stored(column.form, row[column.name], column.zone) for column in columns]  # type: ignore[attr-defined]


def columns_of(connection: BaseDatabaseWrapper, table: str, name: str = "") -> list[StoredColumn]:
    """The columns of the table; ``name`` is the label of its model, if it has one."""
    fields = _fields(name)
    zone = None if str(connection.timezone_name) == "UTC" else connection.timezone
    found = []
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [table])
        for column, declared, not_null, pk, hidden, default in cursor.fetchall():
            form = fields.get(column) or _declared(declared)
            kind = Kind.LOCAL if form is Form.MOMENT and not settings.USE_TZ else form.kind
            found.append(
                StoredColumn(
                    column,
                    declared,
                    kind,
                    generated=hidden in (2, 3),
                    not_null=bool(not_null or pk),
                    has_default=default is not None or bool(pk and declared.lower() == "integer"),
                    form=form,
                    zone=zone,
                )
            )
    return found


def unique_indexes(connection: BaseDatabaseWrapper, table: str) -> list[tuple[tuple[str | None, str], ...]]:
    """Each unique index: (column, collation) pairs; the column is None where it is an expression. The rowid has no index."""
    found: dict[str, list[tuple[str | None, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [table])
        for index, _, _, column, collation in cursor.fetchall():
            found.setdefault(index, []).append((column, collation or "BINARY"))
    return [tuple(columns) for columns in found.values()]


def unique_keys(connection: BaseDatabaseWrapper, table: str) -> list[tuple[str, ...]]:
    """Sets of columns that identify a row, none nullable, the primary key first."""
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [table])
        columns = cursor.fetchall()
        cursor.execute(INDEXES, [table])
        indexes = cursor.fetchall()
    keys: list[tuple[str, ...]] = []
    if rowid := _rowid_alias(columns):
        keys.append((rowid,))
    by_index: dict[str, list[str | None]] = {}
    for index, _, partial, column, _ in indexes:
        if not partial:
            by_index.setdefault(index, []).append(column)
    needed = {name for name, _, not_null, *_ in columns if not_null} | {key[0] for key in keys}
    keys += [tuple(names) for names in by_index.values() if all(name in needed for name in names)]  # type: ignore[arg-type]
    return keys


def _rowid_alias(columns: Sequence[tuple[Any, ...]]) -> str | None:
    keys = [(name, str(declared)) for name, declared, _, pk, *_ in columns if pk]
    return keys[0][0] if len(keys) == 1 and keys[0][1].lower() == "integer" else None


def _fields(name: str) -> dict[str, Form]:
    try:
        model = apps.get_model(name)
    except (LookupError, ValueError):
        return {}
    found = {}
    for field in model._meta.local_concrete_fields:
        target: Any = field
        while target.remote_field is not None:
            target = target.target_field
        form = FIELDS.get(target.get_internal_type())
        if form:
            found[field.column] = form
    return found


def _declared(declared: str) -> Form:
    lower = declared.lower()
    return next((form for part, form in DECLARED if part in lower), Form.BYTES if not lower else Form.DECIMAL)
