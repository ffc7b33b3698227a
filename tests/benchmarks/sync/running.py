"""What the sync benchmark runs: PostgreSQL with a database a side, Valkey, one Celery worker, the service under gunicorn.

Started as the estate starts them (``deploy.local``). The process that measures has Django set up on the source's side, with the
destination as a second alias.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from deploy.local import processes
from deploy.local.child import Child, Process
from deploy.local.place import Place
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.readiness import Answers, Says
from deploy.local.valkey import Valkey
from tests.benchmarks.sync.sessions import Sessions

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "tests.benchmarks.ledger"
CONTEXT = STREAM = "ledger"
TABLE = "ledger_entry"
ESTATE = """\
[estate]
service_token_env = "LEDGER_TOKEN"

[contexts.ledger]
apps = ["tests.benchmarks.ledger"]
routes = [{{ prefix = "/api/ledger" }}]
service = {{ urls = ["http://127.0.0.1:{port}"] }}
"""


class Server(Postgres):
    """PostgreSQL as the estate has it, durable; and it keeps the time of each commit, by which lag is measured."""

    def prepare(self) -> Process:
        made = super().prepare()
        return replace(made, argv=(*made.argv, "-c", "track_commit_timestamp=on"))

    def superuser(self) -> psycopg.Connection:
        return self._connect()


@dataclass
class Running:
    """The two databases, and the process of each kind."""

    source: str
    destination: str
    server: Server
    valkey: Valkey
    worker: Child
    service: Child
    sessions: Sessions
    env: dict[str, str]

    def connect(self, url: str, name: str = "bench") -> psycopg.Connection:
        return psycopg.connect(url, autocommit=True, application_name=name)

    def clean(self) -> None:
        """Nothing in either ledger, nothing under way, the stream off."""
        from strangler.sync import streams

        streams.stop(STREAM)
        self._wait_for_worker()
        for url in (self.source, self.destination):
            with self.connect(url) as connection, connection.transaction():
                connection.execute(
                    "SELECT set_config('strangler.origin', %s, true), set_config('session_replication_role', 'replica', true)",
                    [STREAM],
                )
                connection.execute(f"TRUNCATE {TABLE}, strangler_outbox, strangler_applied, strangler_round, strangler_backfill")
                connection.execute("DELETE FROM strangler_quarantine")

    def _wait_for_worker(self) -> None:
        """Until no task is under way: one that is would go on writing into what is being emptied."""
        from tests.benchmarks.ledger import celery_app

        until = time.monotonic() + 60
        while any((celery_app.control.inspect(timeout=5, limit=1).active() or {"nobody": True}).values()):
            if time.monotonic() > until:
                raise RuntimeError("the worker does not come to rest")
            time.sleep(0.05)

    def start_stream(self) -> None:
        from strangler.sync import streams, wake

        streams.start(STREAM)
        wake.wake(STREAM)


@contextmanager
def running() -> Iterator[Running]:
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    directory.chmod(0o711)
    ports = Ports.free()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = Server(directory / "postgres", ports.postgres)
        stack.callback(server.discard)
        server.start()
        stack.callback(server.stop)
        valkey = Valkey(directory / "valkey", ports.valkey)
        stack.callback(valkey.discard)
        valkey.start()
        stack.callback(valkey.stop)
        source, destination = server.ensure_database("source"), server.ensure_database("destination")
        (directory / "strangler.toml").write_text(ESTATE.format(port=ports.payments))
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
            "DATABASE_URL": source,
            "REDIS_URL": valkey.url(0),
            "CELERY_BROKER_URL": valkey.url(1),
            "LEDGER_ESTATE": str(directory / "strangler.toml"),
            "PYTHONPATH": str(ROOT),
        }
        set_up(env | {"DESTINATION_URL": destination})
        place = Place(directory, ports)
        service = _started(stack, _service(place, env | {"DATABASE_URL": destination}), directory)
        worker = _started(stack, _worker(place, env), directory)
        sessions = Sessions(server.superuser())
        sessions.start()
        stack.callback(sessions.end)
        yield Running(source, destination, server, valkey, worker, service, sessions, env)


def set_up(env: dict[str, str]) -> None:
    """Django in this process, and the ledger's and the product's tables on both sides, installed."""
    import django
    from django.core.management import call_command
    from django.db import connections

    os.environ.update(env)
    django.setup()
    from strangler.sync import install
    from tests.benchmarks.ledger.models import Entry
    from tests.benchmarks.sync.bare.models import Bare

    for alias in ("default", "destination"):
        call_command("migrate", "strangler", database=alias, verbosity=0)
        with connections[alias].schema_editor() as editor:
            editor.create_model(Entry)
            editor.create_model(Bare)
    install.install(CONTEXT)
    install.install_replica(CONTEXT, using="destination")


def _started(stack: ExitStack, process: Process, directory: Path) -> Child:
    child = Child(process, directory / "log")
    child.start()
    stack.callback(child.stop)
    child.wait_ready()
    return child


def _service(place: Place, env: dict[str, str]) -> Process:
    return Process(
        name="service",
        argv=processes.gunicorn(place, PROJECT, place.ports.payments, workers=2),
        env=env | {"LEDGER_SIDE": "service", "LEDGER_CONTEXT": CONTEXT},
        cwd=ROOT,
        ready=Answers(f"http://127.0.0.1:{place.ports.payments}/_strangler/readyz"),
    )


def _worker(place: Place, env: dict[str, str]) -> Process:
    return Process(
        name="worker",
        argv=processes.worker(place.python, PROJECT, queues=("strangler",), threads=6),
        env=env,
        cwd=ROOT,
        ready=Says(" ready."),
    )


def python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]
