"""The live proxies, as they report themselves in Redis: what table each has, and whether it holds writes.

Hash ``strangler:proxies`` (proxy id → JSON) is the state, channel ``strangler:acks`` says that it changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from strangler import conf
from strangler.control.errors import NotConverged, RedisUnavailable

HASH, ACKS = "strangler:proxies", "strangler:acks"
ALIVE_S = 5.0
FLOOR_S = 0.1  # how often the hash is read although no message came


@dataclass(frozen=True)
class Proxy:
    """What one worker of a proxy said last."""

    id: str
    at: float
    table: tuple[int, int]
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def parse(cls, raw: bytes | str) -> Proxy | None:
        """None for rubbish: a report that can't be read proves nothing."""
        try:
            said = json.loads(raw)
            generation, version = said["table"] or (0, 0)  # null: it started a moment ago and has none yet
            held = said.get("held") or {}
            return cls(str(said["id"]), float(said["at"]), (int(generation), int(version)), held, str(said.get("error") or ""))
        except (ValueError, KeyError, TypeError):
            return None

    def drained(self, context: str, operation: str) -> bool:
        held = self.held.get(context) or {}
        return held.get("operation") == operation and bool(held.get("drained"))


def connect() -> redis.Redis:
    """A client with short time-outs: a dead Redis must be noticed while writes are parked."""
    return redis.Redis.from_url(conf.setting("REDIS_URL"), socket_connect_timeout=1, socket_timeout=2)


@contextmanager
def reachable() -> Iterator[None]:
    """Turns what redis-py raises into one sentence."""
    try:
        yield
    except redis.RedisError as error:
        where = str(conf.setting("REDIS_URL")).rpartition("@")[2]
        raise RedisUnavailable(f"Redis at {where} does not answer ({error}); start it, then repeat the command") from error


class Proxies:
    """A view of the proxies that follows their acknowledgements. Subscribe (``open``) before you publish."""

    def __init__(self, client: redis.Redis | None = None) -> None:
        self.client = client or connect()
        self._pubsub: Any = None
        self._known: dict[str, Proxy] = {}

    def open(self) -> None:
        if self._pubsub is None:
            with reachable():
                pubsub = self.client.pubsub(ignore_subscribe_messages=True)
                pubsub.subscribe(ACKS)
                self._pubsub = pubsub

    def close(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
        self.client.close()

    def live(self) -> list[Proxy]:
        """Those that reported themselves in the last five seconds."""
        with reachable():
            raw = self.client.hgetall(HASH)
        self._known = {proxy.id: proxy for proxy in map(Proxy.parse, raw.values()) if proxy}
        return self._alive()

    def _alive(self) -> list[Proxy]:
        oldest = time.time() - ALIVE_S
        return sorted((proxy for proxy in self._known.values() if proxy.at >= oldest), key=lambda proxy: proxy.id)

    def wait(self, done: Callable[[Proxy], bool], *, timeout_s: float, what: str, least: int = 0) -> list[Proxy]:
        """Until ``done`` holds for every live proxy and at least ``least`` are live. Raises ``NotConverged``, naming the late."""
        self.open()
        deadline = time.monotonic() + timeout_s
        while True:
            live = self.live()
            looked = time.monotonic()
            while True:
                late = [proxy for proxy in live if not done(proxy)]
                if not late and len(live) >= least:
                    return live
                now = time.monotonic()
                if now >= deadline:
                    raise NotConverged(_late(what, late, live, timeout_s))
                if now - looked >= FLOOR_S:
                    break
                with reachable():
                    message = self._pubsub.get_message(timeout=min(FLOOR_S, deadline - now))
                said = Proxy.parse(message["data"]) if message else None
                if said:
                    self._known[said.id] = said
                    live = self._alive()


def _late(what: str, late: list[Proxy], live: list[Proxy], timeout_s: float) -> str:
    if not live:
        return f"no live proxy is left to acknowledge {what}"
    names = ", ".join(
        f"{proxy.id} (table {proxy.table[0]}.{proxy.table[1]}{proxy.error and ': '}{proxy.error})" for proxy in late
    )
    return f"{len(late)} of {len(live)} proxies did not acknowledge {what} within {timeout_s * 1000:.0f} ms: {names}"
