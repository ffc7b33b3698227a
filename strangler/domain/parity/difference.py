"""A difference between two answers, and the names by which differences are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MOST = 50
"""Differences that one sample can have; what is beyond is left out."""
MOST_FIELD = 200
MOST_EXCERPT = 200

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
    """``field`` is a pattern: ``status``, ``header location``, ``body $.items[*].amount``, ``text #cart td``, ``body``.

    Counts so add up over the items of a list. ``old`` and ``new`` are excerpts for people, None where a side has nothing. They
    are NOT masked: ``masking`` comes before anything is stored.
    """

    field: str
    kind: Kind
    old: str | None
    new: str | None


def shape(differences: Iterable[Difference]) -> Shape:
    return tuple(sorted({difference.field for difference in differences}))


class Found:
    """Differences as they are met: each (field, kind) once, and no more than ``MOST``."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Kind], Difference] = {}

    def add(self, field: str, kind: Kind, old: str | None, new: str | None) -> None:
        field = _storable(field, MOST_FIELD)
        if len(self._found) < MOST and (field, kind) not in self._found:
            self._found[field, kind] = Difference(field, kind, _excerpt(old), _excerpt(new))

    def all(self) -> list[Difference]:
        return list(self._found.values())


def _excerpt(text: str | None) -> str | None:
    return None if text is None else _storable(text, MOST_EXCERPT)


def _storable(text: str, most: int) -> str:
    """Cut, and without what a database takes for no text: NUL and lone surrogates."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()
