"""A monolith and a service in miniature behind the real proxy, whose samples go through a real Valkey to the engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from tests.integration.proxy.harness import PATIENCE, TOKEN, Application, Asked, Proxy, raw, read_answer, response, running, until

if TYPE_CHECKING:
    from strangler.control.parity.seen import Measured

TOML = """
[estate]
monolith = ["{monolith}"]

[contexts.payments]
apps = ["monolith.payments"]
routes = [{{ prefix = "/api/payments" }}]
service = {{ urls = ["{service}"], identity = false }}
shadow = {{ share = 1.0, noise = {noise} }}
{rules}
"""
WATERMARK_S = 0.5

Answering = Callable[[Asked], bytes]


def as_json(value: object, status: int = 200) -> bytes:
    return response(status, json.dumps(value).encode(), [("Content-Type", "application/json")])


class Shadowed:
    """Two sides in stage shadow. ``position``, ``waiting`` and ``arrived``: what the monolith says (``/_strangler/flight``)."""

    def __init__(self, directory: Path, url: str, proxy: Proxy, monolith: Application, service: Application) -> None:
        self.directory, self.url, self.proxy, self.monolith, self.service = directory, url, proxy, monolith, service
        self.redis = redis.Redis.from_url(url)
        self.monolith.handler = self._monolith
        self.marker = 10
        self.begin()

    def begin(self) -> None:
        """For the next test: nothing was asked, nothing waits. The proxy's report stays: a new table is to be above its own."""
        self.redis.delete("strangler:parity", "strangler:parity:bytes")
        for application in (self.monolith, self.service):
            application.asked.clear()
        self.old: Answering = lambda asked: as_json({})
        self.service.handler = lambda asked: as_json({})
        self.position, self.waiting = self.marker, False
        self.mark()

    def _monolith(self, asked: Asked) -> bytes:
        if asked.target.startswith("/_strangler/flight"):
            markers = {} if self.waiting else {"payments": self.arrived}
            return as_json({"markers": markers, "waiting": self.waiting, "position": self.position})
        return self.old(asked)

    def declare(self, settings, rules: str = "", noise: float = 0.0) -> None:
        """Writes ``strangler.toml``, publishes, and waits until the proxy has it; and the markers, which came before it."""
        from strangler.control import publish
        from strangler.control.models import Migration

        file = self.directory / "strangler.toml"
        urls = {"monolith": self.monolith.url, "service": self.service.url}
        file.write_text(TOML.format(**urls, rules=rules, noise=noise))
        settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(file), "REDIS_URL": self.url, "TOKEN": TOKEN}
        Migration.objects.update_or_create(context="payments", defaults={"stage": "shadow", "salt": "s"})
        table = publish.publish_current()
        wanted = [table.generation, table.version]
        until(lambda: json.loads(self.proxy.operators("/readyz")[1]).get("table") == wanted, f"table {wanted}")

    def unsettle(self) -> None:
        """A pointer waits on the monolith."""
        self.position, self.waiting = self.marker, True

    def mark(self) -> None:
        """A round ends that saw all that the monolith has."""
        self.marker = self.arrived = max(self.marker, self.position) + 1
        self.redis.hset("strangler:markers", "payments", self.marker)
        self.redis.publish("strangler:markers", f"payments {self.marker}")

    def questioned(self) -> None:
        """Until the proxy has asked whether anything is in flight."""
        until(lambda: any("flight" in asked.target for asked in self.monolith.asked), "the question")

    def ask(self, *paths: str, **headers: str) -> None:
        """On one connection, each after the answer to the one before it."""
        with self.proxy.connect() as one, one.makefile("rb") as reader:
            for path in paths:
                one.sendall(raw("GET", path, **headers))
                assert read_answer(reader).status < 500

    def counted(self, count: int) -> dict[str, Measured]:
        """Drains until so many samples, whatever became of them, have been counted; by endpoint."""
        from strangler.control.parity import drain, seen

        def enough() -> dict[str, Measured] | None:
            drain.drain()
            found = seen.measured("payments")
            told = sum(one.samples + one.in_flight + sum(one.unjudged.values()) for one in found.values())
            assert told <= count, f"{told} samples were counted, of {count} that were taken"
            return found if told == count else None

        deadline = time.monotonic() + PATIENCE + count / 50
        while (found := enough()) is None:
            assert time.monotonic() < deadline, f"{count} samples were not counted in time"
        return found


@pytest.fixture(scope="module")
def _sides(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shadowed]:
    """No longer than a module: every test of the session is on the same Redis."""
    directory = tmp_path_factory.mktemp("parity")
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    with running(directory, "--redis", valkey_url, ready=False, limits={"shadow-watermark": WATERMARK_S}) as proxy:
        made = Shadowed(directory, valkey_url, proxy, Application("monolith"), Application("service"))
        with closing(made.redis):
            yield made
            made.redis.flushdb()
        made.monolith.stop()
        made.service.stop()


@pytest.fixture
def shadowed(transactional_db, _sides: Shadowed, settings) -> Shadowed:
    _sides.begin()
    _sides.declare(settings)
    return _sides
