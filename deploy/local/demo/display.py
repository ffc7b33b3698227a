"""What one sees while the demo runs, and the tables at its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.local.demo.journal import Journal
from deploy.local.demo.proof import Finding


@dataclass(frozen=True)
class Transition:
    """One line of the run: where payments went, what it took. ``pause_ms`` is None where no write was held."""

    label: str
    seconds: float
    pause_ms: float | None


class Display:
    """A live line on a terminal; a line for each stage elsewhere."""

    def __init__(self, console: Console, journal: Journal, lag: Any) -> None:
        self.console, self.journal, self.lag = console, journal, lag
        self.doing = "starting"
        self.started = time.monotonic()
        self._live = Live(get_renderable=self._line, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def step(self, doing: str) -> None:
        self.doing = doing
        if not self.console.is_terminal:
            self.console.print(f"{time.monotonic() - self.started:6.1f} s  {doing}")

    def done(self, transition: Transition) -> None:
        pause = "" if transition.pause_ms is None else f", writes held {transition.pause_ms:.0f} ms"
        self.console.print(f"[green]✓[/] {transition.label:<28} {transition.seconds:5.1f} s{pause}")

    def _line(self) -> Text:
        journal, elapsed = self.journal, time.monotonic() - self.started
        failed = len(journal.failures) + len(journal.stale_reads)
        lag = self.lag()
        return Text.assemble(
            (f" {self.doing:<34}", "bold cyan"),
            f" {elapsed:5.0f} s   {journal.requests:>7,} requests   ",
            (f"{failed} failed", "bold red" if failed else "green"),
            f"   lag {'–' if lag is None else f'{lag:.0f} ms'}",
        )


def mix_table(sent: Journal, seconds: float) -> Table:
    table = Table("traffic", "requests", "a second", title="What was sent", title_justify="left", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, count in sent.kinds.most_common():
        table.add_row(kind, f"{count:,}", f"{count / seconds:.1f}")
    return table


def stage_table(journal: Journal, transitions: list[Transition]) -> Table:
    names = ("stage", "requests", "req/s", "payment writes/s", "failed", "p50 ms", "p99 ms", "write pause ms")
    table = Table(*names, title="Stage by stage", title_justify="left", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    pauses = {transition.label: transition.pause_ms for transition in transitions}
    for stage, figures in journal.figures.items():
        pause = pauses.get(stage)
        seconds = figures.seconds or 1.0
        table.add_row(
            stage,
            f"{figures.requests:,}",
            f"{figures.requests / seconds:.0f}",
            f"{figures.payment_writes / seconds:.0f}",
            str(figures.failed),
            f"{figures.percentile(0.5):.0f}",
            f"{figures.percentile(0.99):.0f}",
            "" if pause is None else f"{pause:.0f}",
        )
    return table


def findings(console: Console, found: list[Finding]) -> None:
    for finding in found:
        mark = "[green]✓[/]" if finding.holds else "[bold red]✗[/]"
        console.print(f"{mark} {finding.claim}")
        for line in finding.bad[:8]:
            console.print(f"    {line}", style="red", markup=False, highlight=False)
        if len(finding.bad) > 8:
            console.print(f"    … and {len(finding.bad) - 8} more", style="red")
