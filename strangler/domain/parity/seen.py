"""What the parallel run of a context has shown so far, for gates and status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParitySeen:
    """Since the window began. ``rate``, ``low`` and ``high``: the share of equal samples and its 95 % interval, noise-adjusted.

    ``samples`` were judged, and ``differing`` of them differ in more than noise; ``unjudged`` were taken and could not be (no
    answer, no room, a row that did not arrive in time); ``in_flight`` differed only until the watermark had passed, and count as
    neither. ``different``: how many fields of endpoints differ beyond noise, and the worst of them. Latency in milliseconds until
    an answer's head, None where nothing was measured.
    """

    context: str
    samples: int = 0
    differing: int = 0
    unjudged: int = 0
    in_flight: int = 0
    rate: float = 0.0
    low: float = 0.0
    high: float = 1.0
    samples_per_s: float = 0.0
    worst_endpoint: str = ""
    worst_field: str = ""
    different: int = 0
    noise_samples: int = 0
    old_errors: int = 0
    new_errors: int = 0
    old_p50_ms: float | None = None
    old_p95_ms: float | None = None
    new_p50_ms: float | None = None
    new_p95_ms: float | None = None

    @property
    def worst(self) -> str:
        """Such as "`GET /api/payments/<int:id>/` field `body $.captured_at`"; empty if nothing differs."""
        return f"`{self.worst_endpoint}` field `{self.worst_field}`" if self.worst_endpoint else ""
