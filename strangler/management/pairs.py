"""Two answers side by side, for a terminal: what differs is marked, what is alike is left out but for its surroundings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from strangler.control.parity.models import ParityPair
from strangler.management import render

AROUND, MOST_LINES = 3, 2000
STYLES = {"equal": ("", " "), "replace": ("yellow", "|"), "delete": ("red", "<"), "insert": ("green", ">")}
Line = tuple[str, str, str]
"""How they compare (a tag of ``SequenceMatcher``), and the line of either side."""


def shown(pair: ParityPair) -> list[RenderableType]:
    head = f"{render.heading(f'{pair.method} {pair.target}')} {pair.at:%Y-%m-%d %H:%M:%S}"
    rows = [("field", "kind", "owner", "service")]
    rows += [(one["field"], one["kind"], _said(one["old"]), _said(one["new"])) for one in pair.differences]
    return [head, f"  {escape(pair.endpoint)}", render.grid(rows), "", _table(pair)]


def _said(value: str | None) -> str:
    return "nothing" if value is None else value


def _table(pair: ParityPair) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(width=1)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text("owner", style="bold"), "", Text("service", style="bold"))
    for tag, old, new in beside(lines(pair.old), lines(pair.new)):
        style, sign = STYLES[tag]
        table.add_row(Text(old, style=style), Text(sign, style=style), Text(new, style=style))
    return table


def lines(answer: dict[str, Any]) -> list[str]:
    """Status, headers and body, a line each; JSON with its keys in order."""
    body = answer.get("body")
    try:
        text = json.dumps(json.loads(body), indent=2, sort_keys=True, ensure_ascii=False) if body else ""
    except ValueError:
        text = str(body)
    if body is None:
        text = f"({answer.get('length')} bytes)"
    headers = [f"{name}: {value}" for name, value in sorted(answer.get("headers", {}).items())]
    return [str(answer.get("status")), *headers, "", *text.splitlines()][:MOST_LINES]


def beside(old: list[str], new: list[str]) -> Iterator[Line]:
    """The lines of both, aligned, in groups around what differs."""
    matcher = SequenceMatcher(None, old, new, autojunk=len(old) > 500)
    for number, group in enumerate(matcher.get_grouped_opcodes(AROUND)):
        if number:
            yield "equal", "…", "…"
        for tag, low, high, start, end in group:
            for place in range(max(high - low, end - start)):
                left = old[low + place] if low + place < high else ""
                right = new[start + place] if start + place < end else ""
                yield tag, left, right
