"""Where the CPU goes: seconds so far, by what the processes do, from the kernel's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import psutil

from tests.benchmarks.sync.running import Running
from tests.benchmarks.sync.sessions import of

# ``reading`` is what carries: the relay's sessions, or those of COPY.
SESSIONS = ("source, writers", "source, reading", "destination", "PostgreSQL, rest")
ORDER = (*SESSIONS, "worker", "gunicorn", "Valkey", "writer", "copying")


def seconds(running: Running, writers: Mapping[str, int] | None = None) -> Counter[str]:
    """By kind; ``writers`` names further processes. PostgreSQL's rest is what it spent beside the sessions told apart."""
    found = running.sessions.seconds()
    others = {"worker": running.worker.pid, "gunicorn": running.service.pid, "Valkey": running.valkey.child.pid}
    for name, pid in (others | dict(writers or {})).items():
        found[name] = of(pid) + sum(of(child.pid) for child in psutil.Process(pid).children(recursive=True))
    found["PostgreSQL, rest"] = _all_of_postgres(running) - sum(found[kind] for kind in SESSIONS[:3])
    return found


def per_thousand(before: Counter[str], after: Counter[str], changes: int) -> dict[str, float]:
    """Milliseconds of CPU for a thousand changes, by kind."""
    return {name: (after[name] - before[name]) * 1e6 / changes for name in ORDER if name in after}


def _all_of_postgres(running: Running) -> float:
    """With what has ended."""
    postmaster = psutil.Process(running.server.child.pid)
    ended = postmaster.cpu_times()
    return (
        of(postmaster.pid) + ended.children_user + ended.children_system + sum(of(child.pid) for child in postmaster.children())
    )
