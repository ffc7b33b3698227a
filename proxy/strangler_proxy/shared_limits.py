"""Limits that all proxies count together: the sliding window of the ``limits`` library, in Redis.

A window of ``burst`` requests in the time that so many take at the declared rate admits as many at once, and as many in the long
run, as the bucket does. It is in whole seconds.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from strangler.domain.ratelimit import Limit

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "strangler:limit"


def window(limit: Limit) -> tuple[int, int]:
    """How many requests, in how many seconds."""
    seconds = max(1, math.ceil(limit.burst / limit.per_second - 1e-9))
    return max(1, math.floor(seconds * limit.per_second + 1e-9)), seconds


class Windows:
    """Over the connections of a client that somebody else opens and closes."""

    def __init__(self, redis: Redis) -> None:
        pool: Any = redis.connection_pool  # which the library takes as it is, though it does not say so
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=PREFIX, connection_pool=pool)
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def take(self, rule: str, whose: str, limit: Limit) -> float:
        """Seconds to wait, 0.0 if the request may pass. Raises what Redis raises."""
        most, seconds = window(limit)
        item = RateLimitItemPerSecond(most, seconds, namespace=rule)
        if await self._limiter.hit(item, whose):
            return 0.0
        stats = await self._limiter.get_window_stats(item, whose)
        return min(float(seconds), max(1.0, stats.reset_time - time.time()))
