"""How often one address may try."""

from __future__ import annotations

import logging
from typing import Any

from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle

log = logging.getLogger(__name__)


class Throttle(ScopedRateThrottle):
    """Counts in the cache. One that is away keeps nobody from logging in."""

    def allow_request(self, request: Request, view: Any) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except (OSError, RedisError) as error:
            log.warning("users.throttle_away", extra={"error": str(error)})
            return True
