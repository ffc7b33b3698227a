"""The judgement of a ledger in words: what taking a context out costs, line by line; the ranking; the cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from strangler.analysis.reports.words import Rows, Words, counted
from strangler.domain.coupling.cycles import Cycle, cycles
from strangler.domain.coupling.difficulty import weight
from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import crossings
from strangler.domain.coupling.quote import Copy, Quote, Saga, Volume, quote, quotes
from strangler.domain.coupling.ranking import Rank, ranking
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies import Advice, advice
from strangler.domain.coupling.sizes import bytes_in_words

FEW = 5
UNKNOWN = {
    "sagas": "not known: no run was recorded",
    "calls": "not known: neither a run nor the views were looked at",
    "live": "not known: Django's registries were not asked",
}


@dataclass(frozen=True)
class Judged:
    """A ledger with what follows from it, each reckoned once."""

    ledger: Ledger

    @cached_property
    def quotes(self) -> tuple[Quote, ...]:
        return quotes(self.ledger)

    @cached_property
    def ranking(self) -> tuple[Rank, ...]:
        return ranking(self.quotes)

    @cached_property
    def cycles(self) -> tuple[Cycle, ...]:
        return cycles(self.ledger)

    @cached_property
    def words(self) -> Words:
        """All of it, for the page."""
        listed = {one.context: one for one in self.quotes}
        listed |= {name: quote(self.ledger, name) for name in self.ledger.contexts if name not in listed}
        return Words(
            remedy=lambda edge: told(self.advice(edge)),
            quotes={name: costs(one) for name, one in listed.items()},
            ranking=tuple((one.context, f"{one.reason}.") for one in self.ranking),
            cycles=tuple((", ".join(one.contexts), cut(one)) for one in self.cycles),
        )

    @cached_property
    def _reach(self) -> Reach:
        return Reach(self.ledger)

    def advice(self, edge: Edge, leaving: str = "") -> Advice:
        """``leaving``: the context that is taken out; without one the target."""
        return advice(edge, leaving, self._reach)

    def weighed(self, context: str) -> tuple[Edge, ...]:
        """Its crossings both ways, the dearest first."""
        order = {edge.key: place for place, edge in enumerate(self.ledger.edges)}
        listed = crossings(self.ledger, context)
        return tuple(sorted(listed, key=lambda edge: (-weight(edge, edge.source == context), order[edge.key])))


def told(one: Advice) -> str:
    """Remedy, reason, and what to do, without the code, which stands beside it."""
    return f"{one.remedy.value}: {one.because} {one.instead}"


def costs(one: Quote) -> Rows:
    rows = [
        ("difficulty", one.difficulty.formula),
        ("crossings out", _kinds(one.out)),
        ("crossings in", _kinds(one.into)),
        ("knows, or is known by", ", ".join(one.neighbours) or "nobody"),
        (
            "transactions that become sagas",
            UNKNOWN["sagas"] if one.sagas is None else _listed([_saga(each) for each in one.sagas]),
        ),
        ("remote calls after the cut", _calls(one)),
        ("to mirror", UNKNOWN["live"] if one.mirror is None else _volume(one.mirror)),
        ("read copies that it needs", _listed([_copy(each) for each in one.copies])),
        (
            "keys that no constraint holds then",
            UNKNOWN["live"] if one.keys is None else _listed([f"{key.where} → {key.what}" for key in one.keys]),
        ),
    ]
    if one.unresolved:
        rows.append(("reads that don't tell of what", _listed(list(one.unresolved))))
    for what, listed in (("endpoints", one.endpoints), ("tasks", one.tasks), ("commands", one.commands)):
        rows.append((what, UNKNOWN["live"] if listed is None else _listed(list(listed))))
    rows += [("lines of Python", f"{one.lines:,}")] if one.lines else []
    rows += [("wired by the project", counted(one.composition, "crossings"))] if one.composition else []
    return tuple(rows)


def _kinds(counts: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items(), key=lambda one: -one[1]))
    return f"{sum(counts.values())}: {kinds}" if counts else "none"


def _listed(listed: Sequence[str]) -> str:
    """How many, and the first of them."""
    if not listed:
        return "none"
    more = f", and {len(listed) - FEW} more" if len(listed) > FEW else ""
    return f"{len(listed)}: {', '.join(listed[:FEW])}{more}"


def _saga(one: Saga) -> str:
    return f"{one.where} ({' + '.join(one.tables)})"


def _copy(one: Copy) -> str:
    size = f", {bytes_in_words(one.size)}" if one.size is not None else ""
    return f"{one.label or one.table} ({counted(one.places, 'places')}{size})"


def _calls(one: Quote) -> str:
    if one.calls is None:
        return UNKNOWN["calls"]
    each = [
        f"{call.endpoint} {call.calls}" for call in sorted(one.calls, key=lambda call: (-call.calls, call.endpoint)) if call.calls
    ]
    basis = ", as requests were seen" if any(call.basis == "runtime" for call in one.calls) else ", as the views read"
    return f"{_listed(each)}{basis}" if each else f"none{basis if one.calls else ''}"


def _volume(one: Volume) -> str:
    rows = f", about {counted(one.rows, 'rows')}" if one.rows is not None else ""
    size = f", {bytes_in_words(one.size)}" if one.size is not None else ""
    unknown = f"; size not known of {', '.join(one.unknown)}" if one.unknown and (rows or size) else ""
    return counted(one.tables, "tables") + rows + size + (unknown if rows or size else ", sizes not known")


def cut(one: Cycle) -> str:
    """``cut orders → users (3 crossings, 7 points)``"""
    parts = [
        f"{each.source} → {each.target} ({counted(len(each.edges), 'crossings')}, {each.points:g} points)" for each in one.cuts
    ]
    least = "" if one.exact else "; a cheaper cut may exist"
    return f"cut {', '.join(parts)}{least}; then {' → '.join(one.order)} from the bottom up"
