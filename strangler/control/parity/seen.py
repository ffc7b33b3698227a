"""What was counted, as gates, status and people see it."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils import timezone

from strangler import conf
from strangler.control.parity import tallies, window
from strangler.control.parity.drain import rules_of
from strangler.control.parity.endpoints import OTHER
from strangler.control.parity.models import ParityBucket
from strangler.control.positions import context_named
from strangler.domain.parity import statistics
from strangler.domain.parity.difference import Shape
from strangler.domain.parity.seen import ParitySeen
from strangler.domain.parity.statistics import Outcomes

WINDOW_S = 24 * 3600.0
LATELY = dt.timedelta(hours=1)

Times = list[tuple[float, float, float]]
"""Old and new in milliseconds, and how many samples the two stand for."""


@dataclass
class Measured:
    """One endpoint, under the rules that hold now."""

    counts: defaultdict[str, Counter[Shape]] = field(default_factory=lambda: defaultdict(Counter))
    old_errors: int = 0
    new_errors: int = 0
    in_flight: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    times: Times = field(default_factory=list)
    first: dt.datetime | None = None
    lately: int = 0

    @property
    def outcomes(self) -> Outcomes:
        service, noise, unsteady = (self.counts[of] for of in (tallies.SERVICE, tallies.NOISE, tallies.UNSTEADY))
        return Outcomes(service, noise, self.old_errors, self.new_errors, unsteady)

    @property
    def samples(self) -> int:
        return self.counts[tallies.SERVICE].total()

    def add(self, bucket: ParityBucket, since: dt.datetime) -> None:
        for row in bucket.shapes.all():
            self.counts[row.of][tuple(row.fields)] += row.count
        if bucket.last >= since:
            self.lately += sum(row.count for row in bucket.shapes.all() if row.of == tallies.SERVICE)
            self.first = min(self.first or bucket.first, bucket.first)
        self.old_errors += bucket.old_errors
        self.new_errors += bucket.new_errors
        self.in_flight += bucket.in_flight
        self.unjudged.update(bucket.unjudged)
        self.times += [(old, new, bucket.timed / len(bucket.ms)) for old, new in bucket.ms]


def measured(context: str, *, window_s: float = WINDOW_S, now: dt.datetime | None = None) -> dict[str, Measured]:
    """By endpoint. Raises ``Misuse`` for a context that is not declared."""
    declared, now = context_named(context), now or timezone.now()
    hour = (now - dt.timedelta(seconds=window_s)).replace(minute=0, second=0, microsecond=0)
    since = max(window.began(context), hour)
    found: dict[str, Measured] = {}
    marks: dict[str, str] = {OTHER: ""}
    rows = ParityBucket.objects.using(conf.setting("DATABASE")).filter(context=context, start__gte=since)
    for bucket in rows.prefetch_related("shapes").order_by("endpoint", "start"):
        if bucket.endpoint not in marks:
            marks[bucket.endpoint] = window.fingerprint(rules_of(declared, bucket.endpoint, now))
        if bucket.rules == marks[bucket.endpoint]:
            found.setdefault(bucket.endpoint, Measured()).add(bucket, now - LATELY)
    return found


def observations(context: str, *, window_s: float = WINDOW_S) -> ParitySeen:
    """Of a context's parallel run: since its last reset, its last stay below shadow, or ``window_s`` ago, whichever is later."""
    now = timezone.now()
    return summary(context, measured(context, window_s=window_s, now=now), now)


def summary(context: str, found: dict[str, Measured], now: dt.datetime) -> ParitySeen:
    outcomes = {endpoint: one.outcomes for endpoint, one in found.items()}
    parity = statistics.parity_of_all(outcomes)
    findings = statistics.findings(outcomes)
    times = [each for one in found.values() for each in one.times]
    firsts = [one.first for one in found.values() if one.first]
    lately = sum(one.lately for one in found.values())
    return ParitySeen(
        context=context,
        samples=parity.samples,
        differing=parity.differing,
        unjudged=sum(sum(one.unjudged.values()) for one in found.values()),
        in_flight=sum(one.in_flight for one in found.values()),
        rate=parity.rate,
        low=parity.interval.low,
        high=parity.interval.high,
        samples_per_s=lately / max(1.0, (now - min(firsts)).total_seconds()) if firsts else 0.0,
        worst_endpoint=findings[0].endpoint if findings else "",
        worst_field=findings[0].field if findings else "",
        different=len(findings),
        noise_samples=sum(sum(one.noise.values()) for one in outcomes.values()),
        old_errors=sum(one.old_errors for one in outcomes.values()),
        new_errors=sum(one.new_errors for one in outcomes.values()),
        old_p50_ms=weighted_quantile(((old, weight) for old, _, weight in times), 0.5),
        old_p95_ms=weighted_quantile(((old, weight) for old, _, weight in times), 0.95),
        new_p50_ms=weighted_quantile(((new, weight) for _, new, weight in times), 0.5),
        new_p95_ms=weighted_quantile(((new, weight) for _, new, weight in times), 0.95),
    )


def weighted_quantile(weighted: Iterable[tuple[float, float]], share: float) -> float | None:
    """The least value at or below which that share of the weight lies; None of nothing."""
    listed = sorted(weighted)
    rest = share * sum(weight for _, weight in listed)
    for value, weight in listed:
        rest -= weight
        if rest <= 1e-9:
            return value
    return listed[-1][0] if listed else None
