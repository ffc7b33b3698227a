"""What the traffic was told: each request's outcome, and each write that was acknowledged."""

from __future__ import annotations

import statistics
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass
class StageFigures:
    """Requests of one stage; latencies in milliseconds."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    payment_writes: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return len(self.latencies) + self.failed

    def percentile(self, share: float) -> float:
        if len(self.latencies) < 2:
            return self.latencies[0] if self.latencies else 0.0
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[round(share * 100) - 1]


@dataclass
class Acknowledged:
    """A payment as its user last saw it acknowledged."""

    id: str
    order: str
    key: str
    amount: Decimal
    state: str


@dataclass(frozen=True)
class Failure:
    stage: str
    request: str
    reason: str


class Journal:
    """Written by the traffic's event loop, read by the display and the proof."""

    def __init__(self) -> None:
        self.stage = "monolith"
        self.figures: defaultdict[str, StageFigures] = defaultdict(StageFigures)
        self.kinds: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.stale_reads: list[Failure] = []
        self.checked_reads = 0
        self.payments: dict[str, Acknowledged] = {}
        self.orders: dict[str, str] = {}
        self._lock = threading.Lock()

    def enter(self, stage: str) -> None:
        with self._lock:
            self.stage = stage

    def answered(self, kind: str, milliseconds: float, *, payment_write: bool) -> None:
        with self._lock:
            self.kinds[kind] += 1
            figures = self.figures[self.stage]
            figures.latencies.append(milliseconds)
            figures.payment_writes += payment_write

    def failed(self, request: str, reason: str) -> None:
        with self._lock:
            self.figures[self.stage].failed += 1
            self.failures.append(Failure(self.stage, request, reason))

    def read_after_write(self, request: str, *, seen: bool, expected: str) -> None:
        """A user looked at what they had just written."""
        with self._lock:
            self.checked_reads += 1
            if not seen:
                self.stale_reads.append(Failure(self.stage, request, expected))

    def acknowledged(self, payment: Acknowledged) -> None:
        with self._lock:
            self.payments[payment.id] = payment

    @property
    def requests(self) -> int:
        return sum(figures.requests for figures in self.figures.values())
