"""Where the CPU goes: seconds so far, by what the processes do, from the kernel's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import psutil

from tests.benchmarks.sync.running import Running

# ``reading`` is what carries: the relay's sessions, or those of COPY.
SESSIONS = ("source, writers", "source, reading", "destination", "PostgreSQL, rest")
ORDER = (*SESSIONS, "worker", "gunicorn", "Valkey", "writer", "copying")


def seconds(running: Running, writers: Mapping[str, int] | None = None) -> Counter[str]:
    """By kind; ``writers`` names further processes. A session that has ended counts as PostgreSQL's rest, by its parent."""
    found: Counter[str] = Counter()
    sessions = {pid: _kind(*rest) for pid, *rest in running.server.sessions()}
    postmaster = psutil.Process(running.server.child.pid)
    found["PostgreSQL, rest"] += _of(postmaster, with_ended=True)
    for process in postmaster.children():
        found[sessions.get(process.pid, "PostgreSQL, rest")] += _of(process)
    others = {"worker": running.worker.pid, "gunicorn": running.service.pid, "Valkey": running.valkey.child.pid}
    for name, pid in (others | dict(writers or {})).items():
        leader = psutil.Process(pid)
        found[name] += _of(leader) + sum(_of(child) for child in leader.children(recursive=True))
    return found


def per_thousand(before: Counter[str], after: Counter[str], changes: int) -> dict[str, float]:
    """Milliseconds of CPU for a thousand changes, by kind."""
    names = [*ORDER, *(name for name in after if name not in ORDER)]
    return {name: (after[name] - before[name]) * 1e6 / changes for name in names if name in after}


def _kind(database: str | None, application: str, backend: str) -> str:
    if backend != "client backend" or application == "bench":
        return "PostgreSQL, rest"
    if database == "source":
        return "source, writers" if application == "writer" else "source, reading"
    return str(database)


def _of(process: psutil.Process, with_ended: bool = False) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + ((times.children_user + times.children_system) if with_ended else 0.0)
