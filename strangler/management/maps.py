"""The ledger on a terminal: short, the weightiest first, and never silently less: what is left out is counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import markup
from rich.console import RenderableType
from rich.padding import Padding

from strangler.analysis.reports import words
from strangler.analysis.reports.crossings import Crossing, crossings
from strangler.analysis.reports.judging import Judged, told
from strangler.analysis.reports.picture import CONTROL
from strangler.domain.coupling.atlas import PLATFORM, PROJECT
from strangler.domain.coupling.edges import Edge, Kind, Skipped
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.proposal import Proposal
from strangler.domain.coupling.quote import Quote
from strangler.domain.coupling.whatif import difference
from strangler.domain.coupling.wording import cycle, rows
from strangler.domain.durations import about
from strangler.management.answer import Line, Whole
from strangler.management.screen import grid, heading

PAIRS, EDGES, RANKS, REASONS, TERMS = 12, 8, 8, 6, 6
LONGEST = 160  # letters of a source line or a statement
BESIDE, BELOW = (0, 0, 0, 2), (0, 0, 0, 4)
Shown = list[RenderableType]


def escape(text: str) -> str:
    """Neither rich's markup nor the terminal's own sequences: code and names of files are others' words."""
    return markup.escape(_plain(text))


def _plain(text: str) -> str:
    return CONTROL.sub("\ufffd", text.replace("\n", "\ufffd").replace("\r", "\ufffd"))


def overview(judged: Judged, *, every: bool) -> Shown:
    ledger = judged.ledger
    listed = crossings(ledger)
    shown: Shown = [_head(listed), Whole(escape(words.looked_at(ledger))), _declared(ledger)]
    shown += _section("who knows whom", [_pair(one) for one in listed], PAIRS, every, "pairs")
    rings = [cycle(one) for one in judged.cycles]
    shown += _section("cycles", rings, PAIRS, every, "cycles")
    shown += _exercise(judged, every)
    ranks = [(str(one.place), one.reason) for one in judged.ranking]
    shown += _section("which to take out first", ranks, RANKS, every, "contexts")
    shown += _skipped(ledger.skipped, every)
    first = judged.ranking[0].context if judged.ranking else ""
    if first:
        shown.append(
            Whole(escape(f"one of them: strangler analyze {first}   to click through: strangler analyze --html map.html"))
        )
    return [each for each in shown if each != ""]


def _exercise(judged: Judged, every: bool) -> Shown:
    found = judged.exercise
    if found is None:
        return []
    unseen, idle = ([_declared_as(edge) for edge in edges] for edges in (found.unseen, found.idle))
    return [
        *_section(f"seen to run, and declared nowhere: {len(unseen)}", unseen, REASONS, every, "crossings"),
        *_section(f"declared, and never seen to run: {len(idle)}", idle, REASONS, every, "crossings"),
    ]


def _declared_as(edge: Edge) -> tuple[str, ...]:
    return edge.kind.value, f"{edge.source} → {edge.target}", edge.what, edge.where


def context(judged: Judged, one: Quote, *, every: bool) -> Shown:
    shown: Shown = [heading(_plain(one.context)) + ("" if one.declared else "  (declared by nobody: its app stands for it)")]
    costs = [*_costs(one, every), ("looked at", words.looked_at(judged.ledger))]
    shown.append(grid([(what, _plain(said)) for what, said in costs]))
    listed = judged.weighed(one.context)
    shown.append(heading("crossings, the dearest first" if listed else "nothing crosses"))
    for edge in listed if every else listed[:EDGES]:
        shown += _edge(edge, told(judged.advice(edge, one.context)))
    if not every and len(listed) > EDGES:
        shown.append(Whole(escape(f"  and {len(listed) - EDGES} more: strangler analyze {one.context} --all")))
    return [*shown, *_skipped(judged.ledger.skipped, every)]


def _costs(one: Quote, every: bool) -> list[tuple[str, str]]:
    """The rows of a quote; of the difficulty's terms, which are indented, the dearest."""
    listed = list(rows(one))
    terms = [row for row in listed if row[0].startswith("  ")]
    if every or len(terms) <= TERMS:
        return listed
    last = listed.index(terms[TERMS - 1])
    rest = sum(term.points for term in one.difficulty.terms[TERMS:])
    smaller = ("", f"{rest:.3g}  {words.counted(len(terms) - TERMS, 'smaller terms')}: --all")
    return [*listed[: last + 1], smaller, *(row for row in listed[last + 1 :] if row not in terms)]


def what_if(pairs: Sequence[tuple[Quote, Quote]], *, every: bool) -> Shown:
    shown: Shown = []
    for before, after in pairs:
        changes = difference(before, after)
        if changes:
            shown.append(
                heading(_plain(before.context if before.context == after.context else f"{before.context} → {after.context}"))
            )
            shown.append(grid([(each.what, _figure(each.before), "→", _figure(each.after)) for each in changes]))
        elif every or len(pairs) == 1:
            shown.append(f"{heading(_plain(before.context))} nothing changes")
    return shown or ["nothing changes"]


def proposed(found: Proposal, lines: str, file: Path, *, written: bool) -> Shown:
    """``lines``: what the file would be given, or was."""
    if not found.clusters:
        return ["nothing to group: there are no apps of the project's own"]
    shown: Shown = [heading(f"{words.counted(len(found.clusters), 'contexts')} proposed") + f", modularity {found.modularity:g}"]
    if lines and file.exists():
        shown.append(escape(f"what {file.name} does not declare yet:"))
    shown += [Line(lines.strip("\n"))] if lines else [escape(f"{file} declares all of these apps already")]
    if found.loose:
        shown.append(escape(f"nothing ties these to anybody, leave them where they are: {', '.join(found.loose)}"))
    if lines:
        how = (
            f"written: {file}; edit it as you like"
            if written
            else f"nothing was written; to append it to {file}: --propose --write"
        )
        shown.append(Whole(escape(how)))
    return shown


def recorded(path: Path, age_s: float) -> str:
    return Whole(escape(f"recorded: {path}, {about(age_s)} old"))


def written(path: Path) -> str:
    return Whole(escape(f"written: {path}"))


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:,g}" if isinstance(value, float) else f"{value:,}"


def _head(listed: Sequence[Crossing]) -> str:
    count = sum(len(one.edges) for one in listed)
    said = f"{words.counted(count, 'crossings')} between {words.counted(len(listed), 'pairs')} of contexts"
    agreed = sum(edge.kind is Kind.SEAM for one in listed for edge in one.edges if not one.composition)
    wiring = sum(len(one.edges) for one in listed if one.composition)
    parts = [f"{agreed} of them through a contract"] if agreed else []
    parts += [f"{wiring} the project's own wiring"] if wiring else []
    return ", ".join([heading(said), *parts])


def _declared(ledger: Ledger) -> str:
    implicit = [
        one.name for one in ledger.contexts.values() if not one.declared and one.apps and one.name not in (PROJECT, PLATFORM)
    ]
    if not any(one.declared for one in ledger.contexts.values()):
        return "no context is declared, so each app is one; to group them: strangler analyze --propose"
    return escape(f"declared by nobody, each a context by itself: {', '.join(implicit)}") if implicit else ""


def _pair(one: Crossing) -> tuple[str, ...]:
    return (
        f"{one.source} → {one.target}",
        str(len(one.edges)),
        ", ".join(f"{kind.value} {count}" for kind, count in one.kinds.items()),
    )


def _section(title: str, rows: Sequence[tuple[str, ...]], most: int, every: bool, what: str) -> Shown:
    if not rows:
        return []
    kept = rows if every else rows[:most]
    more = [f"  and {words.counted(len(rows) - len(kept), what)} more: --all"] if len(rows) > len(kept) else []
    return [heading(title), grid([tuple(map(_plain, row)) for row in kept]), *more]


def _edge(edge: Edge, advice: str) -> Shown:
    """What it is, where it stands with the source line, and what to do about it."""
    note = f"  ({edge.note})" if edge.note else ""
    head = f"[bold]{edge.kind.value}[/] {escape(f'{edge.source} → {edge.target}  {edge.what}{note}')}"
    lines = []
    for proof in edge.evidence[:2]:
        seen = words.ran(proof)
        place = words.place(proof) or edge.where
        lines.append(escape(f"{place}  {_short(proof.text)}" + (f"  [{seen}]" if seen else "")))
    if not edge.evidence:
        lines.append(escape(edge.where))
    if len(edge.evidence) > 2:
        lines.append(f"and {words.counted(len(edge.evidence) - 2, 'places')} more")
    below = (Padding(line, BELOW, expand=False) for line in (*lines, escape(f"→ {advice}")))
    return [Padding(head, BESIDE, expand=False), *below]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _skipped(listed: tuple[Skipped, ...], every: bool) -> Shown:
    if not listed:
        return []
    rows = [(one.what, one.where, one.why) for one in listed] if every else list(words.skipped(listed))
    return _section(f"not looked at: {len(listed)}", rows, REASONS, every, "reasons")
