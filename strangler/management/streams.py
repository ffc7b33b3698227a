"""How streams and backfills look: the worst first, colour and sign and word, and below each what it waits for.

Fits 100 columns: the table has short cells only, and sentences stand on lines of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from strangler.domain.durations import about
from strangler.management.answer import Whole
from strangler.sync.backfill import Total
from strangler.sync.diagnosis import Severity
from strangler.sync.status import StreamStatus

LOOKS = {
    Severity.BAD: ("✗", "bold red"),
    Severity.LOOK: ("!", "yellow"),
    Severity.IDLE: ("·", "dim"),
    Severity.GOOD: ("✓", "green"),
}
HEAD = ("", "stream", "state", "waiting", "oldest", "lag p50", "p99 ms", "per s", "refused", "backfill", "checked")
RIGHT = {"waiting", "oldest", "lag p50", "p99 ms", "per s", "refused", "backfill"}
LEAST_FIRST = ("lag p50", "per s", "checked", "backfill", "oldest", "p99 ms")
BAR = 20


def table(listed: Sequence[StreamStatus], wrong: Iterable[str] = ()) -> list[RenderableType]:
    """All streams. ``wrong``: what is wrong around them."""
    shown: list[RenderableType] = [Text(f"✗ {text}", style="bold red") for text in wrong]
    broken = [stream for stream in listed if stream.state == "broken"]
    if broken:
        names = ", ".join(stream.name for stream in broken)
        shown.append(Text(f"✗ BROKEN: {names}. Rows are missing at the other side until a new backfill.", style="bold red"))
    shown.append(Grid(listed))
    for stream in listed:
        shown += _said(stream)
    return shown


@dataclass(frozen=True)
class Grid:
    """The streams as a table of the width that there is: what matters least is left out, and no cell is cut."""

    listed: Sequence[StreamStatus]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [HEAD, *(_cells(stream) for stream in self.listed)]
        kept = [place for place in range(len(HEAD)) if not _is_empty(rows, place)]
        for name in LEAST_FIRST:
            if sum(max(len(row[place]) for row in rows) + 2 for place in kept) - 2 <= options.max_width:
                break
            kept = [place for place in kept if HEAD[place] != name]
        grid = Table.grid(padding=(0, 2, 0, 0))
        for place in kept:
            grid.add_column(no_wrap=True, justify="right" if HEAD[place] in RIGHT else "left")
        grid.add_row(*(HEAD[place] for place in kept), style="dim")
        for stream, row in zip(self.listed, rows[1:], strict=True):
            _, style = LOOKS[stream.finding.severity]
            grid.add_row(*(Text(row[place], style=style if HEAD[place] in ("", "state") else "") for place in kept))
        yield grid


def _is_empty(rows: Sequence[Sequence[str]], place: int) -> bool:
    """A column in which nobody has anything."""
    return HEAD[place] in LEAST_FIRST and all(row[place] == "–" for row in rows[1:])


def _cells(stream: StreamStatus) -> tuple[str, ...]:
    return (
        LOOKS[stream.finding.severity][0],
        stream.name,
        stream.finding.word,
        f"{stream.depth:,}",
        _age(stream.oldest_s),
        _ms(stream.lag_p50_ms),
        _ms(stream.lag_p99_ms),
        f"{stream.rate:,.1f}" if stream.rate < 100 else f"{stream.rate:,.0f}",
        _refused(stream),
        _backfill(stream.backfilled),
        _checked(stream),
    )


def _said(stream: StreamStatus) -> list[RenderableType]:
    """Why, and what to do: for whatever is not as it should be."""
    found = stream.finding
    said: list[RenderableType] = []
    if found.why and found.severity >= Severity.LOOK:
        _, style = LOOKS[found.severity]
        said.append(Padding(Text.assemble((f"{stream.name}: ", style), found.why), (0, 0, 0, 2)))
    if found.next and found.severity >= Severity.LOOK:
        said.append(Whole(f"    next: {escape(found.next)}"))
    return said


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if seconds < 10 else about(seconds)


def _refused(stream: StreamStatus) -> str:
    return f"{stream.quarantine} (+{stream.discarded})" if stream.discarded else str(stream.quarantine)


def _backfill(total: Total | None) -> str:
    if total is None:
        return "–"
    if total.state == "running" and total.estimate:
        return f"{share(total):.0%}"
    return f"{total.tables_done}/{total.tables} tables"


def _checked(stream: StreamStatus) -> str:
    if stream.verified_drift:
        return f"{stream.verified_drift} differ"
    clean = [at for at in (stream.verified_at, stream.clean_since) if at]  # a whole pass of the sampling verifier counts as well
    return max(clean).strftime("%H:%M:%S") if clean else "never"


def share(total: Total) -> float:
    """How much of a backfill is sent, at the most 99 % until it is done."""
    if total.state == "done":
        return 1.0
    return min(0.99, total.sent / total.estimate) if total.estimate else 0.0


def progress(listed: Iterable[StreamStatus], rates: dict[str, float] | None = None) -> RenderableType:
    """The backfills of some streams, two lines each."""
    return Group(*(part for stream in listed for part in _progress(stream, rates or {})))


def _progress(stream: StreamStatus, rates: dict[str, float]) -> list[RenderableType]:
    total = stream.backfilled
    if total is None:
        return []
    rate = rates.get(stream.name, total.rate)
    done = share(total)
    bar = "█" * round(done * BAR) + "░" * (BAR - round(done * BAR))
    left = max(0, total.estimate - total.sent) / rate if rate and total.state == "running" else None
    of = f" of about {total.estimate:,}" if total.state == "running" and total.estimate > total.sent else ""
    line = Text.assemble(
        (f"{stream.name}  ", "bold"),
        (bar, "green" if total.state == "done" else "cyan"),
        f" {done:>4.0%}  {total.sent:,}{of} rows" + ("" if total.state == "running" else f", {total.state}"),
    )
    parts = [
        f"{rate:,.0f} rows/s" if total.state == "running" else "",
        f"{clock(left)} left" if left else "",
        f"{total.tables_done} of {total.tables} tables complete",
        f"{stream.depth:,} changes on their way" if stream.depth else "",
    ]
    below = Text("  " + ", ".join(part for part in parts if part), style="dim")
    why = stream.finding.why if stream.finding.severity >= Severity.LOOK and stream.finding.word != "copying" else ""
    said = [Padding(Text(why, style=LOOKS[stream.finding.severity][1]), (0, 0, 0, 2))] if why else []
    return [line, below, *said]


def clock(seconds: float) -> str:
    """0:00:41"""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
