"""The ledger as JSON, by the schema in ``docs/reference/ledger.schema.json``. ``VERSION`` grows when a reader could break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from strangler.analysis.reports.judging import Judged
from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.exercised import Exercise
from strangler.domain.coupling.plain import plain
from strangler.domain.coupling.proposal import Proposal
from strangler.domain.coupling.quote import Quote
from strangler.domain.coupling.whatif import difference

VERSION = 1


def whole(judged: Judged) -> dict[str, Any]:
    ledger = judged.ledger
    return {
        "version": VERSION,
        "contexts": [plain(one) for one in ledger.contexts.values()],
        "edges": [edge(judged, one) for one in ledger.edges],
        "exercise": _exercise(judged.exercise),
        "cycles": [_cycle(one) for one in plain(judged.cycles)],
        "quotes": [one.to_json() for one in judged.quotes],
        "ranking": [one.to_json() for one in judged.ranking],
        **_basis(judged),
    }


def of_context(judged: Judged, one: Quote) -> dict[str, Any]:
    listed = judged.weighed(one.context)
    return {
        "version": VERSION,
        "context": one.context,
        "quote": one.to_json(),
        "edges": [edge(judged, each, one.context) for each in listed],
        **_basis(judged),
    }


def what_if(judged: Judged, asked: dict[str, Any], pairs: Iterable[tuple[Quote, Quote]]) -> dict[str, Any]:
    """``asked``: the moves and merges. ``pairs``: quotes before and after."""
    changed = {after.context: [plain(each) for each in difference(before, after)] for before, after in pairs}
    return {"version": VERSION, "what_if": asked, "changes": changed, **_basis(judged)}


def proposed(judged: Judged, found: Proposal, lines: str) -> dict[str, Any]:
    return {"version": VERSION, "proposal": found.to_json(), "toml": lines, **_basis(judged)}


def edge(judged: Judged, one: Edge, leaving: str = "") -> dict[str, Any]:
    """With what to do about it: ``leaving`` is the context that is taken out; without one the target."""
    advice = judged.advice(one, leaving)
    told = {"remedy": advice.remedy.value, "because": advice.because, "instead": advice.instead, "toml": list(advice.toml)}
    return {**plain(one), "advice": told}


def _exercise(found: Exercise | None) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = {"idle": [list(one.key) for one in found.idle], "unseen": [list(one.key) for one in found.unseen]}
    return {"exercised": len(found.exercised), "silent": len(found.silent), **keys}


def _cycle(one: dict[str, Any]) -> dict[str, Any]:
    """Edges by their key: they stand in the ledger in full."""
    return {**one, "cuts": [{**each, "edges": [_key(edge) for edge in each["edges"]]} for each in one["cuts"]]}


def _key(one: dict[str, Any]) -> Sequence[str]:
    return [one[name] for name in ("kind", "source", "target", "where", "what")]


def _basis(judged: Judged) -> dict[str, Any]:
    ledger = judged.ledger
    return {"skipped": [plain(one) for one in ledger.skipped], "looked_at": plain(ledger.looked_at)}
