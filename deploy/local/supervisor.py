"""The estate as one thing: start everything in order of readiness, watch it, stop it in reverse. Behind `make up`, the demo
and the tests of whole estates.
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Literal, Self

from deploy.local import account
from deploy.local.child import Child, Process
from deploy.local.errors import CannotStart
from deploy.local.keyring import write_private
from deploy.local.logs import Follower
from deploy.local.place import ROOT, Place, environment, settings
from deploy.local.ports import Ports, ensure_free
from deploy.local.postgres import Postgres
from deploy.local.processes import applications, waves
from deploy.local.register import Register
from deploy.local.restarts import Restarts
from deploy.local.setup import ensure_answers, set_up
from deploy.local.valkey import Valkey

STATE_DIR = Path(os.environ.get("STRANGLER_STATE_DIR") or ROOT / ".run")
WATCH_INTERVAL = 0.2
GRACE_S = {"applications": 3.0, "servers": 2.5}  # proxy, applications, servers: three waves, 10 s in all at the most


class Estate:
    """PostgreSQL, Valkey, the monolith, its workers, the payments service and the proxy, as processes.

    ``with Estate(state_dir=…, ports="free", quiet=True) as estate:`` gives an estate of its own beside a running `make up`;
    its data stay in ``state_dir`` until ``discard``. ``given`` are the user's own URLs and secrets. Raises ``CannotStart``.
    """

    def __init__(
        self,
        *,
        state_dir: Path = STATE_DIR,
        ports: Ports | Literal["free"] | None = None,
        quiet: bool = False,
        given: Mapping[str, str] | None = None,
        scale: int = 1,
    ) -> None:
        free = Ports.free() if ports == "free" else ports
        self.place = Place(Path(state_dir).absolute(), free or Ports(), given or {})
        self.children: dict[str, Child] = {}
        self._order: list[list[str]] = []
        self._given_up = Event()
        self._scale = scale
        self._quiet = quiet
        self._follower = Follower()
        self._register = Register(self.place.state_dir)
        self._postgres = Postgres(self.place.state_dir, self.place.ports.postgres)
        self._valkey = Valkey(self.place.state_dir, self.place.ports.valkey)

    # ---- what others ask ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The way in: the proxy."""
        return self.place.url

    @property
    def log_dir(self) -> Path:
        return self.place.state_dir / "log"

    def env(self, unit: str) -> dict[str, str]:
        """The environment of ``monolith`` or ``payments``, for commands that act on this estate."""
        return environment(self.place, unit, os.environ)

    def database_url(self, unit: str) -> str:
        return self.place.database_url(unit)

    def redis_url(self, database: int = 0) -> str:
        return self.place.redis_url(database)

    def pid(self, name: str) -> int:
        return self._child(name).pid

    def running(self, name: str) -> bool:
        return self._child(name).running

    # ---- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """All of it, until everything is ready. What was started is stopped again when something fails."""
        self.place.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._register.open()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Everything, in reverse order, within 10 s; no process is left. Doing it twice is harmless."""
        for names in reversed(self._order):
            grace = GRACE_S["servers" if {"postgres", "valkey"} & set(names) else "applications"]
            self._together(names, functools.partial(Child.stop, timeout=grace))
        (self.place.state_dir / "estate.env").unlink(missing_ok=True)
        self._register.close()
        self._follower.stop()

    def kill(self, name: str) -> None:
        """``kill -9``. It stays dead until ``restart``."""
        self._child(name).kill()

    def restart(self, name: str) -> None:
        """Stop it if it runs, start it and wait until it is ready."""
        child = self._child(name)
        child.stop()
        self._start_again(name)
        child.wait_ready()

    def discard(self) -> None:
        """Remove the stopped estate's data and logs."""
        clear(self.place.state_dir)

    def supervise(self, stopped: Event) -> None:
        """Until ``stopped``: say who died, with the last lines, and start it again with growing pauses."""
        restarts = Restarts()
        while not stopped.wait(WATCH_INTERVAL):
            now = time.monotonic()
            for name, child in self.children.items():
                if not child.running and not restarts.waiting(name):
                    wait = restarts.died(name, now)
                    self.say(f"✗ {name} (pid {child.pid}) {child.ending()}; starting it again in {wait:g} s. Its last lines:")
                    for line in child.last_lines(6):
                        self.say(f"    {line}")
            for name in restarts.due(now):
                try:
                    self._start_again(name)
                    restarts.started(name, now)
                except CannotStart as error:
                    self.say(f"✗ {error}; next try in {restarts.died(name, now):g} s")

    def say(self, text: str) -> None:
        if not self._quiet:
            self._follower.say(text)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        rows = applications(self.place, os.environ)
        for row in rows:
            if row.port:
                ensure_free(row.port, row.name)
        ensure_free(self.place.ports.operator, "operator")
        ensure_answers(self.place)
        self._start_wave(self._servers(), follow=False)
        if self.place.embeds_postgres:
            for name in ("shop", "payments"):
                self._postgres.ensure_database(name)
        set_up(self.place, scale=self._scale, say=self.say)
        if not self._quiet:
            self._follower.start()
        for wave in waves(rows):
            self._start_wave(wave)
        self._leave_address()

    def _servers(self) -> list[Process]:
        servers = []
        if self.place.embeds_postgres:
            servers.append(self._postgres.prepare())
        if self.place.embeds_valkey:
            servers.append(self._valkey.prepare())
        return servers

    def _start_wave(self, wave: list[Process], *, follow: bool = True) -> None:
        self._order.append([process.name for process in wave])
        for process in wave:
            child = self.children[process.name] = Child(process, self.log_dir)
            if follow:
                self._follower.watch(process.name, child.log_path)
            child.start()
        self._register.note(list(self.children.values()))
        self._together([process.name for process in wave], self._await)

    def _await(self, child: Child) -> None:
        child.wait_ready(cancelled=self._given_up)
        at = f" on port {child.process.port}" if child.process.port else ""
        self.say(f"✓ {child.name} is ready{at} ({child.age:.1f} s)")

    def _start_again(self, name: str) -> None:
        preparing: dict[str, Callable[[], Process]] = {"postgres": self._postgres.prepare, "valkey": self._valkey.prepare}
        if name in preparing:
            preparing[name]()
        child = self._child(name)
        child.kill()  # what a dead leader left behind
        child.start()
        self._register.note(list(self.children.values()))

    def _together(self, names: list[str], act: Callable[[Child], None]) -> None:
        """``act`` on all at once. The first failure, or Ctrl-C, ends the waiting for the others."""
        children = [self.children[name] for name in names if name in self.children]
        with ThreadPoolExecutor(max(1, len(children))) as pool:
            acts = [pool.submit(act, child) for child in children]
            try:
                for each in as_completed(acts):
                    each.result()
            except BaseException:
                self._given_up.set()
                raise

    def _leave_address(self) -> None:
        """For commands in another terminal: the settings read this file where ``DATABASE_URL`` is not set."""
        lines = [f"{name}={value}\n" for name, value in sorted(settings(self.place, "monolith").items())]
        lines.append(f"PAYMENTS_DATABASE_URL={self.place.database_url('payments')}\n")
        lines.append(f"SHOP_URL={self.place.url}\n")
        write_private(self.place.state_dir / "estate.env", "".join(lines))

    def _child(self, name: str) -> Child:
        try:
            return self.children[name]
        except KeyError:
            raise LookupError(f"{name} is no process of this estate; it has {', '.join(self.children)}") from None


def clear(state_dir: Path) -> None:
    """Begin anew: end what a killed estate left running in ``state_dir`` and remove it. Raises ``CannotStart`` while one runs."""
    if not state_dir.exists():
        return
    register = Register(state_dir)
    register.open()
    account.discard(state_dir)
    register.close()
    shutil.rmtree(state_dir, ignore_errors=True)
