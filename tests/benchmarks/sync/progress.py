"""A line a second while something runs, and the tick that wakes whoever sleeps, as the estate's beat does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.sync import running as run
from tests.benchmarks.sync.running import STREAM, Running

SEEN = """
SELECT relayed, lag_ms, last_error, (SELECT count(*) FROM strangler_outbox WHERE stream = name)
FROM strangler_stream WHERE name = %s
"""


@contextmanager
def writer(running: Running, *words: object) -> Iterator[int]:
    """A writer's process while the block runs; its id. Raises ``RuntimeError`` if it failed."""
    argv = run.python("tests.benchmarks.sync.writer", *map(str, words))
    process = subprocess.Popen(argv, env=running.env, cwd=run.ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        process.stdout.readline()  # it is about to begin, or it failed
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    if process.returncode:
        raise RuntimeError(f"the writer {' '.join(argv[2:])} ended with {process.returncode}")


def seconds(connection: psycopg.Connection, what: str) -> Iterator[tuple[float, int, int]]:
    """Each second ``(seconds since the first, changes acknowledged since the first, pointers that wait)``, without end.

    The first comes at once.
    """
    from strangler.sync import wake

    began, last, first = time.perf_counter(), (0.0, 0), None
    for turn in range(1_000_000):
        time.sleep(max(0.0, began + turn - time.perf_counter()))
        wake.wake(STREAM)
        now = time.perf_counter() - began
        relayed, lag, error, depth = connection.execute(SEEN, [STREAM]).fetchone()
        first = relayed if first is None else first
        done = relayed - first
        rate = (done - last[1]) / max(now - last[0], 0.001)
        note = f"{rate:9,.0f} changes/s {depth:9,} wait, lag {lag or 0:7,.0f} ms {error}"
        print(f"  {what} {now:5.1f} s {note}", file=sys.stderr, flush=True)
        last = now, done
        yield now, done, depth


def finish(connection: psycopg.Connection, what: str, patience_s: float = 300) -> None:
    """Until no pointer waits."""
    for now, _, depth in seconds(connection, what):
        if not depth:
            return
        if now > patience_s:
            raise RuntimeError(f"{depth} pointers still wait after {patience_s:g} s")
