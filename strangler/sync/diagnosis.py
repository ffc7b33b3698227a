"""Why a stream waits, and what to do next: the first cause, not the last symptom.

``judge`` looks at what the database says of a stream and, only where somebody has to act, asks around: is Redis there, the
broker, a worker that consumes the queue, the service? Each is asked once for all streams, for a moment only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import redis
from celery import current_app

from strangler import conf
from strangler.domain.durations import about
from strangler.errors import StranglerError
from strangler.sync import backfill_pace, lease
from strangler.sync.broker import client
from strangler.sync.wake import QUEUE

if TYPE_CHECKING:
    from strangler.sync.status import StreamStatus

LATE_S = 3.0  # with something waiting and no round for so long
SILENT_S = 10.0  # a live stream has a round every second, be it empty
NEAR = 0.5  # of the budget: worth to be told


class Severity(IntEnum):
    """How much it matters. BAD: nothing moves or rows are missing; LOOK: it waits, and says for what."""

    IDLE = 0
    GOOD = 1
    LOOK = 2
    BAD = 3


@dataclass(frozen=True)
class Finding:
    """``word``: the state in one word; ``why`` in a sentence; ``next``: a command or an act, or nothing."""

    severity: Severity
    word: str
    why: str = ""
    next: str = ""


LIVE = Finding(Severity.GOOD, "live")


class Around:
    """What the streams need around them, asked when it is wanted. Each answer is empty, or says what is wrong."""

    asks = True

    @functools.cached_property
    def redis(self) -> str:
        try:
            client().ping()
        except redis.RedisError:
            return f"Redis at {place(str(conf.setting('REDIS_URL')))} does not answer"
        return ""

    @functools.cached_property
    def broker(self) -> str:
        url = str(current_app.conf.broker_url or "")
        try:
            with current_app.connection_for_read(connect_timeout=1) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=1)
        except Exception:  # whatever the transport's client raises
            return f"the broker at {place(url)} does not answer"
        return ""

    @functools.cached_property
    def worker(self) -> str:
        try:
            found = current_app.control.inspect(timeout=0.7).active_queues() or {}
        except Exception:  # the broker went away meanwhile
            return self.broker or "the workers can't be asked"
        if any(queue.get("name") == QUEUE for queues in found.values() for queue in queues):
            return ""
        others = f"; {len(found)} workers consume other queues" if found else ""
        return f"no Celery worker consumes the queue {QUEUE}{others}"

    @functools.cached_property
    def _services(self) -> dict[str, str]:
        return {}

    def service(self, context: str) -> str:
        if context not in self._services:
            self._services[context] = _ask(context)
        return self._services[context]


class Unasked(Around):
    """For a glance and for metrics: nobody is asked."""

    asks = False
    redis = broker = worker = ""

    def service(self, context: str) -> str:
        return ""


def _ask(context: str) -> str:
    from strangler.sync.client import ServiceClient

    try:
        ServiceClient(context, timeout=(0.5, 2.0)).ready()
    except StranglerError as error:
        return str(error)
    return ""


def place(url: str) -> str:
    """A URL without what is secret in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else url


def judge(seen: StreamStatus, around: Around) -> Finding:
    """The first of these that holds; so the order is by what hides what."""
    for look in (_given_up, _not_running, _failing, _late, _refused, _copying, _narrow, _differing, _behind, _near):
        found = look(seen, around)
        if found:
            return found
    return LIVE


def _given_up(seen: StreamStatus, _: Around) -> Finding | None:
    if seen.state != "broken":
        return None
    command = f"sync install {seen.context}" if seen.kind == "feed" else f"sync backfill {seen.context}"
    return Finding(Severity.BAD, "BROKEN", seen.reason.partition("; once ")[0], f"strangler {command}")


def _not_running(seen: StreamStatus, _: Around) -> Finding | None:
    if seen.kind == "feed":
        word = "feed" if seen.state == "off" else seen.state
        return Finding(Severity.GOOD if seen.state == "off" else Severity.LOOK, word, seen.reason)
    if seen.state == "live":
        return None
    if seen.depth:
        why = f"it is {seen.state}, and {seen.depth:,} changes wait that nobody carries"
        command = f"strangler advance {seen.context} --to mirror"
        return Finding(Severity.LOOK, seen.state, why, f"{command}; or: strangler uninstall {seen.context}")
    return Finding(Severity.IDLE, seen.state, seen.reason)


def _failing(seen: StreamStatus, around: Around) -> Finding | None:
    if not seen.failures:
        return None
    dead = around.service(seen.context)
    why = dead or seen.last_error
    times = f"; {seen.failures} rounds failed, it tries again by itself every few seconds"
    if dead:
        return Finding(Severity.BAD, "stuck", why + times, f"start the {seen.context} service")
    return Finding(Severity.BAD, "stuck", why + times, "mend that; it goes on by itself")


def _late(seen: StreamStatus, around: Around) -> Finding | None:
    """Nobody carries it. The periodic task asks for a round every second, so without one there is no marker either."""
    idle_s = seen.round_ago_s
    waits_s = seen.oldest_s if seen.depth else None
    is_late = (waits_s or 0) >= LATE_S and (idle_s is None or idle_s >= LATE_S)
    if not is_late and (idle_s is None or idle_s < SILENT_S):
        return None
    since = "yet" if idle_s is None else f"for {about(idle_s)}"
    if seen.lease_left_s > 0:
        who = _holder(seen.lease_holder)
        if lease.is_dead(seen.lease_holder):
            why = f"its lease is held by {who}, which has ended; another takes over in {seen.lease_left_s:.0f} s at the latest"
            missing = around.broker or around.worker
            return Finding(Severity.BAD, "stuck", why + (f", but {missing}" if missing else ""), _start(around))
        return Finding(
            Severity.BAD, "stuck", f"{who} holds it and has made no round {since}", "look at that process; end it if it hangs"
        )
    if not around.asks:
        return Finding(Severity.BAD, "stuck", f"no round {since}", "strangler sync status")
    if around.broker:
        return Finding(Severity.BAD, "stuck", f"{around.broker}, so no worker hears of it (no round {since})", "start the broker")
    if around.worker:
        return Finding(Severity.BAD, "stuck", f"{around.worker}, so nobody carries it (no round {since})", _start(around))
    why = f"no round {since}, although workers consume the queue {QUEUE}: the periodic task strangler.tick does not reach them"
    return Finding(Severity.BAD, "stuck", why, f"celery -A {_app()} beat")


def _start(around: Around) -> str:
    if around.broker:
        return "start the broker"
    return f"celery -A {_app()} worker -B -Q {QUEUE}" if around.worker else "wait; a worker is there"


def _refused(seen: StreamStatus, _: Around) -> Finding | None:
    if not seen.quarantine:
        return None
    rows = "1 row" if seen.quarantine == 1 else f"{seen.quarantine:,} rows"
    why = f"{rows} could not be applied; until they are, no read counts as fresh and no hand-over begins"
    return Finding(Severity.LOOK, "held", why, f"strangler sync quarantine list {seen.context}")


def _copying(seen: StreamStatus, _: Around) -> Finding | None:
    total = seen.backfilled
    if total is None or total.state == "done":
        return None
    command = f"strangler sync backfill {seen.context}"
    if total.state == "cancelled":
        return Finding(Severity.LOOK, "partial", "its backfill was cancelled, so rows may be missing", command)
    if total.state == "paused":
        why = seen.reason or backfill_pace.PAUSED
        return Finding(Severity.LOOK, "paused", why.partition(";")[0], f"{command} --resume")
    if seen.kind == "reverse":
        return Finding(Severity.LOOK, "partial", "its rows are not all compared again yet", command)
    if seen.reason:
        return Finding(Severity.LOOK, "waits", seen.reason)
    left = f", about {about(total.eta_s)} left" if total.eta_s is not None else ""
    return Finding(Severity.LOOK, "copying", f"backfill: {total.sent:,} rows sent at {total.rate:,.0f}/s{left}")


def _narrow(seen: StreamStatus, _: Around) -> Finding | None:
    """Before ``_differing``, which it makes true."""
    if not seen.left_out:
        return None
    return Finding(Severity.LOOK, "narrow", seen.left_out, "migrate the service; the rows are then sent again by themselves")


def _differing(seen: StreamStatus, _: Around) -> Finding | None:
    if seen.verified_drift:
        why = f"{seen.verified_drift:,} rows differed at the last check"
    elif seen.sampled_drift:
        why = f"{seen.sampled_drift:,} rows were found to differ by the verifier that samples all the time"
    else:
        return None
    return Finding(Severity.LOOK, "differs", why, f"strangler sync verify {seen.context}")


def _behind(seen: StreamStatus, _: Around) -> Finding | None:
    """As it is now: what was a minute ago is in the column of p99, and a backfill that has just ended would be in it."""
    limit, lag = backfill_pace.limit_ms(seen.name), (seen.oldest_s or 0.0) * 1000
    if lag <= limit:
        return None
    return Finding(Severity.LOOK, "behind", f"{lag:,.0f} ms behind, more than the {limit:,.0f} ms that the gate allows")


def _near(seen: StreamStatus, _: Around) -> Finding | None:
    if seen.budget < NEAR:
        return None
    return Finding(Severity.LOOK, "filling", f"its outbox is at {seen.budget:.0%} of its budget; at 100 % the stream is given up")


def _holder(name: str) -> str:
    host, _, rest = name.partition(":")
    return f"process {rest.partition(':')[0]} on {host}"


def _app() -> str:
    return str(current_app.main or "PROJECT")
