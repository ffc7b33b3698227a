"""What users declare of their estate (DESIGN section 7). ``estate_file`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from strangler.domain.parity.rules import Rule
from strangler.domain.ratelimit import Limit
from strangler.domain.schedule import Schedule

Access = Literal["auto", "read", "write"]


@dataclass(frozen=True)
class Route:
    """One rule: exactly one of ``path`` (literal), ``pattern`` (``/a/{id}/b``), ``prefix`` (on segment borders)."""

    path: str = ""
    pattern: str = ""
    prefix: str = ""
    access: Access = "auto"
    methods: tuple[str, ...] = ()
    limit: Limit | None = None
    csrf: bool = False
    """The edge looks for forgeries, for a service that does not."""


@dataclass(frozen=True)
class ReadCopy:
    """A table of another context that the service needs; ``columns`` empty means all."""

    label: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gates:
    """Thresholds. Lag and pause in milliseconds, ages and windows in seconds, shares from 0 to 1.

    A least number of 0 lets a gate pass where nothing was seen: for an estate without users, such as a toy.
    """

    parity: float = 0.999
    min_samples: int = 500
    parity_window_s: float = 86_400.0
    max_error_increase: float = 0.005
    latency_ratio: float = 1.5
    latency_slack_ms: float = 50.0
    min_requests: int = 200
    window_s: float = 600.0
    lag_p99_ms: float = 500.0
    max_pause_ms: float = 500.0
    max_drift_age_s: float = 300.0
    max_task_wait_s: float = 30.0
    writers_days: float = 7.0
    """So long nobody outside may have written the context's tables past its seam; 0: this is not asked."""
    retire_days: float = 14.0
    """So long nothing may have used the monolith's part of it; 0: this is not asked."""
    rehearsal_days: float = 0.0
    """So old the last clean ``strangler rehearse`` may be at a cut-over; 0: it is not asked, nor shown."""


@dataclass(frozen=True)
class Budget:
    """What a stream may leave waiting in an outbox before it is given up, so that the database that writes goes on (P4).

    For each stream of the context, on the side that notes. Age in seconds, of the oldest change.
    """

    max_rows: int = 1_000_000
    max_bytes: int = 1_000_000_000
    max_age_s: float = 86_400.0


@dataclass(frozen=True)
class Ramp:
    """The declared canary shares in percent, rising, and the seconds for which each must hold before the next one.

    ``on_fail``: back to the last share that held, or freeze at this one. After ``max_backs`` steps taken back it freezes.
    """

    steps: tuple[int, ...] = (1, 5, 25, 50, 100)
    interval_s: float = 600.0
    on_fail: str = "back"
    max_backs: int = 3
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Context:
    name: str
    apps: tuple[str, ...]
    contract: tuple[str, ...] = ()
    """Modules that are its face; empty: ``contract`` of each of its apps."""
    routes: tuple[Route, ...] = ()
    also_written_by: tuple[str, ...] = ()
    read_copies: tuple[ReadCopy, ...] = ()
    not_mirrored: tuple[str, ...] = ()
    """Models without rows of their own to carry, such as those of views."""
    service_urls: tuple[str, ...] = ()
    transport: str = "http"
    """How changes get to the service; all that is asked and answered is HTTP in any case."""
    sticky: str = "user"
    identity: bool = True
    """The service is told who asks; one that reads the monolith's sessions itself need not be."""
    health: str = ""
    shadow_share: float = 0.1
    shadow_noise: float = 0.1
    """Of the samples, the share that asks the owner twice: from these noise is learned."""
    parity: tuple[Rule, ...] = ()
    """What of a comparison is let be, or read as the same value; each with reason and author."""
    receivers: Mapping[str, str] = field(default_factory=dict)
    gates: Gates = Gates()
    ramp: Ramp = Ramp()
    outbox: Budget = Budget()

    @property
    def mirror_stream(self) -> str:
        return self.name

    @property
    def copies_stream(self) -> str:
        return f"{self.name}-copies"

    @property
    def reverse_stream(self) -> str:
        return f"{self.name}-reverse"


@dataclass(frozen=True)
class Estate:
    monolith_urls: tuple[str, ...] = ("http://127.0.0.1:8001",)
    service_token_env: str = "STRANGLER_SERVICE_TOKEN"
    health: str = ""
    """The monolith's health page, for the proxy's active checks; as ``Context.health`` for a service."""
    contexts: Mapping[str, Context] = field(default_factory=dict)
    tests: bool = False
    """Whether the analysis reads modules of tests too: what they know of other contexts costs no cut."""
    packages: tuple[str, ...] = ()
    """Installed packages that the analysis takes for the project's own, such as one that was taken over and lives on here."""
    loaders: Mapping[str, str] = field(default_factory=dict)
    """Functions of the project that import a module by its name, their first argument → the package below which; "" for none."""
