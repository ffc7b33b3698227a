"""The schedule of faults: drawn from the seed before anything runs, so that the same seed does the same at the same times."""

from __future__ import annotations

import random
from dataclasses import dataclass

EVERY_S = 1.5  # between two faults, on average
FIRST_S = 1.0

# How often each kind comes, relative to the others. What stops everything for seconds comes seldom.
WEIGHTS = {
    "kill a process of the worker": 6,
    "kill the worker": 3,
    "pause the worker": 5,
    "kill a process of the service": 6,
    "kill the service": 3,
    "pause the service": 5,
    "kill the broker": 3,
    "pause the broker": 3,
    "flush the broker": 4,
    "kill the clock": 2,
    "end backends": 8,
    "kill a backend": 2,
    "kill the source": 2,
    "kill the destination": 3,
    "cut": 8,
    "hole": 5,
    "slow": 4,
    "refuse": 4,
    "mute": 5,
    "repeat a batch": 8,
    "steal the lease": 8,
    "backfill": 3,
}


@dataclass(frozen=True)
class Fault:
    """``at``: seconds from the round's start. ``seconds``: how long it lasts, where it lasts. ``choice`` (0…1): of whom."""

    at: float
    kind: str
    seconds: float
    choice: float


def draw(seed: str, seconds: float, every: float = EVERY_S) -> list[Fault]:
    """The faults of one round, one in ``every`` seconds. Each kind once, as far as the time goes, before any comes twice."""
    generator = random.Random(f"{seed} faults")
    first = list(WEIGHTS)
    generator.shuffle(first)
    drawn, at = [], FIRST_S
    while at < seconds:
        kind = first.pop() if first else generator.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        lasting = min(generator.expovariate(1 / 1.5), 9.0)  # a lease is 7 s
        drawn.append(Fault(at, kind, max(0.1, lasting), generator.random()))
        at += min(generator.expovariate(1 / every), 3 * every)
    return drawn
