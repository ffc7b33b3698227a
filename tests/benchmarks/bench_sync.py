"""The sync engine: what capture costs the writer, what the relay carries, how late a change comes, how quick a backfill is.

Everything runs on the same cores, the writers too: PostgreSQL with a database a side, Valkey, one Celery worker, the service
under gunicorn. The table is ``tests.benchmarks.ledger``'s: ten columns, two indexes. ``--only PART`` measures one part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import ROUNDS, Figure
from tests.benchmarks.sync import backfill, compared, lag, relay
from tests.benchmarks.sync.running import Running, running

CPU: dict[str, dict[str, float]] = {}


def measure(words: Sequence[str] = ()) -> list[Figure]:
    parser = argparse.ArgumentParser(prog="make bench-sync", description=__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=20, help="of each measure (20)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the backfill (1,000,000)")
    parser.add_argument("--pointers", type=int, default=100_000, help="to be drained (100,000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="in turns, beside the peers (5)")
    parser.add_argument("--writes", type=int, default=300, help="single rows a round, beside the peers (300)")
    parser.add_argument("--backlog", type=int, default=2000, help="rows that the peers drain (2,000)")
    parser.add_argument("--steady", type=float, default=10, help="seconds of steady writes, beside the peers (10)")
    options = parser.parse_args(words)
    figures = []
    with running() as estate:
        for part in options.only:
            figures += PARTS[part](estate, options)
    _print_cpu()
    return figures


def _relay(estate: Running, options: argparse.Namespace) -> list[Figure]:
    rate = relay.sustained(estate, options.seconds)
    CPU["relay"] = rate.cpu
    return [Figure("sustained relay", rate.per_second, "floor", 15_000, "changes/s", least=1.0)]


def _drain(estate: Running, options: argparse.Namespace) -> list[Figure]:
    rate = relay.drain(estate, options.pointers)
    CPU["drain"] = rate.cpu
    print(f"{rate.changes:,} pointers were drained in {rate.seconds:.1f} s")
    return [Figure("drain of a backlog", rate.per_second, "floor", 15_000, "changes/s")]


def _lag(estate: Running, options: argparse.Namespace) -> list[Figure]:
    found = lag.paced(estate, 1000, options.seconds)
    CPU["lag at 1,000/s"] = found.cpu
    print(f"lag of {found.writes:,} writes at {found.per_second:,.0f}/s: p50 {found.p50:,.0f} ms, p99 {found.p99:,.0f} ms")
    return [
        Figure("lag p50", found.p50, "limit", 500.0, "ms"),
        Figure("lag p99 at 1,000 writes/s", found.p99, "limit", 500.0, "ms", 1.0),
        Figure("longest lag", found.longest, "limit", 500.0, "ms"),
        Figure("writes/s reached", found.per_second, "wanted", 1000.0, "writes/s", least=0.97),
    ]


def _backfill(estate: Running, options: argparse.Namespace) -> list[Figure]:
    found = backfill.measure(estate, options.rows, 500)
    CPU["backfill"] = found.rate.cpu
    return [
        Figure("backfill, 500 writes/s", found.rate.per_second, "floor", 40_000, "rows/s", least=1.0),
        Figure("backfill beside COPY", found.rate.per_second, "COPY", found.copied, "rows/s"),
        Figure("until verified too", found.rate.seconds + found.verified_s, "carried", found.rate.seconds, "s"),
        Figure("lag p99 meanwhile", found.live.p99, "limit", 500.0, "ms"),
        Figure("longest lag meanwhile", found.live.longest, "limit", 500.0, "ms"),
        Figure("writes/s meanwhile", found.live.per_second, "wanted", 500.0, "writes/s", least=0.97),
    ]


def _peers(estate: Running, options: argparse.Namespace) -> list[Figure]:
    found = compared.measure(estate, rounds=options.rounds, rows=options.writes, backlog=options.backlog, seconds=options.steady)
    ours, *others = found
    figures = []
    for other in others:
        figures += [
            Figure("save(), times without", ours.create, other.name, other.create, "×"),
            Figure("bulk_create, times without", ours.bulk, other.name, other.bulk, "×"),
            Figure("bulk_create, captured", 100 * ours.captured, other.name, 100 * other.captured, "%"),
            Figure("changes drained", ours.per_second, other.name, other.per_second, "changes/s"),
            Figure(f"lag p50 at {compared.RATE} writes/s", ours.p50, other.name, other.p50, "ms"),
            Figure(f"lag p99 at {compared.RATE} writes/s", ours.p99, other.name, other.p99, "ms"),
        ]
    return figures


PARTS: dict[str, Callable[[Running, argparse.Namespace], list[Figure]]] = {
    "relay": _relay,
    "drain": _drain,
    "lag": _lag,
    "backfill": _backfill,
    "peers": _peers,
}


def _print_cpu() -> None:
    """Milliseconds for a thousand changes are cores at a thousand changes a second, in per mille."""
    table = Table("", *CPU, title="CPU in ms per 1,000 changes", title_justify="left", box=None)
    kinds = list(dict.fromkeys(kind for used in CPU.values() for kind in used))
    for kind in kinds:
        table.add_row(kind, *(f"{used[kind]:,.1f}" if kind in used else "" for used in CPU.values()))
    table.add_row("all", *(f"{sum(used.values()):,.1f}" for used in CPU.values()))
    Console(width=130).print(table)
