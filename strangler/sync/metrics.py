"""The streams for Prometheus, in its text format; on either side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from strangler.sync import status
from strangler.sync.status import StreamStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("off", "live", "paused", "broken")


@dataclass(frozen=True)
class Metric:
    name: str
    kind: str
    help: str
    value: Callable[[StreamStatus], float | int | None]

    def lines(self, listed: Iterable[StreamStatus]) -> list[str]:
        found = [(stream, self.value(stream)) for stream in listed]
        return [
            f"# HELP {self.name} {self.help}",
            f"# TYPE {self.name} {self.kind}",
            *(f"{self.name}{{{labels(stream)}}} {value:.10g}" for stream, value in found if value is not None),
        ]


METRICS = (
    Metric("strangler_stream_depth", "gauge", "Changes that wait in a stream.", lambda s: s.depth),
    Metric("strangler_stream_oldest_seconds", "gauge", "Age of the oldest change that waits.", lambda s: s.oldest_s or 0.0),
    Metric("strangler_stream_changes_total", "counter", "Changes acknowledged since the stream was made.", lambda s: s.relayed),
    Metric("strangler_stream_failures", "gauge", "Rounds that failed since the last good one.", lambda s: s.failures),
    Metric("strangler_stream_quarantine", "gauge", "Rows that could not be applied and wait.", lambda s: s.quarantine),
    Metric("strangler_stream_discarded", "gauge", "Rows that could not be applied and are let be.", lambda s: s.discarded),
    Metric("strangler_stream_budget_ratio", "gauge", "Share of the outbox budget that is used.", lambda s: s.budget),
    Metric("strangler_stream_drift", "gauge", "Rows that differed at the last check.", lambda s: s.verified_drift),
    Metric("strangler_stream_sampled_drift", "gauge", "Rows that the sampling found to differ.", lambda s: s.sampled_drift),
    Metric(
        "strangler_stream_verified_timestamp_seconds",
        "gauge",
        "When a check last found both sides equal.",
        lambda s: s.verified_at.timestamp() if s.verified_at else None,
    ),
    Metric(
        "strangler_stream_backfill_rows",
        "gauge",
        "Rows that the backfill has sent.",
        lambda s: s.backfilled.sent if s.backfilled else None,
    ),
    Metric(
        "strangler_stream_backfill_rows_estimate",
        "gauge",
        "Rows that the backfill has to send, about.",
        lambda s: s.backfilled.estimate if s.backfilled else None,
    ),
)


def lines(using: str | None = None) -> list[str]:
    """Of every stream here, without line ends."""
    listed = sorted(status.streams(using=using), key=lambda stream: stream.name)
    made = [line for metric in METRICS for line in metric.lines(listed)]
    made += [
        "# HELP strangler_stream_lag_seconds Lag of the last minute's rounds, from the writing statement to the acknowledgement.",
        "# TYPE strangler_stream_lag_seconds gauge",
    ]
    for stream in listed:
        for quantile, lag in (("0.5", stream.lag_p50_ms), ("0.99", stream.lag_p99_ms)):
            if lag is not None:
                made.append(f'strangler_stream_lag_seconds{{{labels(stream)},quantile="{quantile}"}} {lag / 1000:.6g}')
    made += ["# HELP strangler_stream_state 1 for the state that the stream is in.", "# TYPE strangler_stream_state gauge"]
    for stream in listed:
        made += [f'strangler_stream_state{{{labels(stream)},state="{one}"}} {int(one == stream.state)}' for one in STATES]
    return made


def labels(stream: StreamStatus) -> str:
    return f'stream="{stream.name}",context="{stream.context}",kind="{stream.kind}"'
