"""The digest of a row and of a range of rows, the same in every language (DESIGN section 5).

A row's canonical text has its fields in order of name, each ``name=value;``, where a NULL is ``-`` and any other value is
``LENGTH:TEXT`` (length in UTF-8 bytes). Its digest is the first 8 bytes of the SHA-256, unsigned, big-endian. A range's
digest is the sum modulo 2^64, with the count (so ranges can be cut and joined). See ``extracted/contract/vectors/digest.json``.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from strangler.domain import wire
from strangler.domain.wire import Kind

MODULUS = 1 << 64
# Fractions and exponents, integers that a double may not hold, and what is not ordered by code point as by UTF-16 code unit.
PECULIAR = re.compile(r"\d[.eE]|\d{16}|[\ud800-\U0010ffff]|\\u")
PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class RangeDigest:
    """How many rows, and the sum of their digests modulo 2^64. Adding two ranges gives the range of both."""

    count: int = 0
    digest: int = 0

    def __add__(self, other: RangeDigest) -> RangeDigest:
        return RangeDigest(self.count + other.count, (self.digest + other.digest) % MODULUS)

    @classmethod
    def of(cls, digests: Iterable[int]) -> RangeDigest:
        values = list(digests)
        return cls(len(values), sum(values) % MODULUS)


def row_text(fields: Mapping[str, tuple[Kind, wire.Json]]) -> str:
    """The canonical text of a row: column → (kind, wire value)."""
    return "".join(_field(name, *fields[name]) for name in sorted(fields))


def row_digest(fields: Mapping[str, tuple[Kind, wire.Json]]) -> int:
    return text_digest(row_text(fields))


def text_digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _field(name: str, kind: Kind, value: wire.Json) -> str:
    if value is None:
        return f"{name}=-;"
    text = canonical(kind, value)
    return f"{name}={len(text.encode())}:{text};"


def canonical(kind: Kind, value: wire.Json) -> str:
    """The one text of a wire value that is not None."""
    if kind is Kind.INTEGER:
        return str(int(value))
    if kind is Kind.DECIMAL:
        return _decimal(str(value))
    if kind is Kind.BOOLEAN:
        return "t" if value else "f"
    if kind is Kind.TIMESTAMP:
        return _timestamp(str(value))
    if kind is Kind.UUID:
        return str(value).lower()
    if kind is Kind.BYTES:
        return base64.b64encode(base64.b64decode(value)).decode("ascii")
    if kind is Kind.FLOAT:
        return value if isinstance(value, str) else number(float(value))
    if kind in (Kind.JSON, Kind.ARRAY):
        return canonical_json(value)
    return str(value)


def _decimal(text: str) -> str:
    parsed = Decimal(text)
    if not parsed.is_finite():
        return text
    plain = f"{parsed:f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def _timestamp(text: str) -> str:
    try:
        parsed = dt.datetime.fromisoformat(text)
    except ValueError:
        return text  # infinity, or a year that Python does not know
    return wire.timestamp(parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC))


def canonical_json(value: wire.Json) -> str:
    """JSON Canonicalization Scheme (RFC 8785): keys by UTF-16 code units, numbers as ECMAScript writes a double."""
    if value is None or value is wire.JSON_NULL:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return number(float(value))
    if isinstance(value, str):
        return wire.dumps(value)
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{wire.dumps(name)}:{canonical_json(value[name])}" for name in names) + "}"
    return "[" + ",".join(map(canonical_json, value)) + "]"


def canonical_json_text(text: str) -> str:
    """``canonical_json`` of JSON as text; several times as fast where neither numbers nor the order of names are peculiar."""
    if PECULIAR.search(text):
        return canonical_json(wire.loads(text))
    return PLAIN.encode(json.loads(text))


def number(value: float) -> str:
    """ECMAScript's ``Number::toString``: shortest digits, exponent only from 1e21 and below 1e-6."""
    written = repr(value)  # the shortest digits too; an exponent only from 1e16 and below 1e-4
    if "e" not in written and "n" not in written:
        written = written.removesuffix(".0")
        return "0" if written == "-0" else written
    if value != value or value in (float("inf"), float("-inf")):
        return str(wire.to_wire(value))
    if value == 0:
        return "0"
    if value < 0:
        return "-" + number(-value)
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)
    if whole == "0":
        point = int(exponent or 0) - (len(fraction) - len(fraction.lstrip("0")))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
