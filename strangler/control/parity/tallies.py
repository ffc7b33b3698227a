"""Judged samples added to what is kept: counts, times, examples. To be called in the transaction that takes the batch."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from strangler import conf
from strangler.control.parity.endpoints import MOST, OTHER
from strangler.control.parity.examples import Example, Examples
from strangler.control.parity.models import ParityBucket, ParityShape
from strangler.domain.parity.difference import Shape

Key = tuple[str, str, str, dt.datetime]
"""Context, endpoint, rules, start."""
TIMES = 300
MOST_SHAPES = 200
SERVICE, NOISE, UNSTEADY = "service", "noise", "unsteady"
REST: Shape = ("…",)
"""Of a bucket with more shapes than are kept."""


@dataclass
class Added:
    """What one batch adds to one bucket, of a window that began then."""

    first: dt.datetime
    last: dt.datetime
    began: dt.datetime
    shapes: Counter[tuple[str, Shape]] = field(default_factory=Counter)
    in_flight: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    old_errors: int = 0
    new_errors: int = 0
    ms: list[tuple[float, float]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def add(added: dict[Key, Added]) -> None:
    """In the order of the keys, so that two who add wait for each other and never in a circle."""
    for key in sorted(added):
        _add(key, added[key])


def _add(key: Key, added: Added) -> None:
    using = conf.setting("DATABASE")
    context, endpoint, rules, start = _bounded(key)
    named = {"context": context, "endpoint": endpoint, "rules": rules, "start": start}
    bucket, _ = ParityBucket.objects.using(using).get_or_create(**named, defaults={"first": added.first, "last": added.last})
    bucket = ParityBucket.objects.using(using).select_for_update().get(pk=bucket.pk)
    bucket.first = min(bucket.first, added.first)
    bucket.last = max(bucket.last, added.last)
    bucket.in_flight += added.in_flight
    bucket.unjudged = dict(Counter(bucket.unjudged) + added.unjudged)
    bucket.old_errors += added.old_errors
    bucket.new_errors += added.new_errors
    for pair in added.ms:
        bucket.timed += 1
        _draw(bucket.ms, bucket.timed, list(pair))
    bucket.save(using=using)
    _add_shapes(bucket, added.shapes, using)
    if added.examples:
        Examples(bucket, added.began).add(added.examples)


def _bounded(key: Key) -> Key:
    """A client that asks for ever new paths does not fill the table."""
    context, endpoint, _, start = key
    known = ParityBucket.objects.using(conf.setting("DATABASE")).filter(context=context, start=start)
    if endpoint == OTHER or known.filter(endpoint=endpoint).exists() or known.count() < MOST:
        return key
    return context, OTHER, "", start


def _draw(kept: list[Any], seen: int, value: Any) -> None:
    """Algorithm R (Vitter 1985): each of those seen is kept with the same chance."""
    if len(kept) < TIMES:
        kept.append(value)
    elif (place := random.randrange(seen)) < TIMES:
        kept[place] = value


def _add_shapes(bucket: ParityBucket, shapes: Counter[tuple[str, Shape]], using: str) -> None:
    rows = ParityShape.objects.using(using).filter(bucket=bucket)
    known = {(row.of, tuple(row.fields)): row.pk for row in rows}
    for (of, fields), count in shapes.items():
        if (of, fields) not in known and len(known) >= MOST_SHAPES:
            fields = REST
        if (of, fields) in known:
            rows.filter(pk=known[of, fields]).update(count=F("count") + count)
        else:
            made = ParityShape.objects.using(using).create(bucket=bucket, of=of, fields=list(fields), count=count)
            known[of, fields] = made.pk
