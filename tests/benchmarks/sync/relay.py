"""How many changes a second the relay carries, while writers keep it busy and when only a backlog is there."""

from __future__ import annotations

import time

from tests.benchmarks.sync import cpu, progress
from tests.benchmarks.sync.rate import Rate
from tests.benchmarks.sync.running import STREAM, TABLE, Running
from tests.benchmarks.sync.writer import INSERT_MANY


def sustained(running: Running, seconds: float, backlog: int, warm_up: float) -> Rate:
    """Writers keep ``backlog`` changes waiting, in bulk statements, on the same cores; where they are the slower ones, it is
    less than the relay could carry."""
    running.clean()
    with running.connect(running.source) as connection, progress.writer(running, "bulk", backlog) as writer:
        running.start_stream()
        first = None
        for now, done, _ in progress.seconds(connection, "relay"):
            if first is None and now > warm_up and done:
                first = (time.perf_counter(), _relayed(connection), cpu.seconds(running, {"writer": writer}))
            elif first and time.perf_counter() - first[0] >= seconds:
                break
        taken, changes = time.perf_counter() - first[0], _relayed(connection) - first[1]
        used = cpu.per_thousand(first[2], cpu.seconds(running, {"writer": writer}), changes)
    return Rate(changes, taken, used)


def drain(running: Running, pointers: int) -> Rate:
    """So many pointers are there and nobody writes: until none is left."""
    running.clean()
    with running.connect(running.source) as connection:
        connection.execute(INSERT_MANY, {"first": 1, "count": pointers})
        before, began, relayed = cpu.seconds(running), time.perf_counter(), _relayed(connection)
        running.start_stream()
        for _, _, depth in progress.seconds(connection, "drain"):
            if depth < pointers // 5:
                break
        while connection.execute("SELECT EXISTS (SELECT 1 FROM strangler_outbox WHERE stream = %s)", [STREAM]).fetchone()[0]:
            time.sleep(0.02)
        taken = time.perf_counter() - began
        assert connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0] == pointers
        changes = _relayed(connection) - relayed
    return Rate(changes, taken, cpu.per_thousand(before, cpu.seconds(running), changes))


def _relayed(connection) -> int:
    return connection.execute("SELECT relayed FROM strangler_stream WHERE name = %s", [STREAM]).fetchone()[0]
