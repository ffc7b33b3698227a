"""What is said of a ledger besides its edges, in the same words on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from strangler.domain.coupling.edges import Edge, Evidence, Skipped
from strangler.domain.coupling.ledger import Ledger

Rows = tuple[tuple[str, str], ...]
SOURCES = {
    "static": "the source was not read",
    "live": "Django's registries and the database were not asked",
    "runtime": "nothing recorded; run pytest --strangler-ledger",
}


@dataclass(frozen=True)
class Words:
    """``remedy``: what to do about an edge, in a sentence or two. ``quotes``: context → what taking it out costs. ``ranking``:
    context and why it stands there, the easiest first. ``cycles``: the contexts of each, and the cheapest cut.
    """

    remedy: Callable[[Edge], str] = lambda edge: ""
    quotes: Mapping[str, Rows] = field(default_factory=dict)
    ranking: Rows = ()
    cycles: Rows = ()


SEEN = {
    "unsampled": "statements of units that were not sampled",
    "generic_foreign_keys_unresolved": "unresolved generic foreign keys",
}


def counted(number: int, what: str) -> str:
    """``1 table``, ``12 tables``; ``what`` is in the plural."""
    return f"{number:,} {what.removesuffix('s') if number == 1 else what}"


def looked_at(ledger: Ledger) -> str:
    """``static: 144 files; live: 63 models; runtime: nothing recorded; run pytest --strangler-ledger``."""
    said = []
    for source, nothing in SOURCES.items():
        seen = ledger.looked_at.get(source)
        parts = [counted(number, SEEN.get(what, what.replace("_", " "))) for what, number in (seen or {}).items() if number]
        said.append(f"{source}: {', '.join(parts) or nothing}")
    return "; ".join(said)


def skipped(listed: tuple[Skipped, ...]) -> Rows:
    """What was skipped and why, with how often: a reason that names a line is another one for each. One alone is named."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in listed:
        reasons.setdefault((one.what, one.why), []).append(one.where)
    ranked = sorted(reasons.items(), key=lambda one: (-len(one[1]), one[0]))
    return tuple(
        (counted(len(places), f"{what}s"), f"{places[0]}: {why}" if places[1:] == [] else why) for (what, why), places in ranked
    )


def place(evidence: Evidence) -> str:
    """As editors and terminals follow it."""
    return f"{evidence.file}:{evidence.line}" if evidence.line else evidence.file


def ran(evidence: Evidence) -> str:
    """``41 times, by request GET /search/, task orders.settle``; empty for what was read."""
    if not evidence.count:
        return ""
    return f"{counted(evidence.count, 'times')}" + (f", by {', '.join(evidence.by)}" if evidence.by else "")
