"""When a backfill lets live changes go first, and what an operator tells it (P13).

A chunk is as large as a round has room for (``relay``: rounds adapt to bytes and to the time that the destination takes). Two
things have it wait, and each says so. *Live changes*: while the oldest change of a round has waited for longer than the context's
gate allows (``lag_p99_ms``), the round carries no chunk. *An operator*: paused, it stays where it is; cancelled, it is over
without being complete, which no gate passes and after which no marker is published, until a new one has come to its end.

A pause and a cancellation stand in the database and hold for every process from the next chunk on. The chunk that is under way
then still moves a paused backfill on, and moves a cancelled one no more (``backfill.MOVE`` asks for the state).
"""

from __future__ import annotations

from strangler import conf
from strangler.domain.estate import Gates
from strangler.sync.database import rows, value
from strangler.sync.databases.port import Statement

WAITS = "backfill waits: live lag"
PAUSED = "backfill is paused"

Waits = tuple[float, float] | None
"""The lag for which a chunk was left out, and the limit, in milliseconds."""

UNDER_WAY = "stream = %s AND state NOT IN ('done', 'cancelled')"
IS_PAUSED = f"SELECT EXISTS (SELECT 1 FROM strangler_backfill WHERE {UNDER_WAY} AND paused_at IS NOT NULL)"
SAY = "UPDATE strangler_stream SET reason = %s WHERE name = %s"
UNSAY = Statement("UPDATE strangler_stream SET reason = '' WHERE name = %s AND {begins:reason; %s}")
PAUSE = Statement(f"UPDATE strangler_backfill SET paused_at = {{now}} WHERE {UNDER_WAY} AND paused_at IS NULL RETURNING 1")
RESUME = f"UPDATE strangler_backfill SET paused_at = NULL WHERE {UNDER_WAY} AND paused_at IS NOT NULL RETURNING 1"
CANCEL = Statement(f"""
UPDATE strangler_backfill SET state = 'cancelled', paused_at = NULL, finished_at = {{now}} WHERE {UNDER_WAY} RETURNING 1
""")
_said: dict[str, bool] = {}  # stream: whether this process has said that it waits


def too_late(stream: str, lag_ms: float) -> Waits:
    """Whether live changes have waited for too long for a chunk to go along with them."""
    limit = limit_ms(stream)
    return (lag_ms, limit) if lag_ms > limit else None


def say(stream: str, waits: Waits, using: str | None = None) -> bool:
    """After a round: the stream says why its backfill waits, until it goes on. True while it waits."""
    if waits:
        rows(SAY, [f"{WAITS} {waits[0]:,.0f} ms > {waits[1]:,.0f} ms", stream], using)
        _said[stream] = True
    elif _said.pop(stream, True):  # at first another process may have said it
        _said[stream] = False
        rows(UNSAY, [stream, WAITS], using)
    else:
        _said[stream] = False
    return waits is not None


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
    rows(SAY, [f"{PAUSED}; go on: strangler sync backfill {context} --resume", stream], using)
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
