"""How many rows a second a backfill carries while writers write, beside a plain COPY of the same rows into the other database."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.benchmarks.sync import cpu, fill, lag, progress
from tests.benchmarks.sync.lag import Lag
from tests.benchmarks.sync.rate import Rate
from tests.benchmarks.sync.running import STREAM, TABLE, Running

STATE = "SELECT state FROM strangler_backfill WHERE stream = %s"
THERE = f"SELECT count(*) FROM {TABLE} WHERE id <= %s"
VERIFY_S = 60.0


@dataclass(frozen=True)
class Backfill:
    """The rows until all were there; seconds until the backfill was through with its own check of them (``VERIFY_S``: it was
    not); the same rows by COPY; and how late the writes came that went on meanwhile.
    """

    rate: Rate
    verified_s: float
    copied: Rate
    live: Lag


def measure(running: Running, rows: int, writes: int, warm_up: float) -> Backfill:
    """``rows`` rows into an empty destination; ``writes`` single-row transactions a second, inserts and updates."""
    from strangler.sync import backfill, wake

    running.clean()
    fill.source(running, rows)
    copied = fill.copied(running)
    running.start_stream()
    with running.connect(running.source) as connection, lag.arrivals(running), tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "writes"
        with progress.writer(running, "paced", writes, lag.CONNECTIONS, rows + 1, file) as writer:
            for now, _, _ in progress.seconds(connection, "backfill, before"):
                if now > warm_up:
                    break
            before, began = cpu.seconds(running, {"writer": writer}), time.perf_counter()
            backfill.start(STREAM)
            wake.wake(STREAM)
            _wait_for_rows(running, connection, rows)
            taken = time.perf_counter() - began
            used = cpu.per_thousand(before, cpu.seconds(running, {"writer": writer}), rows)
            for now, _, _ in progress.seconds(connection, "backfill, check"):
                if now > VERIFY_S or connection.execute(STATE, [STREAM]).fetchone()[0] == "done":
                    break
        progress.finish(connection, "backfill, after")
        live = lag.of(running, file, {}, warm_up)
    return Backfill(Rate(rows, taken, used), now, copied, live)


def _wait_for_rows(running: Running, connection: psycopg.Connection, rows: int) -> None:
    """Counting them costs, so it begins when all have been sent."""
    for _ in progress.seconds(connection, "backfill"):
        if connection.execute(STATE, [STREAM]).fetchone()[0] not in ("waiting", "running"):
            break
    with running.connect(running.destination) as destination:
        while destination.execute(THERE, [rows]).fetchone()[0] < rows:
            time.sleep(0.25)
