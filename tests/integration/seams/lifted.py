"""The lifted service as a real process with a database of its own, for the tests that need one; handlers of ``wild`` included."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests

from strangler import conf
from strangler.seams import http
from strangler.sync import install, ownership, relay, streams
from strangler.sync.client import ServiceClient

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "extracted" / "payments-django"


@dataclass
class Service:
    """``extracted/payments-django`` under gunicorn, on a free port, and its database."""

    port: int
    database_url: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(HERE / "manage.py"), *words]
        return subprocess.run(command, env={**self.environment, **environment}, capture_output=True, text=True, check=False)

    def start(self) -> None:
        options = ["--worker-class", "gthread", "--threads", "8", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        command = [sys.executable, "-m", "gunicorn", *options, "payments_service.wsgi:application"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=HERE, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: self.process.poll() is not None or self.answers(), "the service answers")
        assert self.process.poll() is None, self.log.read_text()

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/livez", timeout=1).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """SIGKILL for master and worker: nothing is finished, nothing is told."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)

    def empty(self) -> None:
        """No rows of an earlier test, whose ids come again."""
        mirrored = "payments_payment, payments_refund, payments_idempotencykey, orders_order, users_user"
        with self.connect() as connection:
            connection.execute("SET strangler.origin = 'test'")  # as the apply does, so that the fence lets it through
            connection.execute(f"TRUNCATE {mirrored} CASCADE")
            connection.execute("TRUNCATE strangler_applied, strangler_outbox")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(sql).fetchall()  # type: ignore[call-overload, no-any-return]


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def running(database_url: str, directory: Path, settings: str = "tests.integration.seams.wild.settings") -> Iterator[Service]:
    """Migrated, installed and running."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    declared = (ROOT / "strangler.toml").read_text()
    estate = directory / "strangler.toml"
    estate.write_text(declared.replace("http://127.0.0.1:8105", f"http://127.0.0.1:{port}"))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PAYMENTS_DATABASE_URL"},
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": settings,
        "STRANGLER_ESTATE": str(estate),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    service = Service(port, database_url, environment, directory / "service.log")
    try:
        for words in (("migrate", "--verbosity", "0"), ("replica_install",)):
            done = service.manage(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        service.start()
        yield service
    finally:
        service.kill()


@contextmanager
def beside_the_monolith(lifted: Service, settings: Any) -> Iterator[Service]:
    """The monolith is this process; its streams to the service are live."""
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": lifted.environment["STRANGLER_ESTATE"]}
    conf.load.cache_clear()
    http._breakers.clear()
    install.install("payments")
    for stream in ("payments", "payments-copies"):
        streams.start(stream)
    if lifted.process is None:
        lifted.start()
    lifted.empty()
    owned_by_monolith()
    yield lifted
    if lifted.process is None:
        lifted.start()
    owned_by_monolith()
    install.uninstall("payments")
    conf.load.cache_clear()


def next_epoch() -> int:
    return max(ownership.get("payments").epoch, int(ServiceClient("payments").ownership()["epoch"])) + 1


def owned_by_monolith() -> None:
    """Both sides say so, at one epoch."""
    row = {"epoch": next_epoch(), "owner": "monolith", "operation": "between tests"}
    ServiceClient("payments").put_ownership(**row)
    ownership.change("payments", **row)


def move(service: Service) -> None:
    """The cut-over's writes of ownership, in the order of the protocol."""
    epoch = next_epoch()
    ownership.change("payments", epoch=epoch, owner="none", operation="test")
    relay.run("payments")
    ServiceClient("payments").put_ownership(epoch=epoch, owner="none", operation="test")
    ownership.change("payments", epoch=epoch, owner="service", operation="test")
    ServiceClient("payments").put_ownership(epoch=epoch, owner="service", operation="test")
    assert service.rows("SELECT owner FROM strangler_ownership") == [("service",)]
