"""Rows to begin with: written as a bulk load, of which the stream hears nothing."""

from __future__ import annotations

import os
import time

from tests.benchmarks.sync import cpu
from tests.benchmarks.sync.rate import Rate
from tests.benchmarks.sync.running import STREAM, TABLE, Running
from tests.benchmarks.sync.writer import INSERT_MANY

PIECE = 100_000


def source(running: Running, rows: int) -> None:
    """``rows`` rows in the source's ledger, with ids from 1 on."""
    with running.connect(running.source) as connection:
        for first in range(1, rows + 1, PIECE):
            connection.execute(INSERT_MANY, {"first": first, "count": min(PIECE, rows + 1 - first)})
        connection.execute("TRUNCATE strangler_outbox")
        connection.execute(f"VACUUM ANALYZE {TABLE}")


def destination(running: Running) -> None:
    """The same rows there, as if they had been mirrored."""
    _copy(running, TABLE)


def copied(running: Running) -> Rate:
    """A COPY from one database into the other, into a table with the same indexes and no trigger."""
    with running.connect(running.destination) as connection:
        connection.execute(f"DROP TABLE IF EXISTS plain; CREATE TABLE plain (LIKE {TABLE} INCLUDING ALL)")
        rate = _copy(running, "plain")
        connection.execute("DROP TABLE plain")
    return rate


def _copy(running: Running, into: str) -> Rate:
    with (
        running.connect(running.source, "copy") as source,
        running.connect(running.destination, "copy") as target,
        target.transaction(),
    ):
        target.execute(
            "SELECT set_config('strangler.origin', %s, true), set_config('session_replication_role', 'replica', true)", [STREAM]
        )
        before, began = cpu.seconds(running, {"copying": os.getpid()}), time.perf_counter()
        with (
            source.cursor().copy(f"COPY {TABLE} TO STDOUT (FORMAT binary)") as out,
            target.cursor().copy(f"COPY {into} FROM STDIN (FORMAT binary)") as taken,
        ):
            for piece in out:
                taken.write(piece)
        seconds = time.perf_counter() - began
        used = cpu.seconds(running, {"copying": os.getpid()})
        (rows,) = target.execute(f"SELECT count(*) FROM {into}").fetchone()
    return Rate(rows, seconds, cpu.per_thousand(before, used, rows))
