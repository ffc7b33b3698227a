"""Two answers to the same request compared, field by field."""

from __future__ import annotations

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Difference
from strangler.domain.parity.rules import NO_RULES, Ruleset

HEADERS = (
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "location",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
)
MOST = 100
"""Differences of one sample; what is beyond is left out."""


def compare(old: Answer, new: Answer, rules: Ruleset = NO_RULES, headers: tuple[str, ...] = HEADERS) -> list[Difference]:
    """What differs, each (field, kind) once, in the order it was met. Never raises, whatever the bytes; bounded in time."""
    raise NotImplementedError
