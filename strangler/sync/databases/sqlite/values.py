"""What Django stores in SQLite, and what travels: the same wire values and key texts as PostgreSQL gives for the same rows.

SQLite has five storage classes; a UUID is text of 32 digits, a moment is text without a zone, a duration is a count of
microseconds, a decimal is a float. The *form* of a column says which it is; the model's field knows it, else the declared type.

A stored value that is none of its form (any column of SQLite may hold anything) travels as it is, and the destination refuses it
by name. A wire value that can't be stored so raises ``BadValue``: no value is changed on its way without anybody noticing.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
import re
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from django.db.utils import DataError

from strangler.domain import wire
from strangler.domain.wire import Kind

MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?$")
INTERVAL = re.compile(r"(?:(-?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$")
DAY_US = 86_400_000_000
DIGITS = decimal.Context(prec=15)  # as many as Django itself takes from SQLite's float


class BadValue(DataError):
    """A value that SQLite can't hold for this column. It is poison, not a failure of the database."""

    sqlstate = "22P02"  # invalid text representation


class Form(StrEnum):
    """How a column's values are stored."""

    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TEXT = "text"
    DATE = "date"
    MOMENT = "moment"
    TIME = "time"
    DURATION = "duration"
    UUID = "uuid"
    ADDRESS = "address"
    JSON = "json"
    BYTES = "bytes"

    @property
    def kind(self) -> Kind:
        return KINDS[self]


KINDS = {
    Form.INTEGER: Kind.INTEGER,
    Form.FLOAT: Kind.FLOAT,
    Form.DECIMAL: Kind.DECIMAL,
    Form.BOOLEAN: Kind.BOOLEAN,
    Form.TEXT: Kind.TEXT,
    Form.DATE: Kind.DATE,
    Form.MOMENT: Kind.TIMESTAMP,
    Form.TIME: Kind.OTHER,
    Form.DURATION: Kind.OTHER,
    Form.UUID: Kind.UUID,
    Form.ADDRESS: Kind.OTHER,
    Form.JSON: Kind.JSON,
    Form.BYTES: Kind.BYTES,
}


def to_wire(form: Form, stored: Any, zone: dt.tzinfo | None = None) -> wire.Json:
    """The wire value of what is stored. ``zone``: of a moment, where it is not UTC."""
    if stored is None:
        return None
    if isinstance(stored, bytes) and form is not Form.BYTES:
        return {"bytes": base64.b64encode(stored).decode()}  # no column of this form takes it anywhere
    if form is Form.MOMENT and zone is not None:
        return _moment_out(_in_utc(str(stored), zone))
    return OUT[form](stored)


def to_stored(form: Form, value: wire.Json, zone: dt.tzinfo | None = None) -> Any:
    """What to store for a wire value. Raises ``BadValue``."""
    if value is None:
        return None
    try:
        stored = IN[form](value)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise BadValue(f"{value!r} is no {form} that SQLite can store") from error
    if form is Form.MOMENT and zone is not None:
        naive = dt.datetime.fromisoformat(stored).replace(tzinfo=dt.UTC).astimezone(zone)
        return str(naive.replace(tzinfo=None))
    return stored


def _same(value: Any) -> Any:
    return value


def _decimal_out(stored: Any) -> str:
    if isinstance(stored, float):
        text = f"{DIGITS.create_decimal_from_float(stored):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(stored)


def _moment_out(stored: Any) -> str:
    text = str(stored)
    found = MOMENT.match(text)
    if found:  # as Django writes it
        return f"{found[1]}T{found[2]}.{(found[3] or '').ljust(6, '0')}Z"
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    return wire.timestamp(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))


def _in_utc(stored: str, zone: dt.tzinfo) -> str:
    try:
        return str(dt.datetime.fromisoformat(stored).replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None))
    except ValueError:
        return stored


def _time_out(stored: Any) -> str:
    try:
        text = str(dt.time.fromisoformat(str(stored)))
    except ValueError:
        return str(stored)
    return text.rstrip("0") if "." in text else text


def _duration_out(stored: Any) -> Any:
    """Microseconds as PostgreSQL writes an interval."""
    if not isinstance(stored, int):
        return str(stored)
    days, rest = divmod(stored, DAY_US)
    seconds, us = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" + (f".{us:06}".rstrip("0") if us else "")
    if not days:
        return clock
    return f"{days} day{'' if days == 1 else 's'}" + (f" {'+' if days < 0 else ''}{clock}" if rest else "")


def _uuid_out(stored: Any) -> str:
    text = str(stored).lower()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" if len(text) == 32 else text


def _address_out(stored: Any) -> str:
    """As PostgreSQL writes an ``inet``: with the length of its mask."""
    text = str(stored)
    return text if "/" in text else text + ("/128" if ":" in text else "/32")


def _float_out(stored: Any) -> wire.Json:
    return wire.to_wire(float(stored) if isinstance(stored, int) else stored)


def _json_out(stored: Any) -> wire.Json:
    try:
        value = wire.loads(stored)
    except (ValueError, TypeError):
        return stored
    return wire.JSON_NULL if value is None else value


OUT: dict[Form, Callable[[Any], wire.Json]] = {
    Form.INTEGER: _same,
    Form.FLOAT: _float_out,
    Form.DECIMAL: _decimal_out,
    Form.BOOLEAN: lambda stored: bool(stored) if stored in (0, 1) else stored,
    Form.TEXT: str,
    Form.DATE: str,
    Form.MOMENT: _moment_out,
    Form.TIME: _time_out,
    Form.DURATION: _duration_out,
    Form.UUID: _uuid_out,
    Form.ADDRESS: _address_out,
    Form.JSON: _json_out,
    Form.BYTES: lambda stored: wire.to_wire(stored.encode() if isinstance(stored, str) else stored),
}


def _integer_in(value: Any) -> int:
    number = int(value)
    if isinstance(value, (float, decimal.Decimal)) and number != value:
        raise ValueError
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _float_in(value: Any) -> float:
    number = float(value)
    if math.isnan(number):
        raise ValueError  # SQLite would store NULL
    return number


def _decimal_in(value: Any) -> str:
    number = decimal.Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    if len(number.normalize().as_tuple().digits) > DIGITS.prec:
        raise ValueError  # SQLite would round it
    return f"{number:f}"


def _boolean_in(value: Any) -> int:
    if value in (True, False):
        return int(value)
    return {"true": 1, "false": 0, "t": 1, "f": 0}[value] if isinstance(value, str) else _refuse(value)


def _text_in(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _date_in(value: Any) -> str:
    return dt.date.fromisoformat(_text_in(value)).isoformat()


def _moment_in(value: Any) -> str:
    """As Django stores it: the fraction only if there is one, for its filters compare texts."""
    moment = dt.datetime.fromisoformat(_text_in(value))
    return str(moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment)


def _time_in(value: Any) -> str:
    return str(dt.time.fromisoformat(_text_in(value)))


def _duration_in(value: Any) -> int:
    found = INTERVAL.match(_text_in(value))
    if not found or not value:
        raise ValueError  # months and years are no number of microseconds
    days, sign, hours, minutes, seconds, fraction = found.groups()
    us = ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)) * 1_000_000 + int((fraction or "").ljust(6, "0"))
    return int(days or 0) * DAY_US + (-us if sign == "-" else us)


def _uuid_in(value: Any) -> str:
    return uuid.UUID(_text_in(value)).hex


def _address_in(value: Any) -> str:
    address, _, mask = _text_in(value).partition("/")
    if mask not in ("", "128" if ":" in address else "32"):
        raise ValueError
    return address


def _bytes_in(value: Any) -> bytes:
    return base64.b64decode(_text_in(value), validate=True)


def _refuse(value: Any) -> Any:
    raise ValueError(value)


IN: dict[Form, Callable[[wire.Json], Any]] = {
    Form.INTEGER: _integer_in,
    Form.FLOAT: _float_in,
    Form.DECIMAL: _decimal_in,
    Form.BOOLEAN: _boolean_in,
    Form.TEXT: _text_in,
    Form.DATE: _date_in,
    Form.MOMENT: _moment_in,
    Form.TIME: _time_in,
    Form.DURATION: _duration_in,
    Form.UUID: _uuid_in,
    Form.ADDRESS: _address_in,
    Form.JSON: lambda value: "null" if value is wire.JSON_NULL else wire.dumps(value),
    Form.BYTES: _bytes_in,
}


def key_in(form: Form, text: Any, zone: dt.tzinfo | None = None) -> Any:
    """What is stored for a part of a key's text. Raises ``BadValue``."""
    if form is Form.BYTES:
        try:
            return bytes.fromhex(str(text).removeprefix("\\x"))
        except ValueError as error:
            raise BadValue(f"{text!r} is no text of bytes") from error
    return to_stored(form, text, zone)


def key_list(text: str) -> list[Any]:
    """The parts of the text of a composite key. Raises ``BadValue``."""
    try:
        parts = json.loads(text)
    except ValueError as error:
        raise BadValue(f"{text!r} is no composite key") from error
    if not isinstance(parts, list):
        raise BadValue(f"{text!r} is no composite key")
    return parts
