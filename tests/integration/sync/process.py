"""A service process that tests may kill and start again at the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from deploy.local.child import Child, Process
from deploy.local.readiness import Says
from strangler.errors import ServiceUnavailable
from strangler.sync import mail
from strangler.sync.client import ServiceClient
from strangler.sync.courier import Courier
from strangler.sync.relay import Destination
from tests.integration.sync.estate import CONTEXT, DESTINATION, wait_for
from tests.integration.sync.servers import url

ROOT = Path(__file__).resolve().parents[3]


def environment(alias: str = DESTINATION, **more: str) -> dict[str, str]:
    """Of a process on the service's side, if ``more`` does not say otherwise."""
    return {
        **os.environ,
        "DATABASE_URL": url(alias),
        "REDIS_URL": settings.STRANGLER["REDIS_URL"],
        "SYNC_SIDE": "service",
        "SYNC_CONTEXT": CONTEXT,
        "PYTHONPATH": str(ROOT),
        **more,
    }


class Service:
    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def client(self) -> ServiceClient:
        return ServiceClient(CONTEXT, url=self.url)

    def destination(self) -> Destination:
        """How a relay's batches get there."""
        return self.client()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "tests.integration.sync.service:application",
            "--bind",
            f"127.0.0.1:{self.port}",
        ]
        command += ["--worker-class", "gthread", "--threads", "6", "--keep-alive", "75", "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)
        wait_for(self.is_ready, "the service", 30)

    def is_ready(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "the service process ended"
        try:
            self.client().ready()
        except ServiceUnavailable:
            return False
        return True

    def kill(self) -> None:
        """kill -9, all of it."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None


class Worker:
    """The service's worker: one slot, on the queue ``strangler.bank`` of ``broker``."""

    def __init__(self, broker: str, log_dir: Path) -> None:
        argv = (sys.executable, "-m", "celery", "-A", "tests.integration.sync.worker", "--quiet", "worker", "--pool", "solo")
        argv += (
            "--hostname",
            "bank@%h",
            "--queues",
            mail.queue_of(CONTEXT),
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "INFO",
        )
        env = environment(CELERY_BROKER_URL=broker)
        self.child = Child(Process(name="bank-worker", argv=argv, env=env, cwd=ROOT, ready=Says(" ready.")), log_dir)

    def start(self) -> None:
        if not self.child.running:
            self.child.start()
            self.child.wait_ready()

    def kill(self) -> None:
        self.child.kill()


class Mailed(Service):
    """A service whose changes come to its worker by Celery; what is asked and answered is HTTP."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker

    def destination(self) -> Destination:
        return Courier(CONTEXT)

    def start(self) -> None:
        self.worker.start()
        super().start()

    def kill(self) -> None:
        """Its worker too."""
        self.worker.kill()
        super().kill()
