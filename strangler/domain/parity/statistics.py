"""What the counts of a parallel run prove: which field differs beyond its own noise, how high the parity is, what it lacks.

**When is a field different?** When the Wilson interval of its difference rate lies above that of its noise. The intervals are as
wide as makes their not overlapping have the wanted level (Goldstein & Healy 1995): ``FAMILY``, the chance a look has to take any
noise for a fault. It is small because gates look again and again. Fields that are judged together share it (Holm 1979), so a
hundred noisy fields raise no more alarms than one.

**Asked again.** Where each sample that differs asks the owner once more, nothing is guessed from a share. Three answers that only
noise makes differ are alike in law, so the odd one out is the service's as often as the owner's first: a difference to two equal
answers of the owner is no more frequent than one to two unequal ones. Half as many differences prove a fault then, and the owner
is asked less. The two ways to a proof have half the level each.

**Errors** need no noise sample: each sample shows how the owner answered. A field of their own that is rare, grave and the same
everywhere, judged over all endpoints together; one is named by itself where it fails more often than the others do.

**Parity** is careful the other way about. A difference that is not proven is still a difference there; only what is explained by
noise that was seen is left out. So neither is an alarm raised nor a gate opened by what is not known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from strangler.domain import confidence
from strangler.domain.confidence import Interval
from strangler.domain.parity.difference import Shape

NOISE_SHARE = 0.5
"""Of the samples, how many should ask the owner twice where it is not asked again: a tenth can't tell rare faults from noise."""
FAMILY = 2e-4
FAMILY_OF_ERRORS = 3e-3
FAMILY_OF_LATENCIES = 0.05
Z95 = 1.96
EXPLAINED = 0.005
"""A difference rate that noise passes more often than this is what the noise makes of it."""
STATUS = "status"
EVERYWHERE = "*"
SLOWER = 1.25
"""A ratio of latencies that is let be."""
SLOWER_MS = 2.0


@dataclass(frozen=True, slots=True)
class Tally:
    """In ``differing`` of ``samples`` this field differed between old and new; noise: between old and old, asked twice.

    ``unsteady``: the samples in which it differed, and the owner, asked again for that reason, differed from itself in it too.
    They are not in ``differing``. None where the owner is not asked again.
    """

    samples: int
    differing: int
    noise_samples: int = 0
    noise_differing: int = 0
    unsteady: int | None = None

    def rate(self, z: float = Z95) -> Interval:
        return confidence.share(self.differing, self.samples, z)

    def noise(self, z: float = Z95) -> Interval:
        return confidence.share(self.noise_differing, self.noise_samples, z)

    def above_noise(self, level: float) -> bool:
        """Whether the rate's interval lies above the noise's, where chance alone brings that about as rarely as ``level``."""
        if not self.samples or not self.noise_samples:
            return False
        z = apart(level, self.samples, self.noise_samples)
        return self.rate(z).low > self.noise(z).high

    def beyond_noise(self, level: float) -> bool:
        """By the noise samples, or by the owner's second answers: of what is noise at least as much is unsteady as differs."""
        if self.unsteady is None:
            return self.above_noise(level)
        again = Tally(self.samples, self.differing, self.samples, self.unsteady)
        return self.above_noise(level / 2) or again.above_noise(level / 2)


@dataclass
class Outcomes:
    """The samples of one endpoint, counted by shape: old against new, and (of a share of them) old against old.

    ``unsteady``: where each sample that differs asks the owner again, what it differed in and the owner from itself as well. Then
    ``samples`` holds only the rest of a sample's shape. ``old_errors``, ``new_errors``: samples in which that side alone answered
    5xx, or not at all.
    """

    samples: Counter[Shape] = field(default_factory=Counter)
    noise: Counter[Shape] = field(default_factory=Counter)
    old_errors: int = 0
    new_errors: int = 0
    unsteady: Counter[Shape] | None = None

    @property
    def errors(self) -> Tally:
        """How often the service fails, with the owner's failures on the same requests as its noise."""
        asked = self.samples.total()
        return Tally(asked, self.new_errors, asked, self.old_errors)


@dataclass(frozen=True, slots=True)
class Finding:
    """A field that differs beyond its noise. ``endpoint`` is ``*`` for errors at all of them, or at all that are not named."""

    endpoint: str
    field: str
    tally: Tally

    @property
    def rate(self) -> Interval:
        return self.tally.rate()

    @property
    def noise(self) -> Interval:
        return self.tally.noise()


@dataclass(frozen=True, slots=True)
class Parity:
    """The share of equal samples, with its 95 % interval. What fields in ``noise`` differ in is left out of ``differing``."""

    samples: int
    differing: int
    noise: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        return 1 - self.differing / self.samples if self.samples else 0.0

    @property
    def interval(self) -> Interval:
        differing = confidence.share(self.differing, self.samples, Z95)
        return Interval(1 - differing.high, 1 - differing.low)


@dataclass(frozen=True, slots=True)
class Slower:
    """Latency, new against old: the ratios of the medians and of the 95th percentiles, each with its interval."""

    samples: int
    median: float
    median_interval: Interval
    p95: float
    p95_interval: Interval
    slower: bool


def standard_errors(level: float) -> float:
    """Standard errors that chance passes, on one side, as rarely as ``level``."""
    return NormalDist().inv_cdf(1 - level)


def apart(level: float, count: int, other: int) -> float:
    """The width at which intervals of so many samples each fail to overlap by chance as rarely as ``level``."""
    one, two = 1 / math.sqrt(count), 1 / math.sqrt(other)
    return standard_errors(level) * math.hypot(one, two) / (one + two)


def tallies(outcomes: Outcomes) -> dict[str, Tally]:
    """By field. Fields that never differed are not in it."""
    differing, noise, unsteady = _by_field(outcomes.samples), _by_field(outcomes.noise), _by_field(outcomes.unsteady or Counter())
    asked, twice, again = outcomes.samples.total(), outcomes.noise.total(), outcomes.unsteady is not None
    return {
        name: Tally(asked, differing[name], twice, noise[name], unsteady[name] if again else None)
        for name in sorted({*differing, *noise, *unsteady})
    }


def _by_field(shapes: Counter[Shape]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for shape, count in shapes.items():
        for name in shape:
            counts[name] += count
    return counts


def is_different(tally: Tally, among: int = 1) -> bool:
    """Whether the interval of the difference rate lies above that of the noise. ``among``: fields that are judged together."""
    return tally.beyond_noise(FAMILY / max(1, among))


def is_noise(tally: Tally) -> bool:
    """Whether the field was seen to differ from itself, often enough to explain what it differs by."""
    return tally.noise_differing + (tally.unsteady or 0) > 0 and not tally.beyond_noise(EXPLAINED)


def findings(endpoints: Mapping[str, Outcomes]) -> list[Finding]:
    """Every field of every endpoint that is different, the most frequent first."""
    judged = {(name, place): tally for name, seen in endpoints.items() for place, tally in tallies(seen).items()}
    found: dict[tuple[str, str], Tally] = {}
    while proven := {key: tally for key, tally in judged.items() if is_different(tally, len(judged))}:
        found |= proven  # what is proven doubts nothing any more, so those left share the level among fewer
        judged = {key: tally for key, tally in judged.items() if key not in proven}
    for one in errors(endpoints):
        found.setdefault((one.endpoint, one.field), one.tally)
    named = [Finding(*key, tally) for key, tally in found.items()]
    return sorted(named, key=lambda one: (-one.rate.low, one.endpoint, one.field))


def errors(endpoints: Mapping[str, Outcomes]) -> list[Finding]:
    """Where the service fails more often than the owner: endpoints that stand out, and ``*`` for the rest if it does as well."""
    every = {name: seen.errors for name, seen in endpoints.items()}
    if not together(every.values()).above_noise(FAMILY_OF_ERRORS):
        return []
    found = [Finding(name, STATUS, tally) for name, tally in every.items() if _stands_out(name, every)]
    rest = together(tally for name, tally in every.items() if name not in {one.endpoint for one in found})
    if rest.above_noise(FAMILY_OF_ERRORS):
        found.append(Finding(EVERYWHERE, STATUS, rest))
    return found


def _stands_out(name: str, every: Mapping[str, Tally]) -> bool:
    """Whether an endpoint fails more often than the owner, and than the others: else it has its part of what all have."""
    own, others = every[name], together(tally for other, tally in every.items() if other != name)
    against = Tally(own.samples, own.differing, others.samples, others.differing)
    return own.above_noise(FAMILY_OF_ERRORS) and (not others.samples or against.above_noise(FAMILY))


def together(tallies: Iterable[Tally]) -> Tally:
    each = list(tallies)
    samples = sum(one.samples for one in each)
    return Tally(samples, sum(one.differing for one in each), samples, sum(one.noise_differing for one in each))


def parity(outcomes: Outcomes) -> Parity:
    """Of an endpoint, noise-adjusted: a sample is equal if all that it differs in is noise."""
    noise = {name for name, tally in tallies(outcomes).items() if is_noise(tally)}
    differing = sum(count for shape, count in outcomes.samples.items() if not noise.issuperset(shape))
    return Parity(outcomes.samples.total(), differing, tuple(sorted(noise)))


def parity_of_all(endpoints: Mapping[str, Outcomes]) -> Parity:
    """Of a context: all samples together, each adjusted by the noise of its endpoint."""
    each = {name: parity(seen) for name, seen in endpoints.items()}
    noise = tuple(f"{name} {place}" for name, found in sorted(each.items()) for place in found.noise)
    return Parity(sum(one.samples for one in each.values()), sum(one.differing for one in each.values()), noise)


def needed(found: Parity, threshold: float) -> int | None:
    """Samples still needed until the interval lies at or above ``threshold``, if things go on as they do. None: never."""
    share = found.differing / found.samples if found.samples else 0.0
    allowed = 1 - threshold
    if share >= allowed:
        return None

    def proves(samples: int) -> bool:
        return confidence.share(share * samples, samples, Z95).high <= allowed

    if proves(found.samples):
        return 0
    low, high = found.samples, max(1, found.samples)
    while not proves(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high - found.samples


def slower(old_ms: Sequence[float], new_ms: Sequence[float], among: int = 1) -> Slower:
    """Whether the new side is slower beyond doubt, by more than a quarter and two milliseconds. ``among``: endpoints judged.

    The intervals are by order statistics, so they hold for any distribution, and a few outliers do not move them.
    """
    old, new = sorted(old_ms), sorted(new_ms)
    z = apart(FAMILY_OF_LATENCIES / (2 * max(1, among)), max(1, len(old)), max(1, len(new)))
    median, median_interval, by_median = _ratio(old, new, 0.5, z)
    p95, p95_interval, by_p95 = _ratio(old, new, 0.95, z)
    return Slower(min(len(old), len(new)), median, median_interval, p95, p95_interval, by_median or by_p95)


def _ratio(old: Sequence[float], new: Sequence[float], share: float, z: float) -> tuple[float, Interval, bool]:
    olds, news = _order_interval(old, share, z), _order_interval(new, share, z)
    slow = news.low > max(SLOWER * olds.high, olds.high + SLOWER_MS)
    ratio = _divide(_at(new, share), _at(old, share))
    return ratio, Interval(_divide(news.low, olds.high), _divide(news.high, olds.low)), slow


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def _order_interval(ordered: Sequence[float], share: float, z: float) -> Interval:
    """Between which samples the quantile lies (normal approximation of the binomial); open where there are too few."""
    count = len(ordered)
    middle, reach = count * share, z * math.sqrt(count * share * (1 - share))
    first, last = math.floor(middle - reach), math.ceil(middle + reach)
    return Interval(ordered[first - 1] if first >= 1 else 0.0, ordered[last] if last < count else math.inf)


def _divide(one: float, other: float) -> float:
    if math.isinf(other):
        return 0.0
    return one / other if other else math.inf
