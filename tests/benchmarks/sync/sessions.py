"""What each PostgreSQL session has spent, also those that have ended: a relay's sessions come and go with its runs."""

from __future__ import annotations

import threading
from collections import Counter

import psutil
import psycopg

SESSIONS = "SELECT pid, datname, application_name FROM pg_stat_activity WHERE backend_type = 'client backend'"
EVERY_S = 0.5


class Sessions(threading.Thread):
    """Looks twice a second. What a session spends between the last look and its end counts as nobody's.

    ``connection`` is a superuser's, who alone sees all.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        super().__init__(daemon=True)
        self._connection, self._ended, self._lock = connection, threading.Event(), threading.Lock()
        self._spent: dict[int, tuple[str, float]] = {}

    def run(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.seconds()

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._connection.close()

    def seconds(self) -> Counter[str]:
        """CPU so far, by kind of session."""
        found: Counter[str] = Counter()
        with self._lock:
            for pid, database, application in self._connection.execute(SESSIONS).fetchall():
                kind = _kind(database, application)
                if kind:
                    self._spent[pid] = (kind, of(pid) or self._spent.get(pid, (kind, 0.0))[1])
            for kind, spent in self._spent.values():
                found[kind] += spent
        return found


def of(pid: int) -> float:
    """CPU seconds of a process so far; 0 if it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _kind(database: str | None, application: str) -> str:
    """'' for what is nobody's: the benchmark's own sessions, and those of the peers' databases."""
    if application == "bench" or database not in ("source", "destination"):
        return ""
    if database == "destination":
        return "destination"
    return "source, writers" if application == "writer" else "source, reading"
