"""Noise that was learned, as proposals: ignore rules with their evidence. Nothing is applied until a person accepts it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from strangler.domain.parity.rules import Rule
from strangler.domain.parity.statistics import Outcomes, Tally

AUTHOR = "noise"


@dataclass(frozen=True, slots=True)
class Proposal:
    rule: Rule
    evidence: Tally


def proposals(endpoints: Mapping[str, Outcomes], now: dt.datetime) -> list[Proposal]:
    """A rule for each field that differs from itself and not beyond that."""
    raise NotImplementedError
