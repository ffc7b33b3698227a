"""One process of the estate: how it is described, started, watched and ended.

A child writes straight into its log file, so that it lives on undisturbed when whoever started it is killed. It leads a
session of its own: ending it ends its children too, and Ctrl-C in the terminal reaches only the supervisor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import psutil

from deploy.local.account import Account
from deploy.local.errors import CannotStart
from deploy.local.readiness import Readiness

LOG_LIMIT = 10_000_000
POLL = 0.05


@dataclass(frozen=True)
class Process:
    """A row of the table of processes. ``needs`` names those that must be ready before; ``queues`` is for workers; ``unit`` is
    the code that it runs; ``health`` a command that ends with 0 while it does its work, for whoever watches it later on.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    ready: Readiness
    what: str = ""
    unit: str = ""
    needs: tuple[str, ...] = ()
    port: int | None = None
    queues: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    start_timeout: float = 60.0


class Child:
    """A ``Process`` that runs, or ran. ``start`` may be called again after it ended."""

    def __init__(self, process: Process, log_dir: Path) -> None:
        self.process = process
        self.log_path = log_dir / f"{process.name}.log"
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._started = 0.0

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def pid(self) -> int:
        """The leader's process id. Raises ``LookupError`` before the first start."""
        if self._popen is None:
            raise LookupError(f"{self.name} was not started")
        return self._popen.pid

    @property
    def age(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Raises ``CannotStart`` when the program is missing."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        too_long = self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT
        with self.log_path.open("wb" if too_long else "ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            self._started = time.monotonic()
            try:
                self._popen = subprocess.Popen(  # type: ignore[call-overload]
                    self.process.argv,
                    env=dict(self.process.env),
                    cwd=self.process.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **(self.process.account.popen() if self.process.account else {}),
                )
            except OSError as error:
                raise CannotStart(f"{self.name} can't be started: {error}; run `make up` again after mending that") from error

    def wait_ready(self, timeout: float | None = None, cancelled: Event | None = None) -> None:
        """Return when the process is ready. Raises ``CannotStart``, with its last lines, when it ends or takes too long, and
        at once when ``cancelled`` is set.
        """
        given_up = cancelled or Event()
        limit = self.process.start_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        while not self.process.ready(self):
            if not self.running:
                raise CannotStart(f"{self.name} {self.ending()} before it was ready{self._said()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"{self.name} was not ready after {limit:.0f} s{self._said()}")
            if given_up.wait(POLL):
                raise CannotStart(f"{self.name} was not waited for any longer")

    def is_ready(self) -> bool:
        return self.running and self.process.ready(self)

    def ask_to_stop(self) -> None:
        if self.running:
            self._signal(self.process.stop_signal)

    def stop(self, timeout: float = 5.0) -> None:
        """Ask it to end, wait, then kill what is left of its session. Doing it twice is harmless."""
        if self._popen is None:
            return
        self.ask_to_stop()
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """``kill -9`` for the process and all its session, and wait until they are gone."""
        if self._popen is None:
            return
        members = session(self._popen.pid)
        for member in members:
            kill(member)
        self._popen.wait()
        wait_gone(members, timeout=5)

    def ending(self) -> str:
        """How it ended, in words."""
        code = self._popen.poll() if self._popen else None
        if code is None:
            return "is running"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    def log_since_start(self) -> str:
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_lines(self, count: int = 12) -> list[str]:
        return self.log_since_start().splitlines()[-count:]

    def _said(self) -> str:
        lines = self.last_lines()
        return ". Its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else " and said nothing"

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass


def session(leader: int) -> list[psutil.Process]:
    """All living processes of the session that ``leader`` leads, itself included, and its descendants in other sessions."""
    members = {}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                members[process.pid] = process
        except (ProcessLookupError, PermissionError):
            continue
    try:
        for process in psutil.Process(leader).children(recursive=True):
            members[process.pid] = process
    except psutil.NoSuchProcess:
        pass
    return list(members.values())


def wait_gone(processes: list[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until they have ended, whether or not somebody has collected them yet; gives those that have not."""
    deadline = time.monotonic() + timeout
    while (alive := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil compares the start time first: never another process with the same id
    except psutil.NoSuchProcess:
        pass
