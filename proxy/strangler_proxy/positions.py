"""Where each user wrote last (P23): in a cookie, and for clients that send a credential also in Redis under its hash.

In Redis a sorted set ``strangler:position:<hash>``: member ``database.epoch``, score the place; ``ZADD GT`` merges atomically.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Access, Met
from strangler.domain.freshness import NOWHERE, Positions, from_cookie, from_header, merge, to_cookie
from strangler.domain.stages import Side, Stage
from strangler.domain.table import RouteTable
from strangler_proxy.headers import POSITION_COOKIE
from strangler_proxy.metrics import Metrics
from strangler_proxy.request import Request
from strangler_proxy.visitor import cookie

if TYPE_CHECKING:
    from redis.asyncio import Redis

TTL = 60
_RECENT = 10_000
UNKNOWN: Positions = {Side.MONOLITH.value: (0, 10**18)}
"""Somebody whose last write can't be looked up: no canary service is fresh for them."""


def credential(request: Request) -> str:
    """The name under which a credential's positions are kept; nothing for a request without one."""
    return hashlib.sha256(request.fields.authorization).hexdigest()[:32] if request.fields.authorization else ""


def in_cookie(request: Request) -> Positions:
    return from_cookie(cookie(request.fields.cookie, POSITION_COOKIE)) if POSITION_COOKIE in request.fields.cookie else NOWHERE


def set_cookie(positions: Positions) -> bytes:
    value = to_cookie(positions).encode()
    return b"Set-Cookie: %b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax\r\n" % (POSITION_COOKIE, value, TTL)


class CredentialPositions:
    """Positions of credentials. ``redis`` is set by the control connection while it stands."""

    answer_within = 0.05

    def __init__(self, metrics: Metrics) -> None:
        self.redis: Redis | None = None
        self._metrics = metrics
        self._recent: OrderedDict[str, tuple[float, Positions]] = OrderedDict()

    def matter(self, table: RouteTable, met: Met) -> bool:
        """Whether a position could change what happens to a request of a client with a credential."""
        context = met.context
        if context is not None and context.stage is Stage.CANARY and met.access is Access.READ:
            return True
        if context is not None and context.stage.owner is Side.SERVICE:
            return context.streams.copies is not None
        return any(other.stage is Stage.LIVE for other in table.contexts.values())

    async def of(self, name: str) -> Positions:
        """What is known of a credential: here, and on every other worker through Redis. ``UNKNOWN`` if Redis does not answer."""
        here = self._here(name)
        if self.redis is None:
            return merge(UNKNOWN, here)
        try:
            async with asyncio.timeout(self.answer_within):
                stored: Any = await self.redis.zrange(f"strangler:position:{name}", 0, -1, withscores=True)
        except Exception:
            self._metrics.positions.add("unknown")
            return merge(UNKNOWN, here)
        entries = ",".join(f"{member.decode().replace('.', ':')}:{int(score)}" for member, score in stored)
        return merge(here, from_header(entries)) if entries else here

    async def record(self, name: str, positions: Positions) -> None:
        """Keeps positions before the answer leaves, so that the client's next request finds them on any worker."""
        self.remember(name, positions)
        if self.redis is None:
            self._metrics.positions.add("local-only")
            return
        key = f"strangler:position:{name}"
        scores = {f"{database}.{epoch}": place for database, (epoch, place) in positions.items()}
        try:
            async with asyncio.timeout(self.answer_within):
                pipe = self.redis.pipeline(transaction=False)
                pipe.zadd(key, scores, gt=True)
                pipe.expire(key, TTL)
                await pipe.execute()
            self._metrics.positions.add("stored")
        except Exception:
            self._metrics.positions.add("local-only")

    def remember(self, name: str, positions: Positions) -> None:
        now = asyncio.get_running_loop().time()
        self._recent[name] = (now, merge(self._here(name), positions))
        self._recent.move_to_end(name)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _here(self, name: str) -> Positions:
        at, positions = self._recent.get(name, (0.0, NOWHERE))
        return positions if asyncio.get_running_loop().time() - at < TTL else NOWHERE
