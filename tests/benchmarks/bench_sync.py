"""The sync engine: what capture costs the writer, what the relay carries, how late a change comes, how quick a backfill is.

Everything runs on the same cores, the writers too: PostgreSQL with a database a side, Valkey, one Celery worker, the service
under gunicorn. The table is that of ``tests.benchmarks.sync.row``: ten columns, two indexes. Capture and drift are the figures of
``bench_capture`` and ``bench_drift``. ``--only PART`` measures one part, ``--smoke`` a little of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import ROUNDS, Figure
from tests.benchmarks.sync import backfill, compared, lag, relay
from tests.benchmarks.sync.running import ROOT, Running, running

SMOKE = {
    "only": ["relay", "backfill"],
    "seconds": 1.0,
    "rounds": 1,
    "warm_up": 0.5,
    "backlog": 2000,
    "rate": 50,
    "rows": 5000,
}
CPU: dict[str, dict[str, float]] = {}


def measure(words: Sequence[str] = ()) -> list[Figure]:
    options = _options(words)
    figures = [figure for part in options.only if part in APART for figure in _apart(part)]
    here = [part for part in options.only if part in PARTS]
    if here:
        with running() as estate:
            turns = [
                {part: PARTS[part](estate, options) for part in here if turn < min(options.rounds, TURNS.get(part, 1))}
                for turn in range(max(TURNS.values()))
            ]
        _print_cpu()
        figures += [figure for part in here for figure in _medians([turn[part] for turn in turns if part in turn])]
    return figures


def _medians(turns: list[list[Figure]]) -> list[Figure]:
    """Of each figure over the turns."""
    return [
        replace(each[0], ours=statistics.median(f.ours for f in each), peer_value=statistics.median(f.peer_value for f in each))
        for each in zip(*turns, strict=True)
    ]


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks sync", description=__doc__)
    parser.add_argument("--only", choices=[*APART, *PARTS], nargs="+", default=[*APART, *PARTS], metavar="PART")
    parser.add_argument("--seconds", type=float, default=20, help="of relay and lag (20)")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds before each that do not count (3)")
    parser.add_argument("--backlog", type=int, default=20_000, help="changes that the writers keep waiting (20,000)")
    parser.add_argument("--rate", type=int, default=1000, help="writes a second for the lag (1,000)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the backfill (1,000,000)")
    parser.add_argument("--pointers", type=int, default=100_000, help="to be drained (100,000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="beside the peers (5); of relay and lag at most 3")
    parser.add_argument("--writes", type=int, default=200, help="single rows a round, beside the peers (200)")
    parser.add_argument("--messages", type=int, default=1500, help="rows that the peers drain (1,500)")
    parser.add_argument("--steady", type=float, default=8, help="seconds of steady writes, beside the peers (8)")
    parser.add_argument("--smoke", action="store_true", help="relay and backfill, as short as it goes")
    if "--smoke" in words:
        parser.set_defaults(**SMOKE)
    return parser.parse_args(words)


def _apart(name: str) -> list[Figure]:
    """What another benchmark found, in a process of its own; nothing where there is none of that name."""
    if importlib.util.find_spec(f"tests.benchmarks.bench_{name}") is None:
        return []
    subprocess.run([sys.executable, "-m", "tests.benchmarks", name], cwd=ROOT, check=True)
    found = json.loads((ROOT / "build" / "bench" / f"{name}.json").read_text())["figures"]
    known = {field.name for field in fields(Figure)}
    figures: list[dict[str, Any]] = [{key: value for key, value in figure.items() if key in known} for figure in found]
    return [Figure(**figure | {"name": f"{name}: {figure['name']}"}) for figure in figures]


def _relay(estate: Running, options: argparse.Namespace) -> list[Figure]:
    rate = relay.sustained(estate, options.seconds, options.backlog, options.warm_up)
    CPU["relay"] = rate.cpu
    return [Figure("sustained relay", rate.per_second, "floor", 15_000, "changes/s", least=1.0)]


def _drain(estate: Running, options: argparse.Namespace) -> list[Figure]:
    rate = relay.drain(estate, options.pointers)
    CPU["drain"] = rate.cpu
    print(f"{rate.changes:,} pointers were drained in {rate.seconds:.1f} s")
    return [Figure("drain of a backlog", rate.per_second, "floor", 15_000, "changes/s")]


def _lag(estate: Running, options: argparse.Namespace) -> list[Figure]:
    found = lag.paced(estate, options.rate, options.seconds, options.warm_up)
    CPU["lag"] = found.cpu
    print(f"lag of {found.writes:,} writes at {found.per_second:,.0f}/s: p50 {found.p50:,.0f} ms, p99 {found.p99:,.0f} ms")
    at = f"at {options.rate:,} writes/s"
    return [
        Figure(f"lag p50 {at}", found.p50, "limit", 500.0, "ms"),
        Figure(f"lag p99 {at}", found.p99, "limit", 500.0, "ms", 1.0),
        Figure(f"longest lag {at}", found.longest, "limit", 500.0, "ms"),
        Figure("writes/s reached", found.per_second, "wanted", options.rate, "writes/s", least=0.97),
    ]


def _backfill(estate: Running, options: argparse.Namespace) -> list[Figure]:
    rate = options.rate // 2
    found = backfill.measure(estate, options.rows, rate, options.warm_up)
    CPU["backfill"], CPU["COPY"] = found.rate.cpu, found.copied.cpu
    return [
        Figure(f"backfill, {rate} writes/s meanwhile", found.rate.per_second, "floor", 40_000, "rows/s", least=1.0),
        Figure("backfill", found.rate.per_second, "COPY", found.copied.per_second, "rows/s"),
        Figure("backfill and its check", found.rate.seconds + found.verified_s, "backfill", found.rate.seconds, "s"),
        Figure("lag p50 meanwhile", found.live.p50, "limit", 500.0, "ms"),
        Figure("lag p99 meanwhile", found.live.p99, "limit", 500.0, "ms"),
        Figure("longest lag meanwhile", found.live.longest, "limit", 500.0, "ms"),
        Figure("writes/s meanwhile", found.live.per_second, "wanted", rate, "writes/s", least=0.97),
    ]


def _peers(estate: Running, options: argparse.Namespace) -> list[Figure]:
    """``bulk_create`` of the peers captures nothing, so what it costs is not compared."""
    ours, *others = compared.measure(
        estate, rounds=options.rounds, rows=options.writes, backlog=options.messages, seconds=options.steady
    )
    print(f"bulk_create with capture: {ours.bulk:.2f} times as long as without, {100 * ours.captured:.0f} % captured")
    figures = []
    for other in others:
        figures += [
            Figure("save(), times without", ours.create, other.name, other.create, "×"),
            Figure("bulk_create, not captured", 100 - 100 * ours.captured, other.name, 100 - 100 * other.captured, "%"),
            Figure("changes drained", ours.per_second, other.name, other.per_second, "changes/s"),
            Figure(f"lag p50 at {compared.RATE} writes/s", ours.p50, other.name, other.p50, "ms"),
            Figure(f"lag p99 at {compared.RATE} writes/s", ours.p99, other.name, other.p99, "ms"),
        ]
    return figures


TURNS = {"relay": 3, "lag": 3}  # the others take long enough once
APART = ("capture", "drift")
PARTS: dict[str, Callable[[Running, argparse.Namespace], list[Figure]]] = {
    "relay": _relay,
    "drain": _drain,
    "lag": _lag,
    "backfill": _backfill,
    "peers": _peers,
}


def _print_cpu() -> None:
    """Of the last turn. Milliseconds for a thousand changes are thousandths of a core at a thousand changes a second."""
    if not CPU:
        return
    table = Table("", *CPU, title="CPU in ms per 1,000 changes", title_justify="left", box=None)
    kinds = list(dict.fromkeys(kind for used in CPU.values() for kind in used))
    for kind in kinds:
        table.add_row(kind, *(f"{used[kind]:,.1f}" if kind in used else "" for used in CPU.values()))
    table.add_row("all", *(f"{sum(used.values()):,.1f}" for used in CPU.values()))
    Console(width=130).print(table)
