"""A service process that tests may kill and start again at the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.db import connections

from strangler.errors import ServiceUnavailable
from strangler.sync.client import ServiceClient
from tests.integration.sync.estate import CONTEXT, DESTINATION, wait_for

ROOT = Path(__file__).resolve().parents[3]


class Service:
    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def client(self) -> ServiceClient:
        return ServiceClient(CONTEXT, url=self.url)

    def start(self) -> None:
        given = connections[DESTINATION].settings_dict
        address = f"{given['HOST']}:{given['PORT']}/{given['NAME']}"
        environment = {
            **os.environ,
            "DATABASE_URL": f"postgres://{given['USER']}:{given['PASSWORD']}@{address}",
            "REDIS_URL": settings.STRANGLER["REDIS_URL"],
            "SYNC_SIDE": "service",
            "SYNC_CONTEXT": CONTEXT,
            "PYTHONPATH": str(ROOT),
        }
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "tests.integration.sync.service:application",
            "--bind",
            f"127.0.0.1:{self.port}",
        ]
        command += ["--worker-class", "gthread", "--threads", "6", "--keep-alive", "75", "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
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
