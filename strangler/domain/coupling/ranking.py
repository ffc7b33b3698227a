"""In which order to take contexts out: the easiest first, with the reason in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from strangler.domain.coupling.difficulty import Difficulty
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.plain import Plain
from strangler.domain.coupling.quote import Quote
from strangler.domain.coupling.sizes import bytes_in_words, number, plural

CODE = (Kind.IMPORT, Kind.LATE_IMPORT)


@dataclass(frozen=True, slots=True)
class Rank(Plain):
    """``place`` from 1. ``reason``: a sentence without its full stop."""

    place: int
    context: str
    points: float
    reason: str


def ranking(quotes: Iterable[Quote]) -> tuple[Rank, ...]:
    """By difficulty; of equals the one with fewer rows to mirror (unknown is most), then by name."""
    judged = sorted(quotes, key=lambda quote: (quote.difficulty.points, _rows(quote), quote.context))
    return tuple(
        Rank(place, quote.context, quote.difficulty.points, _reason(place, len(judged), quote))
        for place, quote in enumerate(judged, 1)
    )


def _rows(quoted: Quote) -> float:
    mirror = quoted.mirror
    return float("inf") if mirror is None or mirror.rows is None or mirror.unknown else mirror.rows


def _reason(place: int, places: int, quoted: Quote) -> str:
    position = "first" if place == 1 else "last" if place == places else f"number {place}"
    facts = (_sagas(quoted), _known_by(quoted), _data(quoted), _dearest(quoted.difficulty))
    return f"{quoted.context} {position}: {', '.join(facts)}"


def _sagas(quoted: Quote) -> str:
    if quoted.sagas is None:
        return "transactions unknown"
    return plural(len(quoted.sagas), "transaction") if quoted.sagas else "no transaction across its border"


def _known_by(quoted: Quote) -> str:
    count = sum(quoted.into.get(kind.value, 0) for kind in CODE)
    if "static" in quoted.unasked:
        return "imports unknown"
    if count:
        return f"{plural(count, 'import')} from outside past a contract"
    return "nothing imports it but through its contract" if quoted.into.get(Kind.SEAM.value) else "nothing imports it"


def _data(quoted: Quote) -> str:
    mirror = quoted.mirror
    if mirror is None or (mirror.size is None and mirror.rows is None):
        return "size unknown"
    least = "at least " if mirror.unknown else ""
    return f"{least}{bytes_in_words(mirror.size)}" if mirror.size is not None else f"{least}{number(mirror.rows or 0)} rows"


def _dearest(hard: Difficulty) -> str:
    least = "at least " if hard.least else ""
    dearest = f", most of it {hard.terms[0].words}" if hard.terms else ""
    return f"difficulty {least}{hard.points:g}{dearest}"
