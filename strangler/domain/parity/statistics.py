"""What the counts of a parallel run prove: which field differs beyond its own noise, how high the parity is, how many samples lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from strangler.domain.parity.difference import Shape


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Of ``samples`` comparisons of old with new this field differed in ``differing``; noise: old compared with itself, asked twice."""

    samples: int
    differing: int
    noise_samples: int = 0
    noise_differing: int = 0


@dataclass
class Outcomes:
    """The samples of one endpoint, counted by shape: old against new, and (of a share of them) old against old.

    ``old_errors``/``new_errors``: samples in which that side alone answered 5xx (or not at all).
    """

    samples: Counter[Shape] = field(default_factory=Counter)
    noise: Counter[Shape] = field(default_factory=Counter)
    old_errors: int = 0
    new_errors: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A field that differs beyond its noise. ``endpoint`` is ``*`` where only all endpoints together prove it."""

    endpoint: str
    field: str
    tally: Tally
    rate: Interval
    noise: Interval


@dataclass(frozen=True, slots=True)
class Parity:
    """The share of equal samples. Fields in ``noise`` differ from themselves as well, and are left out of ``differing``."""

    samples: int
    differing: int
    interval: Interval
    noise: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        return 1 - self.differing / self.samples if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class Slower:
    """Latency, new against old: the ratio of the medians and of the 95th percentiles, each with its interval."""

    samples: int
    median: float
    median_interval: Interval
    p95: float
    p95_interval: Interval
    slower: bool


def wilson(hits: int, of: int, z: float = 1.96) -> Interval:
    """The Wilson score interval of a proportion; (0, 1) where there is nothing."""
    raise NotImplementedError


def tallies(outcomes: Outcomes) -> dict[str, Tally]:
    """By field. Fields that never differed are not in it."""
    raise NotImplementedError


def is_different(tally: Tally, among: int = 1) -> bool:
    """Whether the interval of the difference rate lies above that of the noise. ``among``: how many fields are judged together."""
    raise NotImplementedError


def findings(endpoints: Mapping[str, Outcomes]) -> list[Finding]:
    """Every field of every endpoint that is different, worst first."""
    raise NotImplementedError


def parity(outcomes: Outcomes) -> Parity:
    """Of an endpoint, noise-adjusted."""
    raise NotImplementedError


def parity_of_all(endpoints: Mapping[str, Outcomes]) -> Parity:
    """Of a context: all endpoints together, each adjusted by its own noise."""
    raise NotImplementedError


def needed(found: Parity, threshold: float) -> int | None:
    """Samples still needed until the interval lies at or above ``threshold``, if things go on as they do. 0: proven; None: never."""
    raise NotImplementedError


def slower(old_ms: Sequence[float], new_ms: Sequence[float]) -> Slower:
    """Whether the new side is slower beyond doubt. Same length, pairs of the same requests; a few hundred suffice."""
    raise NotImplementedError
