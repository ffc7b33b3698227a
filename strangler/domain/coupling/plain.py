"""Judgements as plain data: what ``--json`` prints, and the page reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses and mappings → dicts, sequences → lists, enums → their values. Order is kept, so equal gives equal bytes."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(each) for each in value)
    return value


class Plain:
    """A dataclass that can be told as JSON."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = plain(self)
        return told
