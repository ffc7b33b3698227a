"""What a benchmark gives: an aligned table, and ``build/bench/NAME.json`` (DESIGN section 10)."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(frozen=True)
class Figure:
    """Ours against a peer. ``target`` bounds the ratio ours/peer from above, ``least`` from below; None where none is set."""

    name: str
    ours: float
    peer: str
    peer_value: float
    unit: str
    target: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer_value

    @property
    def met(self) -> bool:
        return (self.target is None or self.ratio <= self.target) and (self.least is None or self.ratio >= self.least)

    @property
    def wanted(self) -> str:
        """The bound in words, '' where none is set."""
        return f"≤ {self.target:g}" if self.target is not None else f"≥ {self.least:g}" if self.least is not None else ""


def in_turns(runs: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Each run once a round, so that noise meets all alike; the median of each."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            samples[name].append(run())
    return {name: statistics.median(values) for name, values in samples.items()}


def report(name: str, figures: Sequence[Figure], root: Path) -> bool:
    """Prints the table, writes the JSON, and tells whether every target was met."""
    table = Table("figure", "ours", "peer", "value", "unit", "ratio", "target", "met", title=name, title_justify="left", box=None)
    for figure in figures:
        met = ("yes" if figure.met else "NO") if figure.wanted else ""
        numbers = (f"{figure.ours:,.2f}", figure.peer, f"{figure.peer_value:,.2f}", figure.unit, f"{figure.ratio:.2f}")
        table.add_row(figure.name, *numbers, figure.wanted, met)
    console = Console()
    if not console.is_terminal:
        console.width = 130  # a file's reader has room
    console.print(table)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    rows = [asdict(figure) | {"ratio": figure.ratio, "met": figure.met} for figure in figures]
    path = root / "build" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, "machine": machine, "figures": rows}, indent=2) + "\n")
    return all(figure.met for figure in figures)
