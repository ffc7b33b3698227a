"""The Redis connection of this process, with time limits short enough for a request's own thread."""

from __future__ import annotations

import functools

import redis

from strangler import conf


@functools.cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=0.05, socket_timeout=0.25)


def client() -> redis.Redis:
    return _client(str(conf.setting("REDIS_URL")))
