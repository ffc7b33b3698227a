"""JSON as it was written: numbers by their text, repeated names kept, objects in order of name. So equal means equal.

``json.loads`` alone takes 1.0 for 1.00, rounds 0.1000000000000000055, drops the first of two equal names and lets True be 1.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any

Value = Any
"""None, bool, str, a number as ``(text,)``, list, dict, or ``Repeated``."""


class Repeated(tuple[Any, ...]):
    """The values of a name that an object has several times."""


def number(text: str) -> tuple[str]:
    return (text,)


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    pairs.sort(key=itemgetter(0))
    found = dict(pairs)
    if len(found) < len(pairs):
        several: dict[str, list[Value]] = {}
        for name, value in pairs:
            several.setdefault(name, []).append(value)
        return {name: values[0] if len(values) == 1 else Repeated(values) for name, values in several.items()}
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=number, parse_int=number, parse_constant=number)


def parse(content: bytes) -> Value:
    """Raises ``ValueError`` for what is no JSON, ``RecursionError`` for what is nested too deep."""
    return _DECODER.decode(content.decode(json.detect_encoding(content), "surrogateescape").removeprefix("\ufeff"))


def type_name(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "repeated name" if isinstance(value, Repeated) else "number"


def excerpt(value: Value) -> str:
    """How it is shown to people: as JSON where it is small, else by its size."""
    if isinstance(value, str):
        return json.dumps(value[:200], ensure_ascii=False)
    if isinstance(value, list):
        return f"{len(value)} items"
    if isinstance(value, dict):
        return "{" + ", ".join(list(value)[:8]) + ("…}" if len(value) > 8 else "}")
    if isinstance(value, Repeated):
        return f"{len(value)} times: " + ", ".join(excerpt(each) for each in value[:3])
    return str(value[0]) if isinstance(value, tuple) else {None: "null", True: "true", False: "false"}[value]
