"""The ledger as one page of HTML that needs nothing but itself: from a file, without a network, without scripts too.

All that is told stands in the document, so it can be read, searched and printed as it is; ``page.js`` shows one part of it at a
time beside the map. The page forbids itself everything but its own style and script, by their digests (Content Security Policy).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from strangler.analysis.reports.crossings import KINDS, Crossing, crossings
from strangler.analysis.reports.families import BY_KIND, FAMILIES
from strangler.analysis.reports.picture import drawing, quoted, shown, style
from strangler.analysis.reports.words import Rows, Words, counted, looked_at, place, ran
from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger

HERE = Path(__file__).parent
DARK = "@media (prefers-color-scheme: dark) {\n%s\n}\n"


def page(ledger: Ledger, words: Words, name: str = "") -> str:
    """``name``: the project's."""
    title = f"What crosses in {name}" if name else "The coupling map"
    listed, (contexts, _) = crossings(ledger), shown(ledger)
    sheet = (HERE / "page.css").read_text(encoding="utf-8") + _colours("light") + DARK % _colours("dark")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    numbers = {facts.name: index for index, facts in enumerate(contexts)}
    main = [_overview(ledger, listed, contexts, words)]
    main += [_context(index, facts, listed, words) for index, facts in enumerate(contexts)]
    main += [_pair(index, one, words, numbers) for index, one in enumerate(listed)]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(sheet, script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">',
            f"<title>{quoted(title)}</title>\n<style>{sheet}</style>\n</head>\n<body>",
            f"<header><h1>{quoted(title)}</h1><p>{quoted(looked_at(ledger))}</p></header>",
            '<div class="board">',
            f'<section class="plan" aria-label="Map">{_tools(ledger)}<div class="sheet">{drawing(ledger, title)}</div></section>',
            f"<main>{''.join(main)}</main>\n</div>",
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _colours(ground: str) -> str:
    swatches = [f".{one.name} > i {{ color: {one.dark if ground == 'dark' else one.light}; }}" for one in FAMILIES]
    return "\n".join([style(ground), *swatches]) + "\n"


def _policy(sheet: str, script: str) -> str:
    """Nothing is fetched, and only this style and this script are obeyed."""
    own = f"style-src '{_digest(sheet)}'; script-src '{_digest(script)}'"
    return f"default-src 'none'; {own}; img-src data:; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _tools(ledger: Ledger) -> str:
    """Hidden until the script has taken them up: without it they would do nothing."""
    kinds = [kind for kind in KINDS if any(edge.kind is kind for edge in ledger.edges)]
    families = [family for family in FAMILIES if any(BY_KIND[kind] is family for kind in kinds)]
    boxes = "".join(
        f'<label class="family {family.name}"><input type="checkbox" checked value="{family.name}"><i></i>'
        f"{quoted(family.title)}</label>"
        for family in families
    )
    options = "".join(f'<option value="{kind.value}" data-family="{BY_KIND[kind].name}">{kind.value}</option>' for kind in kinds)
    return (
        '<div class="tools" hidden>'
        '<div class="row"><input type="search" aria-label="Search in all crossings" '
        'placeholder="Search: a file, a model, a path …">'
        f'<select aria-label="Kind"><option value="">every kind</option>{options}</select>'
        '<span class="zoom"><button type="button" data-zoom="in" aria-label="Zoom in">+</button>'
        '<button type="button" data-zoom="out" aria-label="Zoom out">−</button>'
        '<button type="button" data-zoom="whole" aria-label="Show the whole map">⤢</button></span></div>'
        f'<fieldset class="row"><legend>Show</legend>{boxes}</fieldset>'
        '<p class="found" role="status"></p></div>'
    )


def _overview(ledger: Ledger, listed: tuple[Crossing, ...], contexts: list[ContextFacts], words: Words) -> str:
    numbers = {facts.name: index for index, facts in enumerate(contexts)}
    ranked = [(_to_context(name, numbers), quoted(why)) for name, why in words.ranking]
    pairs = [_line(index, one) for index, one in enumerate(listed)]
    cycles = [(quoted(members), quoted(cut)) for members, cut in words.cycles]
    skipped = [(quoted(one.what), quoted(one.where), quoted(one.why)) for one in ledger.skipped]
    return (
        '<section id="overview" tabindex="-1"><h2>Overview</h2>'
        + _table("Which context to take out first", ("context", "why it stands here"), ranked)
        + _table("Who knows whom", ("pair", "crossings", "of which kinds"), pairs)
        + _table("Cycles, and the cheapest cut", ("contexts", "cut"), cycles)
        + _table(f"Not looked at: {len(skipped)}" if skipped else "", ("what", "where", "why"), skipped)
        + "</section>"
    )


def _table(caption: str, head: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    tops = "".join(f'<th scope="col">{quoted(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{quoted(caption)}</caption><thead><tr>{tops}</tr></thead><tbody>{body}</tbody></table>"


def _line(index: int, one: Crossing) -> tuple[str, ...]:
    kinds = ", ".join(f"{count} {kind.value}" for kind, count in one.kinds.items())
    return f'<a href="#pair-{index}">{quoted(one.source)} → {quoted(one.target)}</a>', str(len(one.edges)), quoted(kinds)


def _to_context(name: str, numbers: dict[str, int]) -> str:
    return f'<a href="#context-{numbers[name]}">{quoted(name)}</a>' if name in numbers else quoted(name)


def _context(index: int, facts: ContextFacts, listed: tuple[Crossing, ...], words: Words) -> str:
    declared = "declared in strangler.toml" if facts.declared else "declared by nobody: its app stands for it"
    rows = [
        ("tables", ", ".join(one.table for one in facts.tables)),
        ("apps", ", ".join(facts.apps)),
        ("endpoints", ", ".join(facts.endpoints)),
        ("tasks", ", ".join(facts.tasks)),
        ("commands", ", ".join(facts.commands)),
        ("lines of Python", f"{facts.lines:,}" if facts.lines else ""),
    ]
    ways = [_line(number, one) for number, one in enumerate(listed) if facts.name in (one.source, one.target)]
    return (
        f'<section id="context-{index}" tabindex="-1" data-context="{index}">'
        f"<h2>{quoted(facts.name)}</h2><p>{quoted(declared)}</p>"
        + _facts("What taking it out costs", words.quotes.get(facts.name, ()))
        + _table("Crossings", ("pair", "crossings", "of which kinds"), ways)
        + _facts("What it is made of", tuple((what, said) for what, said in rows if said))
        + "</section>"
    )


def _facts(caption: str, rows: Rows) -> str:
    if not rows:
        return ""
    body = "".join(f'<tr><th scope="row">{quoted(what)}</th><td>{quoted(said)}</td></tr>' for what, said in rows)
    return f"<table><caption>{quoted(caption)}</caption><tbody>{body}</tbody></table>"


def _pair(index: int, one: Crossing, words: Words, numbers: dict[str, int]) -> str:
    ends = f'data-source="{numbers[one.source]}" data-target="{numbers[one.target]}"'
    heading = f"{_to_context(one.source, numbers)} → {_to_context(one.target, numbers)}"
    kinds = sorted(one.kinds, key=lambda kind: kind is Kind.SEAM)  # what needs no mending comes last
    ordered = sorted(one.edges, key=lambda edge: kinds.index(edge.kind))
    groups = "".join(_group(kind, list(same), words) for kind, same in groupby(ordered, key=lambda edge: edge.kind))
    said = counted(len(one.edges), "crossings")
    more = "; this is how the project is put together, and is no seam to mend" if one.composition else ""
    return f'<section id="pair-{index}" tabindex="-1" {ends}><h2>{heading}</h2><p>{said}{more}</p>{groups}</section>'


def _group(kind: Kind, edges: list[Edge], words: Words) -> str:
    heading = f'<h3 class="{BY_KIND[kind].name}"><i></i>{kind.value} <small>{len(edges)}</small></h3>'
    return f"{heading}<ul>{''.join(_items(edges, words))}</ul>"


def _items(edges: list[Edge], words: Words) -> Iterator[str]:
    for edge in edges:
        note = f" <small>{quoted(edge.note)}</small>" if edge.note else ""
        remedy = words.remedy(edge)
        told = f'<p class="remedy">{quoted(remedy)}</p>' if remedy else ""
        proofs = "".join(map(_proof, edge.evidence)) or f'<p class="at">{quoted(edge.where)}</p>'
        yield (
            f'<li data-kind="{edge.kind.value}" data-family="{BY_KIND[edge.kind].name}">'
            f"<p><b>{quoted(edge.what)}</b>{note}</p>{proofs}{told}</li>\n"
        )


def _proof(evidence: Evidence) -> str:
    seen = ran(evidence)
    text = f"<code>{quoted(evidence.text)}</code>" if evidence.text else ""
    return f'<p class="at">{quoted(place(evidence))}{f" <small>{quoted(seen)}</small>" if seen else ""}{text}</p>'
