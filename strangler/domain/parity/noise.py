"""Noise that was learned, as proposals: ignore rules with their evidence. Nothing is applied until a person accepts it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from strangler.domain.parity.rules import How, Rule
from strangler.domain.parity.statistics import Outcomes, Tally, is_noise, tallies

AUTHOR = "noise"
LEAST = 5
"""Times that a field must have differed from itself; fewer may be a write that came in between."""
LASTS = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule that may be accepted, and what was seen. The rule has no effect until it is among the declared ones."""

    rule: Rule
    evidence: Tally


def proposals(endpoints: Mapping[str, Outcomes], now: dt.datetime) -> list[Proposal]:
    """A rule for each field that differs from itself, and not beyond that. ``now`` is aware."""
    return [
        Proposal(Rule(name, place, How.IGNORE, reason(tally), AUTHOR, now + LASTS), tally)
        for name, outcomes in sorted(endpoints.items())
        for place, tally in tallies(outcomes).items()
        if tally.noise_differing >= LEAST and is_noise(tally)
    ]


def reason(tally: Tally) -> str:
    return (
        f"the owner asked twice differed from itself in {tally.noise_differing} of {tally.noise_samples} samples;"
        f" old and new in {tally.differing} of {tally.samples}"
    )
