"""Who follows the route table, and reports in Redis: the proxies, which hold writes, and the Celery workers, which pause tasks.

A hash (id → JSON) is the state, a channel says that it changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import redis

from strangler import conf
from strangler.control.errors import NotConverged, RedisUnavailable
from strangler.domain.channels import ACKS, PROXIES, WORKERS

ALIVE_S = 5.0
FORGOTTEN_S = 3600.0  # after so long a silence a report is thrown away
FLOOR_S = 0.1  # how often the hash is read although no message came


@dataclass(frozen=True)
class Follower:
    """What one worker of a proxy, or one Celery worker, said last. ``held``: context → operation, and whether it is drained."""

    id: str
    at: float
    table: tuple[int, int]
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def parse(cls, raw: bytes | str) -> Follower | None:
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


class Followers:
    """A view of them that follows their acknowledgements. Subscribe (``open``) before you publish."""

    hash: ClassVar[str]
    acks: ClassVar[str]
    noun: ClassVar[str]

    def __init__(self, client: redis.Redis | None = None) -> None:
        self.client = client or connect()
        self._pubsub: Any = None
        self._known: dict[str, Follower] = {}

    def open(self) -> None:
        if self._pubsub is None:
            with reachable():
                pubsub = self.client.pubsub(ignore_subscribe_messages=True)
                pubsub.subscribe(self.acks)
                self._pubsub = pubsub

    def close(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
        self.client.close()

    def live(self) -> list[Follower]:
        """Those that reported themselves in the last five seconds."""
        with reachable():
            raw = self.client.hgetall(self.hash)
        self._known = {one.id: one for one in map(Follower.parse, raw.values()) if one}
        silent = [one.id for one in self._known.values() if one.at < time.time() - FORGOTTEN_S]
        if silent:
            with reachable():
                self.client.hdel(self.hash, *silent)
        return self._alive()

    def _alive(self) -> list[Follower]:
        oldest = time.time() - ALIVE_S
        return sorted((one for one in self._known.values() if one.at >= oldest), key=lambda one: one.id)

    def wait(self, done: Callable[[Follower], bool], *, timeout_s: float, what: str, least: int = 0) -> list[Follower]:
        """Until ``done`` holds for every live one and at least ``least`` are live. Raises ``NotConverged``, naming the late."""
        self.open()
        deadline = time.monotonic() + timeout_s
        while True:
            live = self.live()
            looked = time.monotonic()
            while True:
                late = [one for one in live if not done(one)]
                if not late and len(live) >= least:
                    return live
                now = time.monotonic()
                if now >= deadline:
                    raise NotConverged(self._late(what, late, live, timeout_s))
                if now - looked >= FLOOR_S:
                    break
                with reachable():
                    message = self._pubsub.get_message(timeout=min(FLOOR_S, deadline - now))
                said = Follower.parse(message["data"]) if message else None
                if said:
                    self._known[said.id] = said
                    live = self._alive()

    def _late(self, what: str, late: list[Follower], live: list[Follower], timeout_s: float) -> str:
        if not live:
            return f"none of the {self.noun} is left alive to acknowledge {what}"
        names = ", ".join(f"{one.id} (table {one.table[0]}.{one.table[1]}{one.error and ': '}{one.error})" for one in late)
        return f"{len(late)} of {len(live)} {self.noun} did not acknowledge {what} within {timeout_s * 1000:.0f} ms: {names}"


class Proxies(Followers):
    hash, acks, noun = PROXIES, ACKS, "proxies"


class Workers(Followers):
    hash, acks, noun = WORKERS, WORKERS, "workers"
