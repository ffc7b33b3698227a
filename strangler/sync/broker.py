"""The Redis connection of this process, with time limits short enough for a request's own thread."""

from __future__ import annotations

import functools

import redis

from strangler import conf


@functools.cache
def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=0.05, socket_timeout=timeout_s)


def client() -> redis.Redis:
    return _client(str(conf.setting("REDIS_URL")), 0.25)


def long_client(timeout_s: float) -> redis.Redis:
    """For a worker that waits for something to come: answers may take ``timeout_s`` seconds."""
    return _client(str(conf.setting("REDIS_URL")), timeout_s)
