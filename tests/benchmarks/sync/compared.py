"""Ours beside its peers at what they can do too: rows written by the ORM, carried into another database, one row a message.

All in one run and in turns. A row's arrival is the time of the commit that made it visible at the destination.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.benchmarks.sync import carriers
from tests.benchmarks.sync.broker import Broker
from tests.benchmarks.sync.carriers import Carrier, Ours
from tests.benchmarks.sync.running import Running

RATE = 50  # writes a second that each of them can carry
PATIENCE_S = 120
TIMES = "SELECT reference::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM {table} WHERE kind = %s"


@dataclass(frozen=True)
class Compared:
    """``create`` and ``bulk`` are times as slow as without capture, ``captured`` the share of ``bulk_create`` that arrived,
    ``per_second`` changes drained, ``p50`` and ``p99`` milliseconds from commit to applied at ``RATE`` writes a second.
    """

    name: str
    create: float
    bulk: float
    captured: float
    per_second: float
    p50: float
    p99: float


def measure(running: Running, *, rounds: int, rows: int, backlog: int, seconds: float) -> list[Compared]:
    """Ours first. ``rows`` are written one by one in each of ``rounds``, and ten times as many in bulk."""
    running.clean()
    carriers.install()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strangler-bench-")))
        directory.chmod(0o711)
        broker = Broker(directory / "rabbitmq")
        stack.callback(broker.discard)
        stack.callback(broker.stop)
        broker.start()
        all_ = [Ours(running), *carriers.mirrors(running, broker, directory / "log")]
        _declare_queues(all_[1:])
        ratios = _write_in_turns(all_, rounds, rows)
        return [_carry(running, carrier, ratios[carrier.name], rounds * rows * 10, backlog, seconds) for carrier in all_]


def _declare_queues(mirrors: list[Carrier]) -> None:
    """A consumer makes its queue when it starts for the first time; what is sent before goes nowhere."""
    for mirror in mirrors:
        until = time.monotonic() + PATIENCE_S
        with mirror.carried(), psycopg.connect(mirror.destination, autocommit=True) as connection:
            while not connection.execute(f"SELECT count(*) FROM {mirror.table}").fetchone()[0]:
                if time.monotonic() > until:
                    raise RuntimeError(f"{mirror.name}: nothing arrived in {PATIENCE_S} s; they said:\n{mirror.said()}")
                mirror.write("create", 1, "first")


def _write_in_turns(all_: list[Carrier], rounds: int, rows: int) -> dict[str, dict[str, float]]:
    """Nobody carries meanwhile: what is measured is the writer's cost alone."""
    samples: dict[str, dict[str, list[float]]] = {carrier.name: {"create": [], "bulk_create": []} for carrier in all_}
    for number in range(rounds):
        for carrier in all_:
            print(f"  peers, round {number + 1}: {carrier.name} writes", file=sys.stderr, flush=True)
            found = carrier.compare(rows, rows * 10)
            for verb, ratios in samples[carrier.name].items():
                ratios.append(found[verb] / found[f"{verb}, bare"])
    return {name: {verb: statistics.median(ratios) for verb, ratios in of.items()} for name, of in samples.items()}


def _carry(running: Running, carrier: Carrier, ratios: dict[str, float], in_bulk: int, backlog: int, seconds: float) -> Compared:
    """Drains what was written, then is measured at a steady rate."""
    print(f"  peers: {carrier.name} drains, then carries {RATE} writes/s", file=sys.stderr, flush=True)
    backlog = carrier.pile(backlog)
    began = time.time()
    with carrier.carried(), tempfile.TemporaryDirectory() as directory:
        with psycopg.connect(carrier.source) as connection:
            written = connection.execute(f"SELECT count(*) FROM {carrier.app}_entry WHERE kind = 'transfer'").fetchone()[0]
        per_second = _rate(_wait_for(carrier, "transfer", written), backlog, None if carrier.starts_cold else began)
        bulk = _settled(carrier)
        file = Path(directory) / "writes"
        carrier.write("paced", RATE, seconds, file)
        wrote = [(reference, float(at)) for reference, at in (line.split() for line in file.read_text().splitlines())]
        arrived = dict(_wait_for(carrier, "live", len(wrote)))
    lags = sorted(1000 * (arrived[reference] - at) for reference, at in wrote)
    return Compared(
        carrier.name,
        ratios["create"],
        ratios["bulk_create"],
        bulk / in_bulk,
        per_second,
        lags[len(lags) // 2],
        lags[int(len(lags) * 0.99)],
    )


def _wait_for(carrier: Carrier, kind: str, rows: int) -> list[tuple[str, float]]:
    """Reference and time of arrival of that many rows of the kind. Raises ``RuntimeError`` if they don't come."""
    count = f"SELECT count(*) FROM {carrier.table} WHERE kind = %s"
    until = time.monotonic() + PATIENCE_S
    with psycopg.connect(carrier.destination, autocommit=True) as connection:
        while (there := connection.execute(count, [kind]).fetchone()[0]) < rows:
            if time.monotonic() > until:
                raise RuntimeError(f"{carrier.name}: {there} of {rows} rows came in {PATIENCE_S} s; it said:\n{carrier.said()}")
            time.sleep(0.1)
        return connection.execute(TIMES.format(table=carrier.table), [kind]).fetchall()


def _rate(arrived: list[tuple[str, float]], last: int, began: float | None) -> float:
    """Changes a second of the ``last`` rows that came, since ``began``, or the first where processes had to start."""
    times = sorted(at for _, at in arrived)[-last:]
    return last / (times[-1] - (began or times[0]))


def _settled(carrier: Carrier) -> int:
    """How many rows of ``bulk_create`` arrived: until none has come for three seconds."""
    count = f"SELECT count(*) FROM {carrier.table} WHERE kind = 'bulk'"
    with psycopg.connect(carrier.destination, autocommit=True) as connection:
        there, since = -1, time.monotonic()
        while time.monotonic() - since < 3:
            now = connection.execute(count).fetchone()[0]
            there, since = (now, time.monotonic()) if now != there else (there, since)
            time.sleep(0.1)
    return there
