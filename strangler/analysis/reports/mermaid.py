"""The map as a Mermaid flow chart, which GitHub draws in Markdown.

Names stand in quotes, with what Mermaid or its HTML might read otherwise as entities (``#lt;``); ids are numbers, since a context
may be called ``end``, which is a word of Mermaid's own.
"""

from __future__ import annotations

from strangler.analysis.reports.picture import CONTROL, shown
from strangler.domain.coupling.ledger import Ledger

SHOWN = 3  # kinds on an arrow; the rest is counted
PLAIN = {" ", "_", "-", ".", ",", "/"}


def chart(ledger: Ledger) -> str:
    contexts, listed = shown(ledger)
    ids = {facts.name: f"c{index}" for index, facts in enumerate(contexts)}
    lines = ["flowchart LR"]
    for facts in contexts:
        shape = ('["', '"]') if facts.declared else ('("', '")')
        tables = f"<br/>{len(facts.tables)} table{'' if len(facts.tables) == 1 else 's'}" if facts.tables else ""
        lines.append(f"  {ids[facts.name]}{shape[0]}{label(facts.name)}{tables}{shape[1]}")
    for one in listed:
        kinds = [f"{count} {kind.value}" for kind, count in one.kinds.items()]
        rest = sum(list(one.kinds.values())[SHOWN:])
        said = ", ".join(kinds[:SHOWN] + ([f"{rest} more"] if rest else []))
        arrow = "-.->" if one.composition else "-->"
        lines.append(f'  {ids[one.source]} {arrow}|"{label(said)}"| {ids[one.target]}')
    return "\n".join(lines) + "\n"


def label(text: str) -> str:
    """All but letters, figures and plain signs as ``#NUMBER;``; a label is one line."""
    plain = CONTROL.sub("\ufffd", " ".join(text.split()))
    return "".join(sign if sign.isalnum() or sign in PLAIN else f"#{ord(sign)};" for sign in plain)
