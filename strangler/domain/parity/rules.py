"""Declared rules: what of a comparison is let be, or read as the same value in another spelling. With reason, author, expiry."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from strangler.domain.parity import json_paths, spellings
from strangler.domain.parity.json_values import Repeated, Value, number

ORIGIN = "‹origin›"


class How(StrEnum):
    IGNORE = "ignore"  # the field is not compared, nor what is below it
    DECIMAL = "decimal"  # 1.10, 1.1 and "1.1" are the same
    TIMESTAMP = "timestamp"  # the same instant
    UUID = "uuid"  # with or without dashes, in either case
    UNORDERED = "unordered"  # a list whose order says nothing
    HOST = "host"  # absolute URLs of the declared origins count as the same


@dataclass(frozen=True, slots=True)
class Rule:
    """``endpoint`` and ``field`` are patterns in which ``*`` stands for anything; ``expires`` is aware, None for never.

    ``[*]`` and ``.*`` of a field are themselves: ``body $.items[*].at`` is that field alone. ``body $*`` is all of a JSON body.
    """

    endpoint: str
    field: str
    how: How
    reason: str
    author: str
    expires: dt.datetime | None = None


@dataclass(frozen=True)
class Ruleset:
    """The rules that apply to one endpoint at one moment. Made by ``select``, once for an endpoint and not for each sample."""

    rules: tuple[Rule, ...] = ()
    origins: frozenset[str] = frozenset()
    _of: Callable[[str], frozenset[How]] = field(init=False, repr=False, compare=False)
    _origins: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        patterns = [(_pattern(rule.field), rule.how) for rule in self.rules]

        @lru_cache(4096)
        def of(place: str) -> frozenset[How]:
            return frozenset(how for pattern, how in patterns if pattern.fullmatch(place))

        object.__setattr__(self, "_of", of)
        if self.origins:
            listed = "|".join(re.escape(origin) for origin in sorted(self.origins, key=len, reverse=True))
            object.__setattr__(self, "_origins", re.compile(rf"(?:{listed})(?=[/?#\s\"'<>)\\]|$)", re.IGNORECASE))

    def ignores(self, place: str) -> bool:
        return bool(self.rules) and How.IGNORE in self._of(place)

    def text(self, place: str, value: str) -> str:
        """A header's or an attribute's value in its one spelling."""
        if not self.rules:
            return value
        spelt = self._spelt(self._of(place), value)
        return str(spelt[0] if isinstance(spelt, tuple) else spelt)

    def value(self, value: Value, place: str) -> Value:
        """A JSON value with what is ignored left out, and all else in its one spelling."""
        hows = self._of(place)
        if isinstance(value, dict):
            below = {name: json_paths.below(place, name) for name in value}
            return {name: self.value(each, below[name]) for name, each in value.items() if not self.ignores(below[name])}
        if isinstance(value, Repeated):
            return Repeated(self.value(each, place) for each in value)
        if isinstance(value, list):
            inside = json_paths.items(place)
            kept = [] if self.ignores(inside) else [self.value(each, inside) for each in value]
            return sorted(kept, key=repr) if How.UNORDERED in hows else kept
        return self._spelt(hows, value) if hows else value

    def _spelt(self, hows: frozenset[How], value: str | tuple[str] | None) -> Value:
        if isinstance(value, str) and How.HOST in hows and self._origins is not None:
            value = self._origins.sub(ORIGIN, value)
        written = value if isinstance(value, str) else value[0] if isinstance(value, tuple) else None
        if written is not None and How.DECIMAL in hows and (spelt := spellings.decimal(written)) is not None:
            return number(spelt)
        if isinstance(value, str) and How.TIMESTAMP in hows:
            value = spellings.timestamp(value) or value
        if isinstance(value, str) and How.UUID in hows:
            value = spellings.uuid(value) or value
        return value


def _pattern(written: str) -> re.Pattern[str]:
    """``[*]`` and a closing or inner ``.*`` are names of places; any other ``*`` stands for anything."""
    parts = re.split(r"(\[\*\]|\.\*(?=[.\[]|$)|\*)", written)
    return re.compile("".join(".*" if part == "*" else re.escape(part) for part in parts), re.DOTALL)


def _covers(written: str, endpoint: str) -> bool:
    """An endpoint may be a regular expression of Django's, with stars of its own, so the very same text always fits."""
    return written in ("*", endpoint) or re.fullmatch(".*".join(map(re.escape, written.split("*"))), endpoint) is not None


NO_RULES = Ruleset()


def select(rules: Iterable[Rule], endpoint: str, now: dt.datetime, origins: Iterable[str] = ()) -> Ruleset:
    """Those for ``endpoint`` that have not expired. ``origins``: ``scheme://host[:port]`` of monolith, service and site."""
    chosen = tuple(rule for rule in rules if (rule.expires is None or now < rule.expires) and _covers(rule.endpoint, endpoint))
    return Ruleset(chosen, frozenset(origin.rstrip("/") for origin in origins))
