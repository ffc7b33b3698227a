"""The monolith's Celery workers as processes that a test may kill, on the test's database, and what stands in for their beat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from celery import current_app
from django.conf import settings
from django.db import connection
from kombu import Connection

from strangler.control.faultpoints import VARIABLE

TICK_S = 0.5
ROOT = Path(__file__).resolve().parents[3]


class Workers:
    """``faults`` is the directory in which ``<step>.stop`` stops them before a step of an operation."""

    def __init__(self, faults: Path, *, name: str = "ramp-tests") -> None:
        self.faults, self.name = faults, name
        self.broker = urlunsplit(urlsplit(settings.STRANGLER["REDIS_URL"])._replace(path="/7"))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ticked_at = 0.0
        self.beat = Connection(self.broker)

    def start(self, count: int = 1) -> None:
        command = [sys.executable, "-m", "celery", "-A", "monolith", "worker", "--pool", "threads", "--concurrency", "4"]
        options = ["--queues", "strangler", "--without-mingle", "--without-gossip", "--loglevel", "WARNING"]
        for _ in range(count):
            named = ["--hostname", f"{self.name}-{len(self.processes)}@%h"]
            with (self.faults / f"worker-{len(self.processes)}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen([*command, *options, *named], cwd=ROOT, env=self._environment(), stdout=log, stderr=log)
                )

    def tick(self) -> None:
        """As beat does each second, if somewhat faster; to be called as often as one likes."""
        if time.monotonic() - self.ticked_at > TICK_S:
            self.ticked_at = time.monotonic()
            current_app.send_task("strangler.tick", queue="strangler", expires=5, connection=self.beat)

    def kill(self, pid: int) -> None:
        """kill -9, which no handler and no ``finally`` hears of. Only a worker of ours."""
        (process,) = (process for process in self.processes if process.pid == pid)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(10)
        self.beat.release()

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.faults.glob("worker-*.log")))

    def _environment(self) -> dict[str, str]:
        of = connection.get_connection_params()
        login = f"{quote(of['user'])}:{quote(of['password'])}" if of.get("password") else quote(of["user"])
        return {
            **os.environ,
            "DATABASE_URL": f"postgres://{login}@{of['host']}:{of['port']}/{of['dbname']}",
            "CELERY_BROKER_URL": self.broker,
            "REDIS_URL": settings.STRANGLER["REDIS_URL"],
            "STRANGLER_ESTATE": settings.STRANGLER["ESTATE"],
            "STRANGLER_LOG_LEVEL": "INFO",
            VARIABLE: str(self.faults),
        }


@contextmanager
def workers(faults: Path) -> Iterator[Workers]:
    made = Workers(faults)
    try:
        yield made
    finally:
        made.stop()
