"""What one needs to know of each stream at three in the morning, and always why something waits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from strangler.sync import backfill
from strangler.sync.backfill import Progress
from strangler.sync.database import rows

STREAMS = """
SELECT s.name, s.context, s.kind, s.state, s.marker, s.last_error, s.reason, s.verified_at, s.verified_drift, s.relayed,
       (SELECT count(*) FROM strangler_outbox o WHERE o.stream = s.name),
       (SELECT extract(epoch FROM clock_timestamp() - o.noted_at)
        FROM strangler_outbox o WHERE o.stream = s.name ORDER BY o.id LIMIT 1),
       (SELECT count(*) FROM strangler_quarantine q WHERE q.stream = s.name),
       r.p50, r.p99, r.rate, s.retry_at > clock_timestamp(), s.failures,
       s.last_round_at < clock_timestamp() - interval '5
seconds' FROM strangler_stream s
LEFT JOIN LATERAL (
  SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99,
         sum(changes) / 60.0 AS rate
  FROM strangler_round WHERE stream = s.name AND at > clock_timestamp() - interval '60 seconds'
) r ON true
ORDER BY s.context, s.name
"""


@dataclass(frozen=True)
class StreamStatus:
    """Ages in seconds, lag (noted to acknowledged, of the last minute's rounds) in milliseconds, rate in changes a second."""

    name: str
    context: str
    kind: str
    state: str
    depth: int
    oldest_s: float | None
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    rate: float
    marker: int
    relayed: int
    last_error: str
    quarantine: int
    backfill: list[Progress] = field(default_factory=list)
    verified_at: dt.datetime | None = None
    verified_drift: int | None = None
    reason: str = ""


def streams(context: str | None = None, using: str | None = None) -> list[StreamStatus]:
    """Every stream of this side, or those of one context."""
    made = []
    for (
        name, of, kind, state, marker, error, reason, verified_at, drift, relayed,
        depth, oldest, quarantine, p50, p99, rate, backs_off, failures, is_late,
    ) in rows(STREAMS, using=using):  # fmt: skip
        if context and of != context:
            continue
        if not reason and backs_off:
            reason = f"backs off after {failures} failed rounds: {error}"
        elif not reason and quarantine:
            reason = f"{quarantine} keys in quarantine; freshness is not published until they are gone"
        elif not reason and state == "live" and depth and is_late:
            reason = "no worker has carried it for 5 s; is a Celery worker with the queue strangler running?"
        made.append(
            StreamStatus(
                name=name,
                context=of,
                kind=kind,
                state=state,
                depth=depth,
                oldest_s=None if oldest is None else float(oldest),
                lag_p50_ms=p50,
                lag_p99_ms=p99,
                rate=float(rate or 0),
                marker=marker,
                relayed=relayed,
                last_error=error,
                quarantine=quarantine,
                backfill=backfill.progress(name, using),
                verified_at=verified_at,
                verified_drift=drift,
                reason=reason,
            )
        )
    return made
