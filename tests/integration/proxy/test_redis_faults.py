"""A Redis that dies, hangs, or holds rubbish: the proxy serves by the table it has, and finds its way back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.ports import Ports
from deploy.local.valkey import Valkey
from tests.integration.proxy.harness import PATIENCE, Application, Proxy, table, until
from tests.servers import state_directory

Start = Callable[..., Proxy]
TABLE, MARKERS, PROXIES = "strangler:table", "strangler:markers", "strangler:proxies"


class Line:
    """A Valkey of the test's own, and what the engine does with it."""

    def __init__(self) -> None:
        self.directory = state_directory()
        self.valkey = Valkey(self.directory, Ports.free().valkey)
        self.url = self.valkey.start()
        self.redis = redis.Redis.from_url(self.url)

    def publish(self, snapshot: dict[str, Any]) -> None:
        self.put(json.dumps(snapshot))

    def put(self, text: str | bytes) -> None:
        self.redis.set(TABLE, text)
        self.redis.publish(TABLE, "new")

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(report) for report in self.redis.hvals(PROXIES)]

    def version(self) -> int:
        """The newest version that a proxy acknowledged."""
        return max((report["table"][1] for report in self.reports() if report["table"]), default=0)

    def freeze(self, how: int) -> None:
        assert self.valkey.child is not None
        os.kill(self.valkey.child.pid, how)

    def close(self) -> None:
        self.redis.close()
        self.valkey.stop()
        self.valkey.discard()


@pytest.fixture
def line() -> Iterator[Line]:
    one = Line()
    yield one
    one.close()


@pytest.fixture
def proxy(line: Line, start: Start, monolith: Application, tmp_path: Path) -> Iterator[Proxy]:
    """Follows ``line`` from version 1 on, and keeps its table on disk."""
    line.publish(table(monolith))
    running = start(None, "--redis", line.url, "--table", str(tmp_path / "kept.json"))
    until(lambda: line.version() == 1, "the first table")
    yield running
    assert running.ask("GET", "/").body == b"monolith"
    assert "Traceback" not in running.log.read_text()


def follows(line: Line, proxy: Proxy, monolith: Application, version: int) -> None:
    """Publishes ``version`` and waits until the proxy has it."""
    line.publish(table(monolith, version=version))
    until(lambda: line.version() == version, f"table {version}")


def test_killed_and_started_again(line: Line, proxy: Proxy, monolith: Application) -> None:
    for version in (2, 3):
        line.valkey.kill()
        assert {proxy.ask("POST", "/api/payments/", b"x").status for _ in range(20)} == {200}, "while it is away"
        line.valkey.start()
        follows(line, proxy, monolith, version)


def test_empty_after_its_restart(line: Line, proxy: Proxy, monolith: Application) -> None:
    line.redis.flushall()
    until(line.reports, "the next heart-beat")
    assert line.version() == 1, "the proxy stays with the table it has"
    follows(line, proxy, monolith, 2)


def test_one_that_hangs(line: Line, proxy: Proxy, monolith: Application) -> None:
    """Also a user with a credential, whose position is looked up there, is served."""
    line.freeze(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert proxy.ask("GET", "/", Authorization="Bearer x").status == 200
        assert proxy.ask("POST", "/api/payments/", b"x", Authorization="Bearer x").status == 200
        assert time.monotonic() - began < PATIENCE
        until(lambda: "control.lost" in proxy.log.read_text(), "the proxy to notice")
    finally:
        line.freeze(signal.SIGCONT)
    follows(line, proxy, monolith, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", ""),
        (b"null", ""),
        (b'{"generation": 1, "version": 99}', ""),
        (b'{"generation": 1e999, "version": 99}', ""),
    ],
)
def test_rubbish_as_a_table_is_refused_with_the_reason(
    text: bytes, reason: str, line: Line, proxy: Proxy, monolith: Application
) -> None:
    line.put(text)
    report = until(lambda: next((one for one in line.reports() if one["error"]), None), "the refusal")
    assert reason in report["error"]
    assert report["table"] == [1, 1], "the old one stays"
    assert proxy.ask("GET", "/").status == 200
    follows(line, proxy, monolith, 2)
    assert [one["error"] for one in line.reports()] == [""]


def test_a_key_of_another_type(line: Line, proxy: Proxy, monolith: Application) -> None:
    line.redis.delete(TABLE)
    line.redis.rpush(TABLE, "what is this")
    line.redis.publish(TABLE, "new")
    until(lambda: "control.lost" in proxy.log.read_text(), "the proxy to notice")
    line.redis.delete(TABLE)
    follows(line, proxy, monolith, 2)


@pytest.mark.parametrize("message", [b"", b"no-number", b"stream x", b"\xff\xfe 1", "stream ²".encode(), b"s " + b"9" * 5000])
def test_rubbish_as_a_marker_is_read_over(message: bytes, line: Line, proxy: Proxy, monolith: Application) -> None:
    line.redis.publish(MARKERS, message)
    line.redis.hset(MARKERS, message or b"x", message)
    line.redis.publish(TABLE, message)
    follows(line, proxy, monolith, 2)
    assert line.redis.pubsub_numsub(MARKERS)[0][1] == 1, "the proxy still listens"


def test_a_table_of_5_mb(line: Line, proxy: Proxy, monolith: Application) -> None:
    """Whoever asks meanwhile is served; nobody waits longer than the table takes."""
    snapshot = table(monolith, version=2)
    route = {"access": "auto", "context": "payments"}
    snapshot["routes"] += [
        {"match": {"prefix": f"/section-{number}/of/the/shop/{'x' * 20}"}, **route} for number in range(45_000)
    ]
    text = json.dumps(snapshot)
    assert len(text) > 5_000_000
    line.put(text)
    while line.version() != 2:
        assert proxy.ask("GET", "/").status == 200
    assert proxy.ask("GET", f"/section-7/of/the/shop/{'x' * 20}/a").status == 200
    assert monolith.asked[-1].get("x-strangler-context") == "payments"


def test_a_thousand_versions_at_once(line: Line, proxy: Proxy, monolith: Application, tmp_path: Path) -> None:
    texts = [json.dumps(table(monolith, version=version)) for version in range(2, 1002)]
    served: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            served.append(proxy.ask("GET", "/").status)

    asking = threading.Thread(target=ask)
    asking.start()
    with line.redis.pipeline(transaction=False) as pipe:
        for text in texts:
            pipe.set(TABLE, text)
            pipe.publish(TABLE, "new")
        pipe.execute()
    until(lambda: line.version() == 1001, "the last table")
    done.set()
    asking.join(PATIENCE)
    assert set(served) == {200}
    until(lambda: json.loads((tmp_path / "kept.json").read_text())["version"] == 1001, "the last one on disk")


def test_a_disk_that_takes_no_table(line: Line, proxy: Proxy, monolith: Application, tmp_path: Path) -> None:
    """It is said in the log, and serving goes on; once there is room the next table is kept again."""
    until((tmp_path / "kept.json").exists, "the first table on disk")
    obstacle = tmp_path / f".kept.json.{proxy.process.pid}"
    obstacle.mkdir()
    follows(line, proxy, monolith, 2)
    until(lambda: "table.not_stored" in proxy.log.read_text(), "the word in the log")
    assert json.loads((tmp_path / "kept.json").read_text())["version"] == 1, "the old one is whole"
    obstacle.rmdir()
    follows(line, proxy, monolith, 3)
    until(lambda: json.loads((tmp_path / "kept.json").read_text())["version"] == 3, "the table on disk")


def test_started_while_it_is_away_it_serves_from_disk(line: Line, start: Start, monolith: Application) -> None:
    line.valkey.kill()
    restarted = start(table(monolith, version=5), "--redis", line.url)
    assert restarted.ask("GET", "/").body == b"monolith"
    line.valkey.start()
    line.redis.delete(TABLE)
    with contextlib.suppress(redis.RedisError):
        until(lambda: line.version() == 5, "its heart-beat")
    follows(line, restarted, monolith, 6)
