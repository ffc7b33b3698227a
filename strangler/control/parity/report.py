"""The parallel run for people and programs: by endpoint and field, with example pairs; rules that noise proposes."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from strangler import conf
from strangler.control.parity import window
from strangler.control.parity.drain import rules_of
from strangler.control.parity.models import ParityPair
from strangler.control.parity.seen import WINDOW_S, Measured, measured, summary, weighted_quantile
from strangler.control.positions import context_named
from strangler.domain import confidence
from strangler.domain.parity import noise, statistics
from strangler.domain.parity.noise import Proposal
from strangler.domain.parity.seen import ParitySeen
from strangler.domain.parity.statistics import Tally
from strangler.errors import Misuse

EXAMPLES = 5


@dataclass(frozen=True)
class FieldSeen:
    """``different``: beyond its noise. ``rate``, ``noise``: share and 95 % interval; None where the owner was not asked twice.

    ``unsteady``: samples in which the owner, asked again, differed from itself in it too; they are not in ``differing``.
    """

    field: str
    differing: int
    samples: int
    rate: tuple[float, float, float]
    noise: tuple[float, float, float] | None
    unsteady: int
    different: bool
    kinds: tuple[str, ...]
    examples: tuple[int, ...]


@dataclass(frozen=True)
class EndpointSeen:
    endpoint: str
    samples: int
    rate: tuple[float, float, float]
    in_flight: int
    unjudged: dict[str, int]
    noise_samples: int
    old_errors: int
    new_errors: int
    old_ms: tuple[float | None, float | None]
    new_ms: tuple[float | None, float | None]
    slower: bool
    fields: tuple[FieldSeen, ...]


@dataclass(frozen=True)
class Report:
    context: str
    since: str
    seen: ParitySeen
    endpoints: tuple[EndpointSeen, ...]

    @property
    def differs(self) -> bool:
        return self.seen.different > 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "worst": self.seen.worst}


def report(context: str, *, window_s: float = WINDOW_S) -> Report:
    """The endpoints with what differs first. Raises ``Misuse``."""
    now = timezone.now()
    found = measured(context, window_s=window_s, now=now)
    beyond = {(one.endpoint, one.field) for one in statistics.findings({name: one.outcomes for name, one in found.items()})}
    endpoints = [_endpoint(context, name, one, beyond, len(found), now) for name, one in found.items()]
    endpoints.sort(key=lambda one: (not any(each.different for each in one.fields), not one.slower, one.rate[0], one.endpoint))
    since = max(window.began(context), now - dt.timedelta(seconds=window_s))
    return Report(context, since.isoformat(), summary(context, found, now), tuple(endpoints))


def _endpoint(context: str, name: str, one: Measured, beyond: set[tuple[str, str]], among: int, now: dt.datetime) -> EndpointSeen:
    outcomes, parity = one.outcomes, statistics.parity(one.outcomes)
    pairs = _pairs(context, name, now)
    fields = [
        _field(each, tally, (name, each) in beyond or ("*", each) in beyond, pairs)
        for each, tally in statistics.tallies(outcomes).items()
    ]
    fields.sort(key=lambda each: (not each.different, -each.rate[0], each.field))
    old, new = [pair[0] for pair in one.times], [pair[1] for pair in one.times]
    return EndpointSeen(
        endpoint=name,
        samples=parity.samples,
        rate=(parity.rate, parity.interval.low, parity.interval.high),
        in_flight=one.in_flight,
        unjudged=dict(one.unjudged),
        noise_samples=sum(outcomes.noise.values()),
        old_errors=outcomes.old_errors,
        new_errors=outcomes.new_errors,
        old_ms=_quantiles([(pair[0], pair[2]) for pair in one.times]),
        new_ms=_quantiles([(pair[1], pair[2]) for pair in one.times]),
        slower=bool(old) and statistics.slower(old, new, among).slower,
        fields=tuple(fields),
    )


def _quantiles(weighted: list[tuple[float, float]]) -> tuple[float | None, float | None]:
    return weighted_quantile(weighted, 0.5), weighted_quantile(weighted, 0.95)


def _field(name: str, tally: Tally, different: bool, pairs: list[tuple[int, dict[str, str]]]) -> FieldSeen:
    return FieldSeen(
        field=name,
        differing=tally.differing,
        samples=tally.samples,
        rate=_share(tally.differing, tally.samples),
        noise=_share(tally.noise_differing, tally.noise_samples) if tally.noise_samples else None,
        unsteady=tally.unsteady or 0,
        different=different,
        kinds=tuple(sorted({kinds[name] for _, kinds in pairs if name in kinds})),
        examples=tuple([pk for pk, kinds in pairs if name in kinds][:EXAMPLES]),
    )


def _share(hits: int, of: int) -> tuple[float, float, float]:
    interval = confidence.share(hits, of, statistics.Z95)
    return (hits / of if of else 0.0), interval.low, interval.high


def _pairs(context: str, endpoint: str, now: dt.datetime) -> list[tuple[int, dict[str, str]]]:
    """The newest first: id, and by field the kind of its difference."""
    mark = window.fingerprint(rules_of(context_named(context), endpoint, now))
    rows = ParityPair.objects.using(conf.setting("DATABASE")).filter(
        context=context, endpoint=endpoint, rules=mark, at__gte=window.began(context)
    )
    found = rows.order_by("-at").values_list("pk", "differences")
    return [(pk, {one["field"]: one["kind"] for one in listed}) for pk, listed in found]


def pair(number: int) -> ParityPair:
    """One example. Raises ``Misuse``."""
    found = ParityPair.objects.using(conf.setting("DATABASE")).filter(pk=number).first()
    if found is None:
        raise Misuse(f"there is no pair {number} (any more); the ids of examples: strangler parity")
    return found


def proposals(context: str, *, window_s: float = WINDOW_S) -> list[Proposal]:
    """Rules for fields in which the owner does not answer twice alike. Nothing is applied: a person pastes them, or not."""
    now = timezone.now()
    return noise.proposals({name: one.outcomes for name, one in measured(context, window_s=window_s, now=now).items()}, now)


def toml(context: str, proposal: Proposal) -> str:
    """To paste into ``strangler.toml``."""
    rule = proposal.rule
    lines = [
        f"[[contexts.{context}.parity]]",
        *(f"{name} = {_quoted(str(getattr(rule, name)))}" for name in ("endpoint", "field", "how", "reason", "author")),
    ]
    if rule.expires is not None:
        lines.append(f"expires = {rule.expires.date().isoformat()}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML, which is one of JSON with no DEL in it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
