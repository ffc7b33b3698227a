"""Ours and its peers behind one face: how each writes by the ORM, how its carriers are started, and where its rows arrive."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.child import Child, Process
from deploy.local.readiness import Holds
from tests.benchmarks import peers
from tests.benchmarks.sync.broker import Broker
from tests.benchmarks.sync.running import ROOT, TABLE, Running

VENV = ROOT / "build" / "mirrors"
LOCK = ROOT / "tests" / "benchmarks" / "sync" / "requirements.lock"
WRITE = "tests.benchmarks.sync.mirrors.write"
CALLBACK = "tests.benchmarks.sync.mirrors.outbox.callback.apply"


@dataclass
class Carrier:
    """``commands`` are run in ``env`` with the databases' URLs; ``table`` is where rows arrive in ``destination``."""

    name: str
    app: str
    python: Path
    source: str
    destination: str
    table: str
    env: dict[str, str]
    published: tuple[str, ...] = ()  # run at the source, beside whoever writes
    consumed: tuple[str, ...] = ()  # run at the destination
    log: Path = field(default_factory=Path)
    starts_cold: bool = True

    def write(self, *words: object) -> str:
        """What the writer printed. Raises ``CalledProcessError`` with what it said."""
        argv = [str(self.python), "-m", WRITE, self.app, *map(str, words)]
        return subprocess.run(argv, env=self._at(self.source), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout

    def compare(self, rows: int, bulk: int) -> dict[str, float]:
        return json.loads(self.write("compare", rows, bulk))

    def pile(self, rows: int) -> int:
        """Writes what is to be drained; how many rows that are."""
        self.write("create", rows, "transfer")
        return rows

    def migrate(self) -> None:
        for url in (self.source, self.destination):
            argv = [str(self.python), "-m", "django", "migrate", "--run-syncdb", "-v0"]
            subprocess.run(argv, env=self._at(url), cwd=ROOT, check=True)

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Its carriers run."""
        with ExitStack() as stack:
            for side, words in ((self.source, self.published), (self.destination, self.consumed)):
                if words:
                    process = Process(
                        name=f"{self.app}-{words[0]}",
                        argv=(str(self.python), "-m", "django", *words),
                        env=self._at(side),
                        cwd=ROOT,
                        ready=Holds(lambda: True),
                    )
                    child = Child(process, self.log)
                    child.start()
                    stack.callback(child.stop)
            yield

    def said(self) -> str:
        """The last words of its carriers."""
        return "\n".join(log.read_text()[-1500:] for log in sorted(self.log.glob(f"{self.app}-*.log")))

    def _at(self, url: str) -> dict[str, str]:
        return self.env | {"DATABASE_URL": url}


class Ours(Carrier):
    """The worker and the service are there all the time; the stream is started and stopped."""

    def __init__(self, running: Running) -> None:
        self.running = running
        super().__init__("ours", "ledger", Path(sys.executable), running.source, running.destination, TABLE, running.env)
        self.starts_cold = False

    def pile(self, rows: int) -> int:
        """Ten times as many, or it would be over at once."""
        self.write("bulk_create", rows * 10, "transfer")
        return rows * 10

    @contextmanager
    def carried(self) -> Iterator[None]:
        from strangler.sync import streams

        self.running.start_stream()
        try:
            yield
        finally:
            streams.stop("ledger")


def mirrors(running: Running, broker: Broker, log: Path) -> list[Carrier]:
    """django-cqrs and django-outbox-pattern, each with two databases of its own. Needs its environment (``install``)."""
    shared = {
        key: running.env[key] for key in ("PATH", "HOME", "LANG", "LC_ALL") if key in running.env
    } | {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.sync.mirrors.settings",
        "RABBITMQ_URL": broker.url.rstrip("/"),
        "STOMP_PORT": str(broker.stomp_port),
    }  # fmt: skip
    made = []
    for name, app, published, consumed in (
        ("django-cqrs", "cqrs", (), ("cqrs_consume", "-w", "2")),
        ("django-outbox-pattern", "outbox", ("publish",), ("subscribe", CALLBACK, "/topic/ledger", "ledger")),
    ):
        urls = [running.server.ensure_database(f"{app}_{side}") for side in ("source", "destination")]
        env = shared | {"MIRROR": app}
        made.append(Carrier(name, app, VENV / "bin" / "python", *urls, f"{app}_copy", env, published, consumed, log))
        made[-1].migrate()
    return made


def install() -> None:
    peers.install(VENV, LOCK)
