"""A difference between two answers, and the names by which differences are counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Shape = tuple[str, ...]
"""The fields in which a sample differs, sorted, each once; ``()`` is an equal sample."""


class Kind(StrEnum):
    MISSING = "missing"  # the old answer has it, the new one doesn't
    EXTRA = "extra"  # the other way about
    TYPE = "type"
    VALUE = "value"
    ORDER = "order"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Difference:
    """``field`` is a pattern: ``status``, ``header location``, ``body $.items[*].amount``, ``text p[3]``, ``body`` (a digest).

    Counts so add up over the items of a list. ``old`` and ``new`` are excerpts for people, None where a side has nothing. They are
    NOT masked: ``masking`` comes before anything is stored.
    """

    field: str
    kind: Kind
    old: str | None
    new: str | None


def shape(differences: list[Difference]) -> Shape:
    return tuple(sorted({difference.field for difference in differences}))
