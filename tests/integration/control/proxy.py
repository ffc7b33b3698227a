"""A proxy as the control plane sees one: it takes tables from Redis and acknowledges them, and holds writes when told."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import redis

KEY = CHANNEL = "strangler:table"
HASH, ACKS = "strangler:proxies", "strangler:acks"


class FakeProxy:
    """Use as a context manager. ``deaf``: it lives, but takes no new table; ``busy``: an older write stays in flight."""

    def __init__(self, url: str, name: str = "proxy:1", *, deaf: bool = False, busy: bool = False) -> None:
        self.client = redis.Redis.from_url(url)
        self.name, self.deaf, self.busy = name, deaf, busy
        self.tables: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._pubsub = self.client.pubsub(ignore_subscribe_messages=True)

    def __enter__(self) -> FakeProxy:
        self._pubsub.subscribe(CHANNEL)
        self._take()
        self._report()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self.client.hdel(HASH, self.name)
        self._pubsub.close()
        self.client.close()

    @property
    def table(self) -> dict[str, Any]:
        return self.tables[-1] if self.tables else {"generation": 0, "version": 0, "contexts": {}}

    def wait_for(self, version: int, timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while self.table["version"] < version:
            assert time.monotonic() < deadline, f"table {version} did not arrive"
            time.sleep(0.01)

    def _run(self) -> None:
        reported = time.monotonic()
        while not self._stop.is_set():
            if self._pubsub.get_message(timeout=0.05) or time.monotonic() - reported > 0.5:
                self._take()
                self._report()
                reported = time.monotonic()

    def _take(self) -> None:
        raw = self.client.get(KEY)
        if not raw or self.deaf:
            return
        offered = json.loads(raw)
        number = (offered["generation"], offered["version"])
        if number > (self.table["generation"], self.table["version"]):
            self.tables.append(offered)

    def _report(self) -> None:
        held = {
            name: {"operation": context["hold"]["operation"], "drained": not self.busy, "parked": 0}
            for name, context in self.table["contexts"].items()
            if context["hold"]
        }
        said = {
            "id": self.name,
            "at": time.time(),
            "table": [self.table["generation"], self.table["version"]],
            "held": held,
            "inflight_writes": {},
            "error": "",
        }
        text = json.dumps(said)
        self.client.hset(HASH, self.name, text)
        self.client.publish(ACKS, text)
