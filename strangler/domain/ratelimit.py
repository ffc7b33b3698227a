"""Rate limits: what a route declares, and the token bucket that keeps to it (ITU-T I.371; RFC 2697 has the same for networks).

A bucket holds up to ``burst`` tokens and gains ``rate / per_s`` of them each second; a request takes one, or is refused. So
within any t seconds no more than ``burst + t * rate / per_s`` pass. The clock is an argument, in seconds, of whatever origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

BY = ("user", "address")
UNITS = {"s": 1, "m": 60, "h": 3600}
MOST = 1_000_000
_RATE = re.compile(r"([1-9]\d{0,6})/([smh])", re.ASCII)
_WHOLE = 1.0 - 1e-9
"""What counts as one token: gained in many small steps it may be a little less, in floating point."""


@dataclass(frozen=True)
class Limit:
    """``rate`` requests in ``per_s`` seconds, ``burst`` of them at once; for each ``user`` or ``address``. ``shared``: counted
    by all proxies together, through Redis.
    """

    rate: int
    per_s: int
    burst: int
    by: str = "user"
    shared: bool = False

    @property
    def per_second(self) -> float:
        return self.rate / self.per_s

    def __str__(self) -> str:
        unit = {seconds: name for name, seconds in UNITS.items()}.get(self.per_s, f"{self.per_s}s")
        burst = f", {self.burst} at once" if self.burst != self.rate else ""
        return f"{self.rate}/{unit} for each {self.by}{burst}{', shared' if self.shared else ''}"

    def to_json(self) -> dict[str, Any]:
        return {"rate": self.rate, "per_s": self.per_s, "burst": self.burst, "by": self.by, "shared": self.shared}


def rate(text: str) -> tuple[int, int]:
    """``"100/m"`` → (100, 60): how many, in how many seconds. Raises ``ValueError`` naming the form it takes."""
    match = _RATE.fullmatch(text)
    if not match or int(match[1]) > MOST:
        raise ValueError(f"{text!r} is not a rate such as 10/s, 100/m or 1000/h")
    return int(match[1]), UNITS[match[2]]


class Bucket(NamedTuple):
    """What was left of it, and when that was."""

    tokens: float
    at: float


def take(bucket: Bucket | None, limit: Limit, now: float) -> tuple[Bucket, float]:
    """Asks for one token. Gives the bucket as it is then, and how many seconds to wait: 0.0 says that the request may pass.

    None is a full bucket. A clock that went back adds nothing and takes nothing away. A bucket that was kept under another
    limit goes on under this one.
    """
    tokens = float(limit.burst)
    if bucket is not None:
        tokens = min(tokens, bucket.tokens + max(0.0, now - bucket.at) * limit.per_second)
    if tokens >= _WHOLE:
        return Bucket(max(0.0, tokens - 1.0), now), 0.0
    return Bucket(tokens, now), (1.0 - tokens) / limit.per_second
