"""``--limit NAME=VALUE``: sizes, counts and times by the names of the fields of ``Limits``, read strictly."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

OFF = frozenset({"body", "body_rate", "total", "upstream_age", "check_every"})
"""Those where 0 means "none"; for the others it makes no sense."""
_COUNT = re.compile(r"^(\d{1,15})([KMG]?)$", re.IGNORECASE | re.ASCII)
_TIME = re.compile(r"^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)?$", re.ASCII)
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(kind: type[T], given: Iterable[str]) -> T:
    """A ``kind`` (a frozen dataclass of numbers) with what is given; later wins. Raises ``ValueError`` in one sentence."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**dict(_one(text, defaults) for text in given))


def _one(text: str, defaults: Mapping[str, Any]) -> tuple[str, float]:
    name, equals, value = text.strip().partition("=")
    field = name.replace("-", "_")
    if not equals or field not in defaults:
        raise ValueError(f"{text!r} is not NAME=VALUE with one of the names {', '.join(map(spelled, sorted(defaults)))}")
    found = _time(value) if isinstance(defaults[field], float) else _count(value)
    if found is None:
        what = (
            "a time such as 500ms, 10s or 5m" if isinstance(defaults[field], float) else "a whole number such as 512, 64K or 1G"
        )
        raise ValueError(f"{text!r}: {value!r} is not {what}")
    if not found and field not in OFF:
        raise ValueError(f"{text!r}: it can't be 0; only {', '.join(map(spelled, sorted(OFF)))} can be switched off so")
    return field, found


def _count(text: str) -> int | None:
    found = _COUNT.match(text)
    return int(found[1]) * _FACTORS[found[2].upper()] if found else None


def _time(text: str) -> float | None:
    found = _TIME.match(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def spelled(field: str) -> str:
    """The name of a field on the command line."""
    return field.replace("_", "-")


def listing(kind: type[Any]) -> str:
    """All names with their defaults, for ``--help``."""
    return ", ".join(f"{spelled(field.name)}={_shown(field.default)}" for field in dataclasses.fields(kind))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}s" if value >= 1 or not value else f"{1000 * value:g}ms"
    for unit in "GMK":
        if value and value % _FACTORS[unit] == 0:
            return f"{value // _FACTORS[unit]}{unit}"
    return str(value)
