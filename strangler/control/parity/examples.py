"""Example pairs: each field of an endpoint has its newest few, with their secrets masked. Bounded in number and in size."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strangler import conf
from strangler.control.parity.models import ParityBucket, ParityPair
from strangler.domain.parity import masking
from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Difference

EXAMPLES = 5
REFRESHED = dt.timedelta(minutes=10)
MOST_PAIRS = 50
LONGEST = 32 * 1024
"""Characters of a body that an example keeps."""


@dataclass(frozen=True)
class Example:
    at: dt.datetime
    method: str
    target: str
    old: Answer
    new: Answer
    differences: tuple[Difference, ...]


class _Kept(NamedTuple):
    pk: int
    at: dt.datetime
    fields: frozenset[str]


@dataclass
class Examples:
    """Those of a bucket's endpoint, of the window that ``began`` then."""

    bucket: ParityBucket
    began: dt.datetime
    _kept: list[_Kept] = field(default_factory=list)  # the newest first

    def __post_init__(self) -> None:
        found = self._pairs().order_by("-at").values_list("pk", "at", "differences")
        self._kept = [_Kept(pk, at, frozenset(one["field"] for one in listed)) for pk, at, listed in found]

    def _pairs(self) -> Any:
        bucket = self.bucket
        return ParityPair.objects.using(conf.setting("DATABASE")).filter(
            context=bucket.context, endpoint=bucket.endpoint, rules=bucket.rules, at__gte=self.began
        )

    def add(self, examples: list[Example]) -> None:
        """While a field has its few, a further one is taken now and then."""
        for example in examples:
            fields = frozenset(storable(one.field) for one in example.differences)
            if any(self._lacks(name, example.at) for name in fields):
                self._kept.insert(0, _Kept(self._create(example).pk, example.at, fields))
        self._forget()

    def _lacks(self, name: str, at: dt.datetime) -> bool:
        held = [one.at for one in self._kept if name in one.fields]
        return len(held) < EXAMPLES or at - max(held) > REFRESHED

    def _create(self, example: Example) -> ParityPair:
        bucket = self.bucket
        return ParityPair.objects.using(conf.setting("DATABASE")).create(
            context=bucket.context,
            endpoint=bucket.endpoint,
            rules=bucket.rules,
            at=example.at,
            method=example.method,
            target=storable(masking.url(example.target)),
            old=storable(masking.answer(example.old)),
            new=storable(masking.answer(example.new)),
            differences=[_told(masking.difference(one)) for one in example.differences],
        )

    def _forget(self) -> None:
        """What is not among the newest few of any of its fields."""
        counts: Counter[str] = Counter()
        gone = []
        for place, one in enumerate(sorted(self._kept, key=lambda one: one.at, reverse=True)):
            if place >= MOST_PAIRS or all(counts[name] >= EXAMPLES for name in one.fields):
                gone.append(one.pk)
            counts.update(one.fields)
        if gone:
            self._pairs().filter(pk__in=gone).delete()


def _told(one: Difference) -> dict[str, Any]:
    told: dict[str, Any] = storable({"field": one.field, "kind": str(one.kind), "old": one.old, "new": one.new})
    return told


def storable(value: Any) -> Any:
    """PostgreSQL's JSON has no place for a NUL; and a page is told well enough by its beginning."""
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        return text if len(text) <= LONGEST else text[:LONGEST] + "…"
    if isinstance(value, Mapping):
        return {storable(name): storable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(storable, value))
    return value
