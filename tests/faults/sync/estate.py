"""What runs: two PostgreSQL servers that keep what they acknowledge, Valkey, a service of two processes, two Celery workers and
the clock. Workers and service reach everything by ways that can be cut (``network``); writers stand beside the source.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy.local.child import Child, Process
from deploy.local.errors import CannotStart
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import Postgres
from deploy.local.readiness import Answers, Says
from deploy.local.register import Register
from deploy.local.valkey import Valkey
from tests.faults.sync.network import Network

ROOT = Path(__file__).resolve().parents[3]
TOML = ROOT / "tests" / "integration" / "sync" / "strangler.toml"
APPLICATION = "tests.faults.sync.application"
CELERY = ("-W", "ignore", "-m", "celery", "--no-color", "-A", APPLICATION)
WORKERS = ("worker-a", "worker-b")
SERVERS = ("source", "destination", "valkey")
WATCH_S = 0.3


class Estate:
    """A context manager. ``died``: who ended although nobody had killed it, and how often; it was started again."""

    def __init__(self, without: str = "") -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="strangler-tests-"))
        self.directory.chmod(0o711)
        self.without, self.died, self.urls = without, Counter[str](), dict[str, str]()
        self.children: dict[str, Child] = {}
        self.network = Network()
        self.hands: dict[str, threading.Lock] = {}
        self._register = Register(self.directory)
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    # ---- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Estate:
        self._register.open()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join()
        self.network.clear()
        for child in reversed(self.children.values()):
            child.kill()  # nothing here is kept
        self.network.stop()
        self._register.close()
        for server in self.postgres.values() if hasattr(self, "postgres") else ():
            server.discard()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        """The servers; the rest by ``deploy``, when the databases have their tables."""
        ports = Ports.free()
        self.postgres = {
            "source": Postgres(self.directory / "source", ports.postgres),
            "destination": Postgres(self.directory / "destination", ports.monolith),
        }
        self.valkey = Valkey(self.directory, ports.valkey)
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(server.start) for server in (*self.postgres.values(), self.valkey)]:
                done.result()
        for name, server in self.postgres.items():
            self.urls[name] = server.ensure_database(name)
            assert server.child
            self._add(name, server.child)
        assert self.valkey.child
        self._add("valkey", self.valkey.child)
        self.urls["valkey"] = self.valkey.url()
        self.network.start()
        targets = {
            "source": ports.postgres,
            "destination": ports.monolith,
            "valkey": ports.valkey,
            "service": ports.payments,
        }
        for name, port in targets.items():
            self.network.link(name, port)
            self.hands[f"way to {name}"] = threading.Lock()
        self.service_port = ports.payments
        self.toml = self.directory / "strangler.toml"
        self.toml.write_text(TOML.read_text().replace("127.0.0.1:9", f"{HOST}:{self.network.links['service'].port}"))

    def deploy(self) -> None:
        """Service, workers and clock, until all are ready."""
        service = self._program("service", "destination", self._gunicorn(), Answers(f"http://{HOST}:{self.service_port}/livez"))
        pools = {"worker-a": ("prefork", "2"), "worker-b": ("threads", "2")}
        programs = [service]
        for name, (pool, processes) in pools.items():
            words = (
                "worker",
                "--pool",
                pool,
                "--concurrency",
                processes,
                "--queues",
                "strangler",
                "--hostname",
                f"{name}@%h",
                "--loglevel",
                "INFO",
            )
            programs.append(
                self._program(name, "source", (*CELERY, *words, "--without-gossip", "--without-mingle"), Says("ready."))
            )
        beat = (*CELERY, "beat", "--schedule", str(self.directory / "beat"), "--pidfile", "")
        programs.append(self._program("beat", "source", beat, Says("is starting.")))
        with ThreadPoolExecutor(len(programs)) as starting:
            for child in programs:
                child.start()
                self._add(child.name, child)
            for done in [starting.submit(child.wait_ready) for child in programs]:
                done.result()
        self._register.note(list(self.children.values()))
        self._watch.start()

    def _add(self, name: str, child: Child) -> None:
        self.children[name] = child
        self.hands[name] = threading.Lock()

    def _gunicorn(self) -> tuple[str, ...]:
        threads = ("--workers", "2", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "75", "--timeout", "60")
        where = ("--bind", f"{HOST}:{self.service_port}", "--log-level", "error", "--no-control-socket")
        return ("-m", "gunicorn", *threads, *where, f"{APPLICATION}:application")

    def _program(self, name: str, database: str, words: tuple[str, ...], ready: Callable[[Child], bool]) -> Child:
        env = {
            **self.environment(),
            "DATABASE_URL": self.by_way(database),
            "REDIS_URL": self.by_way("valkey"),
            "CELERY_BROKER_URL": self.by_way("valkey"),  # Celery believes the environment, not the settings
            "SYNC_SIDE": "service" if name == "service" else "monolith",
            "SYNC_CONTEXT": "bank" if name == "service" else "",
            "FAULTS_DATABASE": "default",
            "PYTHONUNBUFFERED": "1",  # beat prints that it starts, and a file is told of it when a buffer is full
        }
        argv = (sys.executable, *words)
        return Child(Process(name=name, argv=argv, env=env, ready=ready, cwd=ROOT), self.directory / "log")

    def environment(self) -> dict[str, str]:
        """What every process of the run has, this one too."""
        own = {"FAULTS_ESTATE": str(self.toml), "FAULTS_WITHOUT": self.without, "PYTHONPATH": str(ROOT)}
        return {**os.environ, **own, "DJANGO_SETTINGS_MODULE": "tests.faults.sync.settings"}

    def by_way(self, name: str) -> str:
        """The server's URL through the network that can be cut."""
        direct = {**{n: s.port for n, s in self.postgres.items()}, "valkey": self.valkey.port}[name]
        return self.urls[name].replace(f":{direct}", f":{self.network.links[name].port}")

    # ---- for faults ---------------------------------------------------------------------------------------------------

    @contextmanager
    def in_hand(self, name: str) -> Iterator[None]:
        """Nobody else touches it meanwhile: a process, or ``way to NAME``."""
        with self.hands[name]:
            yield

    def kill(self, name: str) -> None:
        """kill -9, with all its children. Only with the process in hand; ``start`` before you let it go."""
        self.children[name].kill()

    def start(self, name: str) -> None:
        """Start it, and for a server wait until it answers: it may have a crash to recover from."""
        if name in self.postgres:
            self.postgres[name].prepare()
        elif name == "valkey":
            self.valkey.prepare()
        child = self.children[name]
        child.kill()  # what a dead leader left behind
        child.start()
        if name in SERVERS:
            child.wait_ready()

    def processes(self, name: str) -> list[psutil.Process]:
        """The leader's children, by process id."""
        try:
            return sorted(psutil.Process(self.children[name].pid).children(), key=lambda process: process.pid)
        except psutil.NoSuchProcess:
            return []

    def _supervise(self) -> None:
        """As every real estate has it: who ends by itself is started again."""
        while not self._ended.wait(WATCH_S):
            for name, child in self.children.items():
                if child.running or not self.hands[name].acquire(blocking=False):
                    continue
                try:
                    if not child.running:
                        self.died[f"{name} {child.ending()}"] += 1
                        self.start(name)
                except CannotStart:
                    continue  # tried again in a moment
                finally:
                    self.hands[name].release()

    def wait_until(self, condition: Callable[[], bool], patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True
