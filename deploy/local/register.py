"""Who runs an estate in a state directory: a lock against a second one, and the note by which leftovers of a crash are found."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import psutil

from deploy.local.child import Child, kill, session, wait_gone
from deploy.local.errors import CannotStart


class Register:
    """Held from ``open`` to ``close``; the lock goes with the process, also after `kill -9`."""

    def __init__(self, state_dir: Path) -> None:
        self._lock_path = state_dir / "lock"
        self._note = state_dir / "processes.json"
        self._lock: int | None = None

    def open(self) -> None:
        """Raises ``CannotStart`` when another supervisor holds it; ends what an earlier one left running when it was killed."""
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode().strip()
            os.close(descriptor)
            raise CannotStart(
                f"the estate already runs here (pid {holder}); use that one, or stop it with `kill {holder}`"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor
        self._end_leftovers()

    def note(self, children: list[Child]) -> None:
        """Remember who runs now."""
        noted = []
        for child in children:
            try:
                noted.append([child.pid, psutil.Process(child.pid).create_time()])
            except (LookupError, psutil.NoSuchProcess):
                continue
        partial = self._note.with_suffix(".partial")
        partial.write_text(json.dumps(noted))
        partial.replace(self._note)

    def close(self) -> None:
        self._note.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _end_leftovers(self) -> None:
        """Asked first, so that the servers shut down in good order; killed when they don't."""
        leftovers: list[psutil.Process] = []
        for pid, created in json.loads(self._note.read_text()) if self._note.exists() else []:
            try:
                leader = psutil.Process(pid)
                if abs(leader.create_time() - created) < 1:
                    leftovers += session(pid)
                    leader.terminate()
            except psutil.NoSuchProcess:
                continue
        for process in wait_gone(leftovers, timeout=6):
            kill(process)
        wait_gone(leftovers, timeout=3)
