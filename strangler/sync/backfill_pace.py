"""The pace of a backfill: how much it notes at a time, when it lets live changes go first, and what an operator tells it (P13).

Three things slow it down, and each says so. *Time*: a chunk should take ``TARGET_S``; one that took longer makes the next one
smaller, a shorter one larger, within bounds. *Live changes*: while the oldest change of somebody's own has waited for longer than
the context's gate allows (``lag_p99_ms``), nothing is noted, and the next chunk is half as large, for what was noted stands
before them in the outbox. *An operator*: paused, it stays where it is; cancelled, it is over without being complete, which no
gate passes and after which no marker is published, until a new one has come to its end.

All of it stands in the database: any process goes on, and what is decided holds for all of them. A pause or a cancellation waits
for the chunk that is under way (its row is locked) and holds from the next one on.
"""

from __future__ import annotations

from dataclasses import dataclass

from strangler import conf
from strangler.domain.estate import Gates
from strangler.sync.database import rows, value

FIRST = 5000  # rows of the first chunk
LEAST, MOST = 100, 50_000
TARGET_S = 0.2
GROWTH = 2.0  # a chunk is at the most so many times the one before
DEEP = 20_000  # pointers waiting; above it the backfill lets the relay catch up, so that live changes don't queue behind it
WAITS = "backfill waits: live lag"
PAUSED = "backfill is paused"

AHEAD = """
SELECT count(*),
       coalesce(extract(epoch FROM clock_timestamp() - min(noted_at) FILTER (WHERE origin <> 'backfill')) * 1000, 0)
FROM (SELECT origin, noted_at FROM strangler_outbox WHERE stream = %s ORDER BY id LIMIT %s) AS few
"""
UNDER_WAY = "stream = %s AND state NOT IN ('done', 'cancelled')"
IS_PAUSED = f"SELECT EXISTS (SELECT 1 FROM strangler_backfill WHERE {UNDER_WAY} AND paused_at IS NOT NULL)"
SAY = "UPDATE strangler_stream SET reason = %s WHERE name = %s AND NOT starts_with(reason, %s) RETURNING 1"
SAY_ANEW = "UPDATE strangler_stream SET reason = %s WHERE name = %s"
UNSAY = "UPDATE strangler_stream SET reason = '' WHERE name = %s AND starts_with(reason, %s)"
HALVE = "UPDATE strangler_backfill SET chunk = greatest(%s, chunk / 2) WHERE stream = %s AND state = 'running' AND chunk > 0"
PAUSE = f"UPDATE strangler_backfill SET paused_at = clock_timestamp() WHERE {UNDER_WAY} AND paused_at IS NULL RETURNING 1"
RESUME = f"UPDATE strangler_backfill SET paused_at = NULL WHERE {UNDER_WAY} AND paused_at IS NOT NULL RETURNING 1"
CANCEL = f"""
UPDATE strangler_backfill SET state = 'cancelled', paused_at = NULL, finished_at = clock_timestamp() WHERE {UNDER_WAY} RETURNING 1
"""


@dataclass(frozen=True)
class Ahead:
    """What stands in the outbox before a further chunk: how many pointers (up to ``DEEP`` and one), and the live lag in ms."""

    depth: int
    lag_ms: float


def next_chunk(chunk: int, seconds: float) -> int:
    """The size of the next chunk after one of ``chunk`` rows that took so long."""
    wanted = chunk * min(GROWTH, TARGET_S / max(seconds, 1e-6))
    return max(LEAST, min(MOST, int(wanted)))


def may_go_on(stream: str, using: str | None = None) -> bool:
    """Whether a further chunk may be noted now. If not because of live changes, the stream says so, until it may."""
    if is_paused(stream, using):
        return False
    ahead, limit = look(stream, using), limit_ms(stream)
    if ahead.lag_ms > limit:
        reason = f"{WAITS} {ahead.lag_ms:,.0f} ms > {limit:,.0f} ms"
        if rows(SAY, [reason, stream, WAITS], using):
            rows(HALVE, [LEAST, stream], using)
        else:
            rows(SAY_ANEW, [reason, stream], using)
        return False
    rows(UNSAY, [stream, WAITS], using)
    return ahead.depth <= DEEP


def look(stream: str, using: str | None = None) -> Ahead:
    depth, lag = rows(AHEAD, [stream, DEEP + 1], using)[0]
    return Ahead(int(depth), float(lag))


def limit_ms(stream: str) -> float:
    """The lag that the gates of the stream's context allow."""
    for context in conf.load()[0].contexts.values():
        if stream in (context.mirror_stream, context.copies_stream, context.reverse_stream):
            return context.gates.lag_p99_ms
    return Gates().lag_p99_ms


def is_paused(stream: str, using: str | None = None) -> bool:
    return bool(value(IS_PAUSED, [stream], using))


def pause(stream: str, context: str, using: str | None = None) -> bool:
    """From the next chunk on it waits, for whoever notes; False if there was nothing to pause."""
    if not rows(PAUSE, [stream], using):
        return False
    rows(SAY_ANEW, [f"{PAUSED}; go on: strangler sync backfill {context} --resume", stream], using)
    return True


def resume(stream: str, using: str | None = None) -> bool:
    """It goes on where it was; False if it was not paused."""
    rows(UNSAY, [stream, PAUSED], using)
    return bool(rows(RESUME, [stream], using))


def cancel(stream: str, using: str | None = None) -> bool:
    """It is over, and not complete; what is noted is carried. False if none was under way."""
    for said in (PAUSED, WAITS):
        rows(UNSAY, [stream, said], using)
    return bool(rows(CANCEL, [stream], using))
