"""Rate limits of routes: who asks, and whether there is a token left. Counted on this machine, or through Redis by all proxies.

A user is known by the credential as it was sent, hashed: not by what an unverified token says of itself, or anybody could use
up another's limit.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import ipaddress
import math
import time
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Met
from strangler.domain.ratelimit import Limit
from strangler.domain.table import RouteTable
from strangler_proxy.access_log import event
from strangler_proxy.bucket_memory import BucketMemory
from strangler_proxy.headers import SESSION_COOKIE
from strangler_proxy.metrics import Metrics
from strangler_proxy.problems import Problem
from strangler_proxy.request import Request
from strangler_proxy.visitor import cookie

if TYPE_CHECKING:
    from redis.asyncio import Redis


@functools.lru_cache(4096)
def _network(address: str) -> str:
    """IPv6 is handed out by networks of 64 bits: whoever has one has all of its addresses."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def who(request: Request, by: str, session: bytes = SESSION_COOKIE) -> str:
    """The name under which a request is counted; credentials are hashed in it. Without one ``user`` is the address."""
    fields = request.fields
    if by == "user":
        credential = fields.authorization or cookie(fields.cookie, session).encode("latin-1")
        if credential:
            return f"user:{hashlib.sha256(credential).hexdigest()[:32]}"
    return f"address:{_network(request.address)}"


class Limiter:
    """``redis`` is set by the control connection while it stands."""

    answer_within = 0.05

    def __init__(self, memory: BucketMemory, metrics: Metrics) -> None:
        self.redis: Redis | None = None
        self._memory, self._metrics = memory, metrics
        self._made: tuple[Redis, Any] | None = None
        self._windows: Any = None
        self._session = SESSION_COOKIE

    def applied(self, table: RouteTable) -> None:
        """Loads what shared limits need, once there are some."""
        self._session = table.site.session_cookie.encode()
        if table.shares_limits and self._windows is None:
            try:
                from strangler_proxy import shared_limits

                self._windows = shared_limits.Windows
            except ImportError as error:
                event("limits.unavailable", reason=error, hint="pip install 'django-strangler[proxy]'")

    def alone(self, met: Met, limit: Limit, request: Request) -> float:
        """Seconds to wait for a token of this machine's bucket; 0.0 says that the request may pass."""
        wait = self._memory.take(
            f"{met.rule} {who(request, limit.by, self._session)}".encode("utf-8", "replace"), limit, time.monotonic()
        )
        return self._counted(met, wait)

    async def together(self, met: Met, limit: Limit, request: Request) -> float:
        """The same, counted by all proxies. While Redis does not answer this machine counts for itself."""
        if self.redis is None or self._windows is None:
            self._metrics.limits_alone.add("no-redis")
            return self.alone(met, limit, request)
        try:
            if self._made is None or self._made[0] is not self.redis:
                self._made = (self.redis, self._windows(self.redis))
            async with asyncio.timeout(self.answer_within):
                wait = await self._made[1].take(str(met.rule), who(request, limit.by, self._session), limit)
        except Exception as error:  # whatever Redis, its client or the library raises
            self._metrics.limits_alone.add("timed-out" if isinstance(error, TimeoutError) else "failed")
            return self.alone(met, limit, request)
        return self._counted(met, wait)

    def _counted(self, met: Met, wait: float) -> float:
        self._metrics.limited.add(met.context.name if met.context else "-", "refused" if wait else "admitted")
        return wait


def refusal(limit: Limit, wait: float) -> Problem:
    """429, with the quota and when there is more (RFC 6585, 4; draft-ietf-httpapi-ratelimit-headers-10)."""
    seconds = max(1, math.ceil(wait))
    detail = (
        f"More than {limit.rate} requests in {limit.per_s} s from one {limit.by}; nothing was executed. Try again in {seconds} s."
    )
    lines = f'RateLimit-Policy: "{limit.by}";q={limit.rate};w={limit.per_s}\r\nRateLimit: "{limit.by}";r=0;t={seconds}\r\n'
    return Problem(429, "rate-limited", detail, seconds, lines)
