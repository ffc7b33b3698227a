"""How a row's values travel: plain JSON that loses nothing.

==========================  ==============================================================
kind of column              on the wire
==========================  ==============================================================
integer, float, boolean     JSON number or boolean (``NaN``, ``Infinity``, ``-Infinity`` as strings)
text                        string
decimal                     string, so that no reader turns it into a float
timestamp                   UTC, RFC 3339 with six digits and ``Z``
local (no time zone)        the same without ``Z``
date                        ISO string
uuid                        lower-case string
bytes                       base64
json                        as it is; a JSON ``null`` in the column is ``JSON_NULL``, not None (SQL NULL)
array                       list of the above
other (ranges, inet, …)     the database's own text
==========================  ==============================================================

``loads`` and ``dumps`` keep numbers as they were written: a ``1.10`` or a 30-digit number inside a JSON column survives.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

# A JSON value as Python has it: Decimal stands for a number that a float would not give back as it was written.
Json = Any
Row = Mapping[str, Json]


class Kind(StrEnum):
    """What a column's values look like on the wire, whatever the database calls its type."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    DECIMAL = "decimal"
    TIMESTAMP = "timestamp"
    LOCAL = "local"
    DATE = "date"
    UUID = "uuid"
    BYTES = "bytes"
    JSON = "json"
    ARRAY = "array"
    OTHER = "other"


class _JsonNull:
    """The JSON value ``null`` in a JSON column, where None is the SQL NULL."""

    def __repr__(self) -> str:
        return "JSON_NULL"

    def __bool__(self) -> bool:
        return False


JSON_NULL = _JsonNull()


class _Inexact(Exception):
    pass


def _float(text: str) -> float | Decimal:
    number = float(text)
    return number if repr(number) == text else Decimal(text)


def _constant(text: str) -> Json:
    raise ValueError(f"{text} has no place in JSON")


def _refuse(value: object) -> Json:
    if isinstance(value, Decimal):
        raise _Inexact
    raise TypeError(f"{type(value).__name__} has no place in JSON; use to_wire first")


class Written(Mapping[str, Json]):
    """A row as the database wrote it, in the wire's own JSON; parsed when somebody first looks into it.

    ``nulls`` names the columns that hold a JSON null. ``text`` says ``null`` for those as for the SQL NULL.
    """

    __slots__ = ("_row", "nulls", "text")

    def __init__(self, text: str, nulls: list[str] | None = None) -> None:
        self.text, self.nulls = text, nulls or []
        self._row: dict[str, Json] | None = None

    def _parsed(self) -> dict[str, Json]:
        if self._row is None:
            self._row = {**loads(self.text), **dict.fromkeys(self.nulls, JSON_NULL)}
        return self._row

    def __getitem__(self, name: str) -> Json:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())


def loads(text: str | bytes) -> Json:
    """Parsed JSON; a number that a float would change comes as ``Decimal``. Raises ``ValueError``, also for a bare ``NaN``."""
    return json.loads(text, parse_float=_float, parse_constant=_constant)


def dumps(value: Json) -> str:
    """Compact JSON, the inverse of ``loads``. Raises ``ValueError`` for NaN, ``TypeError`` for what is not JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse)
    except _Inexact:
        return _exact(value)


def _exact(value: Json) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} has no place in JSON")
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key), ensure_ascii=False)}:{_exact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_exact, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_refuse)


def to_wire(value: object) -> Json:
    """A Python value of a column as it travels. What is JSON already stays as it is; unknown types become their text."""
    if value is None or isinstance(value, (bool, int, str, _JsonNull)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return timestamp(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return str(value)


def timestamp(value: dt.datetime) -> str:
    """RFC 3339 with six digits: UTC and ``Z`` for an aware time, neither for a naive one."""
    naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return naive.isoformat(timespec="microseconds") + ("Z" if value.tzinfo else "")


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
