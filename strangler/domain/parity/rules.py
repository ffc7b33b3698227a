"""Declared rules: what of a comparison is let be, or read as the same value in another spelling. Each with reason, author, expiry."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    IGNORE = "ignore"  # the field is not compared, nor what is below it
    DECIMAL = "decimal"  # 1.10, 1.1 and "1.1" are the same
    TIMESTAMP = "timestamp"  # the same instant
    UUID = "uuid"  # with or without dashes, in either case
    UNORDERED = "unordered"  # a list whose order says nothing
    HOST = "host"  # absolute URLs of the declared origins count as the same


@dataclass(frozen=True, slots=True)
class Rule:
    """``endpoint`` and ``field`` are patterns in which ``*`` stands for anything; ``expires`` is an aware moment, None for never.

    ``[*]`` of a field is itself: ``body $.items[*].at`` means exactly that field, ``body $.*`` all of the body.
    """

    endpoint: str
    field: str
    how: How
    reason: str
    author: str
    expires: dt.datetime | None = None


@dataclass(frozen=True)
class Ruleset:
    """The rules that apply to one endpoint at one moment. Made by ``select``; build once per endpoint, not per sample."""

    rules: tuple[Rule, ...] = ()
    origins: frozenset[str] = frozenset()


NO_RULES = Ruleset()


def select(rules: Iterable[Rule], endpoint: str, now: dt.datetime, origins: Iterable[str] = ()) -> Ruleset:
    """Those for ``endpoint`` that have not expired. ``origins``: ``scheme://host[:port]`` of the monolith, the service and the site."""
    raise NotImplementedError
