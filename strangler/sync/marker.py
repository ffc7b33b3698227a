"""Markers and positions: numbers from one sequence, which say what a destination has seen (P6, P23).

A position is the sequence's last value, read after a commit. A round draws its marker before it opens its snapshot. So a round
whose marker is greater than a position was opened after that commit and saw it; no order of commits is needed.
"""

from __future__ import annotations

import logging
from typing import cast

import redis

from strangler.domain.channels import MARKERS
from strangler.sync.broker import client
from strangler.sync.database import port
from strangler.sync.databases.port import MARKER

log = logging.getLogger("strangler.sync")

RAISE = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if tonumber(ARGV[2]) > held then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PUBLISH', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
  return 1
end
return 0
"""


def draw(using: str | None = None) -> int:
    """A new marker, greater than every one before. Draw it outside of the snapshot that it is to stand for."""
    return port(using).draw(MARKER, lazily=True)


def position(using: str | None = None) -> int:
    """The position ``C`` of all that was committed before this call."""
    return port(using).position(MARKER)


def publish(stream: str, marker: int) -> None:
    """Tell the proxies; never lowers what is published. Redis being away delays freshness, it does not fail the round."""
    try:
        client().eval(RAISE, 2, MARKERS, MARKERS, stream, marker)
    except redis.RedisError as error:
        log.warning("marker.unpublished stream=%s marker=%d error=%s", stream, marker, error)


def published() -> dict[str, int]:
    """Stream → marker as the proxies see it. Raises ``redis.RedisError``."""
    return {name.decode(): int(raw) for name, raw in cast(dict[bytes, bytes], client().hgetall(MARKERS)).items()}


def forget(stream: str) -> None:
    """Before a stream starts: what was published for an earlier life of it says nothing about this one."""
    try:
        client().hdel(MARKERS, stream)
    except redis.RedisError as error:
        log.warning("marker.unforgotten stream=%s error=%s", stream, error)
