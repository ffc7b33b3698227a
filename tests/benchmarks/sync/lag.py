"""From commit to applied: for each write of paced writers, on one machine and so by one clock.

A trigger at the destination notes each reference that arrives, the first time; the time of the arrival is that of the commit
which made it visible (``track_commit_timestamp``). The time of the write is the writer's, after its COMMIT returned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.sync import cpu, fill, progress
from tests.benchmarks.sync.running import TABLE, Running

CONNECTIONS = 4
ROWS = 60_000
ARRIVALS = f"""
DROP TABLE IF EXISTS arrival;
CREATE TABLE arrival (reference uuid PRIMARY KEY);
CREATE OR REPLACE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.arrival VALUES (NEW.reference) ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER arrive AFTER INSERT OR UPDATE ON {TABLE} FOR EACH ROW WHEN (NEW.kind = 'live')
EXECUTE FUNCTION arrive();
ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER arrive;
"""
ARRIVED = "SELECT reference::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM arrival"


@dataclass(frozen=True)
class Lag:
    """Milliseconds; ``per_second`` is the rate at which the writers wrote; CPU as in ``Rate``."""

    p50: float
    p99: float
    longest: float
    writes: int
    per_second: float
    cpu: dict[str, float]


@contextmanager
def arrivals(running: Running) -> Iterator[None]:
    with running.connect(running.destination) as connection:
        connection.execute(ARRIVALS)
        try:
            yield
        finally:
            connection.execute(f"DROP TRIGGER arrive ON {TABLE}; DROP TABLE arrival")


def paced(running: Running, rate: int, seconds: float, warm_up: float) -> Lag:
    """So many single-row transactions a second over several connections, into a ledger of ``ROWS`` rows."""
    running.clean()
    with running.connect(running.source) as connection, arrivals(running), tempfile.TemporaryDirectory() as directory:
        fill.source(running, ROWS)
        fill.destination(running)
        running.start_stream()
        file = Path(directory) / "writes"
        with progress.writer(running, "paced", rate, CONNECTIONS, ROWS + 1, file) as writer:
            before = None
            for now, done, _ in progress.seconds(connection, "lag"):
                if before is None and now >= warm_up and done:
                    before, began, first = cpu.seconds(running, {"writer": writer}), now, done
                elif before is not None and now >= began + seconds:
                    break
            used = cpu.per_thousand(before, cpu.seconds(running, {"writer": writer}), done - first)
        progress.finish(connection, "lag, after")
        return of(running, file, used, warm_up)


def of(running: Running, writes: Path, used: dict[str, float], warm_up: float) -> Lag:
    """Of all writes but those of the first ``warm_up`` seconds. Raises ``RuntimeError`` for a write that never arrived."""
    wrote = [(reference, float(at)) for reference, at in (line.split() for line in writes.read_text().splitlines())]
    with running.connect(running.destination) as connection:
        arrived = dict(connection.execute(ARRIVED).fetchall())
    if lost := [reference for reference, _ in wrote if reference not in arrived]:
        raise RuntimeError(f"{len(lost)} of {len(wrote)} writes never arrived")
    begin = min(at for _, at in wrote) + warm_up
    counted = [(reference, at) for reference, at in wrote if at >= begin]
    lags = sorted(1000 * (arrived[reference] - at) for reference, at in counted)
    rate = len(counted) / (max(at for _, at in counted) - begin)
    return Lag(lags[len(lags) // 2], lags[int(len(lags) * 0.99)], lags[-1], len(counted), rate, used)
