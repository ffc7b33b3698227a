"""The terminal: how wide it is, columns without lines, signs. Needs no models, so that it works where Django can't be set up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from strangler.domain.gates import State

SIGNS = {State.PASS: "[green]✓[/]", State.FAIL: "[red]✗[/]", State.UNKNOWN: "[yellow]?[/]"}
OVERRIDDEN = "[yellow]![/]"


def console(*, stderr: bool = False) -> Console:
    """A pipe or a log is as wide as a sentence needs; a terminal is as wide as it is."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=160, no_color=True)


def grid(rows: Iterable[Sequence[str]], *, indent: int = 2) -> Table:
    """Aligned columns without lines; every cell but the first may wrap."""
    table = Table.grid(padding=(0, 2, 0, 0))
    listed = [[escape_unless_sign(cell) for cell in row] for row in rows]
    for place in range(max((len(row) for row in listed), default=1)):
        table.add_column(no_wrap=place == 0)
    for row in listed:
        table.add_row(" " * indent + row[0], *row[1:])
    return table


def escape_unless_sign(cell: str) -> str:
    return cell if cell in (*SIGNS.values(), OVERRIDDEN) else escape(cell)


def heading(text: str) -> str:
    return f"[bold]{escape(text)}[/]"
