"""A quote and a cycle in words: rows of (what, said), the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence

from strangler.domain.coupling.calls import EndpointCalls
from strangler.domain.coupling.cycles import Cycle
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.nouns import several
from strangler.domain.coupling.quote import Copy, Counts, Quote, Volume
from strangler.domain.coupling.sizes import bytes_in_words, number, plural

Rows = tuple[tuple[str, str], ...]
WHY = {
    "static": "the source was not read",
    "live": "Django and its database were not asked",
    "runtime": "nothing was recorded while it ran",
}
SHOWN = 3


def rows(quote: Quote) -> Rows:
    """What is not known is said to be so, with what would tell it."""
    hard = quote.difficulty
    least = "at least " if hard.least else ""
    return (
        ("difficulty", f"{least}{hard.points:g}"),
        *((f"  {term.count} × {term.weight:g}", f"{term.points:g}  {term.words}") for term in hard.terms),
        ("knows", _counts(quote.out)),
        ("is known by", _counts(quote.into)),
        ("transactions", _sagas(quote)),
        ("remote calls", _calls(quote)),
        ("to mirror", _volume(quote.mirror)),
        ("read copies", _copies(quote.copies)),
        *((("", f"and reads that do not tell their table: {_some(quote.unresolved)}"),) if quote.unresolved else ()),
        ("loose keys", _keys(quote)),
        ("serves", _serves(quote)),
    )


def cycle(found: Cycle) -> tuple[str, str]:
    """(the contexts, what to cut)."""
    told = (f"{cut.source} → {cut.target} ({plural(len(cut.edges), 'edge')}, {_points(cut.points)})" for cut in found.cuts)
    exact = "" if found.exact else "; there may be a cheaper one"
    return ", ".join(found.contexts), f"cut {', '.join(told)}{exact}"


def _points(value: float) -> str:
    return f"{value:g} {'point' if value == 1 else 'points'}"


def _counts(counts: Counts) -> str:
    total = sum(counts.values())
    return f"{number(total)}: {', '.join(several(Kind(kind), count) for kind, count in counts.items())}" if total else "nothing"


def _unknown(source: str) -> str:
    return f"unknown: {WHY[source]}"


def _sagas(quote: Quote) -> str:
    if quote.sagas is None:
        return _unknown("runtime")
    if not quote.sagas:
        return "none crosses its border"
    told = [f"{saga.where} writes {', '.join(saga.tables) or 'several contexts'}" for saga in quote.sagas]
    return f"{plural(len(quote.sagas), 'saga')}: {_some(told, '; ')}"


def _calls(quote: Quote) -> str:
    if quote.calls is None:
        return _unknown("runtime")
    dearest = sorted(quote.calls, key=lambda each: (-each.calls, -each.copies, each.endpoint))
    told = [f"{each.endpoint} {_crossing(each)}" for each in dearest]
    basis = "by what stands in the views" if "runtime" in quote.unasked else "as recorded"
    return f"{_some(told, '; ') or 'none'} ({basis})"


def _crossing(each: EndpointCalls) -> str:
    calls = f"at least {plural(each.calls, 'call')}" if each.calls else "no call"
    return f"{calls}, {plural(each.copies, 'read')} of copies" if each.copies else calls


def _volume(volume: Volume | None) -> str:
    if volume is None:
        return _unknown("live")
    size = "" if volume.size is None else f", {bytes_in_words(volume.size)}"
    counted = "an unknown number of rows" if volume.rows is None else plural(volume.rows, "row")
    least = f", without {_some(volume.unknown)}, unknown" if volume.unknown and volume.rows is not None else ""
    return f"{plural(volume.tables, 'table')}, {counted}{size}{least}"


def _copies(copies: Sequence[Copy]) -> str:
    return _some([_copy(copy) for copy in copies], all_=True) if copies else "none"


def _copy(copy: Copy) -> str:
    known = [plural(copy.rows, "row")] if copy.rows is not None else ["rows unknown"]
    known += [bytes_in_words(copy.size)] if copy.size is not None else []
    return f"{copy.label or copy.table} ({', '.join(known)}; read at {plural(copy.places, 'place')})"


def _keys(quote: Quote) -> str:
    if quote.keys is None:
        return _unknown("live")
    told = [f"{key.where.rpartition(':')[2]} → {key.what}{f' {key.note}' if key.note else ''}" for key in quote.keys]
    return _some(told, all_=True) if told else "none"


def _serves(quote: Quote) -> str:
    parts = (("endpoint", quote.endpoints), ("task", quote.tasks), ("command", quote.commands))
    if all(listed is None for _, listed in parts):
        return _unknown("live")
    return ", ".join(f"{noun}s unknown" if listed is None else plural(len(listed), noun) for noun, listed in parts)


def _some(told: Sequence[str], by: str = ", ", all_: bool = False) -> str:
    shown = told if all_ or len(told) <= SHOWN + 1 else told[:SHOWN]
    return by.join(shown) + (f" and {len(told) - len(shown)} more" if len(shown) < len(told) else "")
