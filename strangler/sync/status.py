"""What one needs to know of each stream at three in the morning, and always why something waits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

from strangler.sync import backfill, budget, pace, sampling, shape
from strangler.sync.backfill import Progress, Total
from strangler.sync.database import rows
from strangler.sync.databases.port import Statement
from strangler.sync.diagnosis import LIVE, Around, Finding, Unasked, judge
from strangler.sync.pace import Pace

COUNTED = 100_000  # pointers; more are told by the distance of their ids
STREAMS = Statement(f"""
SELECT s.name, s.context, s.kind, s.state, s.marker, s.last_error, s.reason,
       {{on_wire:s.verified_at}}, s.verified_drift, s.relayed,
       (SELECT count(*) FROM (SELECT 1 FROM strangler_outbox o WHERE o.stream = s.name LIMIT {COUNTED + 1}) few),
       (SELECT {{since:o.noted_at}} FROM strangler_outbox o WHERE o.stream = s.name ORDER BY o.id LIMIT 1),
       (SELECT count(*) FROM strangler_quarantine q WHERE q.stream = s.name AND q.discarded_at IS NULL),
       (SELECT count(*) FROM strangler_quarantine q WHERE q.stream = s.name AND q.discarded_at IS NOT NULL),
       s.failures, {{since:s.last_round_at}}, s.lease_holder, {{greatest:0; {{between:{{now}}; s.lease_until}}}}
FROM strangler_stream s ORDER BY s.context, s.name
""")


@dataclass(frozen=True)
class StreamStatus:
    """Ages in seconds, lag in milliseconds, rate in changes a second of the last minute.

    ``lag_*``: from the statement that wrote to the acknowledgement, of the oldest change of each of the last minute's rounds. It
    is never less than the lag from commit; a change waits in its own transaction too. ``budget``: the share of the outbox
    budget that is used (P4). ``depth`` is a bound from above where it is more than 100,000.
    """

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
    discarded: int = 0
    backfill: list[Progress] = field(default_factory=list)
    backfilled: Total | None = None
    verified_at: dt.datetime | None = None
    verified_drift: int | None = None
    reason: str = ""
    failures: int = 0
    round_ago_s: float | None = None
    lease_holder: str = ""
    lease_left_s: float = 0.0
    budget: float = 0.0
    sampled_at: dt.datetime | None = None  # the sampling verifier (``sampling.Sampled``)
    sampled_drift: int = 0
    clean_since: dt.datetime | None = None
    left_out: str = ""  # columns that the destination has no place for
    finding: Finding = LIVE


def streams(context: str | None = None, using: str | None = None, around: Around | None = None) -> list[StreamStatus]:
    """Every stream of this side, or those of one context; what is worst comes first.

    ``around``: with an ``Around`` the causes of what waits are looked for; without, nobody is asked.
    """
    asked = around or Unasked()
    left_out = {name: _listed(columns) for name, columns in shape.ignored(using).items()}
    paces = pace.of_streams(using)
    samples = {sample.stream: sample for sample in sampling.sampled(using)}
    seen = [
        replace(
            _status(row, paces.get(row[0], Pace()), using),
            left_out=left_out.get(row[0], ""),
            **_sampled(samples.get(row[0])),
        )
        for row in rows(STREAMS, [], using)
        if context in (None, row[1])
    ]
    judged = [replace(one, finding=judge(one, asked)) for one in seen]
    return sorted(judged, key=lambda one: (-one.finding.severity, one.state != "broken"))


def _sampled(sample: sampling.Sampled | None) -> dict[str, Any]:
    if sample is None:
        return {}
    return {"sampled_at": sample.sampled_at, "sampled_drift": sample.drift, "clean_since": sample.clean_at}


def _listed(columns: dict[str, list[str]]) -> str:
    return "; ".join(f"{collection}: the service has no column {', '.join(names)}" for collection, names in columns.items())


def _status(row: tuple, paced: Pace, using: str | None) -> StreamStatus:
    (
        name, context, kind, state, marker, error, reason, verified_at, drift, relayed, depth, oldest,
        quarantine, discarded, failures, round_ago, holder, left,
    ) = row  # fmt: skip
    listed = backfill.progress(name, using)
    limits = budget.of(context)
    used = budget.usage(name, limits, using) if depth else budget.Usage()
    return StreamStatus(
        name=name,
        context=context,
        kind=kind,
        state=state,
        depth=depth if depth <= COUNTED else used.rows,
        oldest_s=None if oldest is None else max(0.0, float(oldest)),
        lag_p50_ms=paced.p50_ms,
        lag_p99_ms=paced.p99_ms,
        rate=paced.rate,
        marker=marker,
        relayed=relayed,
        last_error=error,
        quarantine=quarantine,
        discarded=discarded,
        backfill=listed,
        backfilled=backfill.total(listed),
        verified_at=dt.datetime.fromisoformat(verified_at) if verified_at else None,
        verified_drift=drift,
        reason=reason,
        failures=failures,
        round_ago_s=None if round_ago is None else max(0.0, float(round_ago)),
        lease_holder=holder,
        lease_left_s=float(left or 0),
        budget=used.share(limits),
    )
