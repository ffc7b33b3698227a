"""The processes of a soak: Valkey, two applications, the proxy with its workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import redis

from deploy.local.ports import Ports
from deploy.local.valkey import Valkey
from strangler.domain.channels import PROXIES

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("monolith", "service")
PATIENCE = 30.0
FIRST_BYTE = 10
"""Seconds; so long a hold is not drained after a worker died in the middle of a write."""


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)
    return value


class Estate:
    """Use as a context manager. ``host``: every listener is on 127.0.0.1."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.directory = Path(tempfile.mkdtemp(prefix="strangler-soak-"))
        self.directory.chmod(0o711)
        ports = Ports.free()
        self.port, self.operator = ports.proxy, ports.operator
        self.sides = {"monolith": ports.monolith, "service": ports.payments}
        self.valkey = Valkey(self.directory / "valkey", ports.valkey)
        self.log = self.directory / "proxy.log"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Estate:
        try:
            url = self.valkey.start()
            self.redis = redis.Redis.from_url(url)
            for side in SIDES:
                self.start_application(side)
            self._start_proxy(url)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.valkey.stop()
        self.valkey.discard()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- applications ----------------------------------------------------------------------------------------------------

    def url(self, side: str) -> str:
        return f"http://127.0.0.1:{self.sides[side]}"

    def start_application(self, side: str) -> None:
        words = ("tests.soak.application", side, str(self.sides[side]), str(self.directory))
        self._running[side] = self._start(side, *words)
        until(lambda: self._answers(f"{self.url(side)}/"), f"the start of {side}")

    def kill_application(self, side: str) -> None:
        self._running[side].kill()
        self._running[side].wait()

    def own(self, side: str, owned: dict[str, Any]) -> None:
        """Tells a side who the owner is."""
        request = urllib.request.Request(f"{self.url(side)}/_strangler/ownership", json.dumps(owned).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            answer.read()

    def executed(self) -> list[dict[str, Any]]:
        """All that both sides wrote."""
        files = (self.directory / f"{side}.writes.jsonl" for side in SIDES)
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    # -- the proxy -------------------------------------------------------------------------------------------------------

    def _start_proxy(self, url: str) -> None:
        listeners = ("--listen", f"127.0.0.1:{self.port}", "--operator", f"127.0.0.1:{self.operator}")
        table = ("--redis", url, "--table", str(self.directory / "table.json"), "--limit", f"first_byte={FIRST_BYTE}")
        self._running["proxy"] = self._start("proxy", "strangler_proxy", *listeners, *table, "--workers", str(self.workers))
        until(lambda: len(self.pids()) == self.workers, "the start of the workers")

    def pids(self) -> dict[int, int]:
        """By worker number its process."""
        names = [name.decode().split(":") for name in self.redis.hkeys(PROXIES)]
        return {int(number): int(pid) for _, pid, number, _ in names if psutil.pid_exists(int(pid))}

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.operator}{path}", timeout=PATIENCE) as answer:
            return answer.read()

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        found = []
        for line in self.ask("/metrics").decode().splitlines():
            if not line.startswith("#"):
                words, _, value = line.rpartition(" ")
                name, _, labels = words.partition("{")
                pairs = (pair.partition("=") for pair in labels.rstrip("}").split(",") if pair)
                found.append((name.removeprefix("strangler_proxy_"), {k: v.strip('"') for k, _, v in pairs}, float(value)))
        return found

    def metric(self, name: str, **wanted: str) -> float:
        return sum(
            value for found, labels, value in self.metrics() if found == name and all(labels[k] == v for k, v in wanted.items())
        )

    def stop_proxy(self) -> int:
        """SIGTERM; gives the exit code."""
        process = self._running["proxy"]
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    # -- processes -------------------------------------------------------------------------------------------------------

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        kept = {key: value for key, value in os.environ.items() if key not in ("REDIS_URL", "PROXY_PORT", "OPERATOR_PORT")}
        env = {
            **kept,
            "STRANGLER_SERVICE_TOKEN": "for-the-soak-only-0123456789",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proxy'}",
        }
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", *words], env=env, stdout=log, stderr=subprocess.STDOUT)

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
