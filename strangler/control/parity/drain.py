"""Samples out of Redis into the counts: each exactly once, whoever drains and whenever somebody dies.

A batch is counted in the transaction that raises its worker's last number, and taken out of Redis after the commit. Killed in
between it is seen again, and its number says that it was counted; the same if a proxy sent it twice because it did not hear that
it was taken. Two who drain at once meet at the worker's row: the second finds the number raised. Nothing here depends on the
order or the life of Redis's ids, so a Redis that was emptied or fell back is one more case of the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import logging
import time
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DataError, transaction
from django.utils import timezone

from strangler import conf
from strangler.control.followers import connect, reachable
from strangler.control.parity import batches, tallies, window
from strangler.control.parity.batches import Batch, Sample
from strangler.control.parity.endpoints import OTHER, named
from strangler.control.parity.examples import Example, storable
from strangler.control.parity.judging import Compare, Judgement, judge
from strangler.control.parity.models import ParityBucket, ParityPair, ParityProxy
from strangler.control.parity.tallies import Added, Key
from strangler.domain.estate import Context
from strangler.domain.parity.compare import compare
from strangler.domain.parity.rules import NO_RULES, Ruleset, select

log = logging.getLogger("strangler.control")

SLICE_S = 0.5
REMEMBERED = dt.timedelta(days=3)
"""How long a silent worker's last number is kept. Batches older than a third of that are not counted at all."""
KEPT = dt.timedelta(days=14)
_CLEAN_EVERY_S = 600.0
_cleaned = -_CLEAN_EVERY_S


def drain(slice_s: float = SLICE_S) -> int:
    """Counts what waits, for so long at most. Gives the number of batches counted by this call. Raises ``RedisUnavailable``."""
    _clean_now_and_then()
    until, counted = time.monotonic() + slice_s, 0
    with reachable(), contextlib.closing(connect()) as client:
        while entries := batches.waiting(client):
            for entry in entries:
                if entry.batch is None:
                    log.error("parity.rubbish id=%s", entry.id.decode())
                elif _counted(entry.batch):
                    counted += 1
                batches.take(client, entry)
                if time.monotonic() >= until:
                    return counted
    return counted


def _counted(batch: Batch) -> bool:
    """What the database can't hold is left out, with a word: it would hold up all that comes behind it."""
    try:
        return count(batch)
    except (DataError, UnicodeError):
        log.exception("parity.unstorable worker=%s number=%d", batch.worker, batch.number)
        return False


def count(batch: Batch) -> bool:
    """Whether it was counted by this call. All of it or nothing, and only once."""
    using = conf.setting("DATABASE")
    known = ParityProxy.objects.using(using).filter(worker=batch.worker)
    if known.filter(number__gte=batch.number).exists():
        return False
    added = Judge(timezone.now()).added(batch)
    with transaction.atomic(using=using):
        known.get_or_create(worker=batch.worker, defaults={"number": 0, "at": timezone.now()})
        if not known.filter(number__lt=batch.number).update(number=batch.number, at=timezone.now()):
            return False
        tallies.add(added)
    return True


@dataclass
class Judge:
    """Judges a batch by the rules of this moment."""

    now: dt.datetime
    _known: dict[tuple[str, str], tuple[Ruleset, str]] = field(default_factory=dict)

    def added(self, batch: Batch) -> dict[Key, Added]:
        added: dict[Key, Added] = {}
        if batch.at < self.now - REMEMBERED / 3:
            return added  # its worker's last number may be forgotten
        contexts = conf.estate().contexts
        began = {name: window.began(name) for name in contexts}
        for sample in batch.samples:
            if sample.context in began and sample.at >= began[sample.context]:
                self._take(added, contexts[sample.context], began[sample.context], sample)
        for name, lost in batch.lost.items():
            if name in began and batch.at >= began[name]:
                key = (name, OTHER, "", _start(batch.at, began[name]))
                added.setdefault(key, Added(batch.at, batch.at, began[name])).unjudged["dropped"] += lost
        return added

    def _take(self, added: dict[Key, Added], context: Context, began: dt.datetime, sample: Sample) -> None:
        endpoint = named(sample.method, sample.target)
        rules, mark = self._rules(context, endpoint)
        judgement = _judged(sample, functools.partial(compare, rules=rules))
        at = min(sample.at, self.now)
        bucket = added.setdefault((context.name, endpoint, mark, _start(at, began)), Added(at, at, began))
        _note(bucket, at, sample, judgement)

    def _rules(self, context: Context, endpoint: str) -> tuple[Ruleset, str]:
        found = self._known.get((context.name, endpoint))
        if found is None:
            rules = rules_of(context, endpoint, self.now)
            found = self._known[context.name, endpoint] = (rules, window.fingerprint(rules))
        return found


def rules_of(context: Context, endpoint: str, now: dt.datetime) -> Ruleset:
    """The declared rules that hold for an endpoint of a context."""
    if not context.parity:
        return NO_RULES
    return select(context.parity, endpoint, now, origins(context))


def origins(context: Context) -> list[str]:
    """What the same absolute URL may begin with: either side's own address, and the names of the site."""
    hosts = [host for host in settings.ALLOWED_HOSTS if "*" not in host and not host.startswith(".")]
    sites = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    return [*conf.estate().monolith_urls, *context.service_urls, *sites]


def _judged(sample: Sample, comparing: Compare) -> Judgement:
    """One that can't be judged, by a bug of ours, holds up no other one."""
    try:
        return judge(sample, comparing)
    except Exception:
        log.exception("parity.unjudged context=%s", sample.context)
        return Judgement("failed")


def _note(bucket: Added, at: dt.datetime, sample: Sample, judgement: Judgement) -> None:
    bucket.first, bucket.last = min(bucket.first, at), max(bucket.last, at)
    if judgement.noise is not None:
        bucket.shapes[tallies.NOISE, storable(judgement.noise)] += 1
    if sample.ms is not None:
        bucket.ms.append(sample.ms)
    if judgement.outcome == "in flight":
        bucket.in_flight += 1
    elif judgement.outcome in ("equal", "different"):
        bucket.shapes[tallies.SERVICE, storable(judgement.shape)] += 1
        if judgement.unsteady:
            bucket.shapes[tallies.UNSTEADY, storable(judgement.unsteady)] += 1
        _note_errors(bucket, sample)
    else:
        bucket.unjudged[judgement.outcome] += 1
    if judgement.pair is not None and judgement.differences:
        old, new = judgement.pair
        bucket.examples.append(Example(sample.at, sample.method, sample.target, old, new, judgement.differences))


def _note_errors(bucket: Added, sample: Sample) -> None:
    if "old" in sample.answers and "new" in sample.answers:
        old, new = sample.answers["old"].status >= 500, sample.answers["new"].status >= 500
        bucket.old_errors += old and not new
        bucket.new_errors += new and not old


def _start(at: dt.datetime, began: dt.datetime) -> dt.datetime:
    return max(at.replace(minute=0, second=0, microsecond=0), began)


def _clean_now_and_then() -> None:
    global _cleaned
    if time.monotonic() - _cleaned < _CLEAN_EVERY_S:
        return
    _cleaned = time.monotonic()
    using, now = conf.setting("DATABASE"), timezone.now()
    ParityBucket.objects.using(using).filter(last__lt=now - KEPT).delete()
    ParityPair.objects.using(using).filter(at__lt=now - KEPT).delete()
    ParityProxy.objects.using(using).filter(at__lt=now - REMEMBERED).delete()
