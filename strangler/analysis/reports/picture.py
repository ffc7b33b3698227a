"""The map as SVG: contexts as discs that grow with their tables, crossings as arrows that grow with their number.

Colours come from a style sheet (``STYLE``) by the class of a family, so a page can be light and dark. Nothing depends on a font's
real width, and all numbers are rounded: the same ledger gives the same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

from strangler.analysis.reports.crossings import Crossing, crossings
from strangler.analysis.reports.families import FAMILIES, Family
from strangler.analysis.reports.layout import HEIGHT, WIDTH, Place, places
from strangler.domain.coupling.atlas import PLATFORM, PROJECT
from strangler.domain.coupling.ledger import ContextFacts, Ledger

LABELLED = 24  # so many arrows may have their number beside them before it is a muddle
CLEAR = 60  # and so many may be as wide as they like
LONGEST = 24  # letters of a name; the whole stands in its title
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
ASIDE = 0.3  # cosine from which a name stands beside its disc, not above or below
LEFT = 24
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"


def quoted(text: object) -> str:
    """For text and attributes, of HTML and of SVG: names of files and code may hold anything."""
    return escape(CONTROL.sub("\ufffd", str(text)), quote=True)


def style(ground: str = "light") -> str:
    """``ground``: "light" or "dark"."""
    dark = ground == "dark"
    ink, soft, paper, line = (
        ("#f2f4f7", "#98a2b3", "#10151f", "#475467") if dark else ("#101828", "#475467", "#ffffff", "#98a2b3")
    )
    rules = [f"text{{fill:{ink};stroke:{paper};stroke-width:4;paint-order:stroke;font-family:{FONT}}}"]
    rules += [f".note{{fill:{soft}}}", f".disc circle{{fill:{paper};stroke:{line};stroke-width:2}}"]
    rules += [".implicit circle{stroke-dasharray:5 4}", f".disc .inside{{fill:{ink};stroke:none}}"]
    rules += [".arrow path{fill:none;stroke-linecap:round}", ".arrow .reach{stroke:transparent;stroke-width:14}"]
    rules += [".composition .line{stroke-dasharray:3 5;opacity:.6}"]
    for family in FAMILIES:
        colour = family.dark if dark else family.light
        rules.append(f".{family.name} .line{{stroke:{colour}}} .{family.name} .head{{fill:{colour}}}")
        rules.append(f".{family.name} text{{fill:{colour}}}")
    return "\n".join(f".map {rule.replace('} .', '} .map .')}" for rule in rules)


def shown(ledger: Ledger) -> tuple[list[ContextFacts], tuple[Crossing, ...]]:
    """The contexts that have something to show, and the crossings between them."""
    listed = crossings(ledger)
    ends = {end for one in listed for end in (one.source, one.target)}
    drawn = [facts for name, facts in ledger.contexts.items() if name in ends or (name not in (PROJECT, PLATFORM) and facts.apps)]
    known = {facts.name for facts in drawn}
    return [*drawn, *(ContextFacts(name, declared=False) for name in sorted(ends - known))], listed


def drawing(ledger: Ledger, title: str = "The coupling map", *, standalone: bool = False, project: bool = True) -> str:
    """One ``<svg>`` element. ``standalone``: a file of its own, with style and legend; else each part is a link to ``#pair-N``
    (N: its place among ``crossings``) or ``#context-N`` (its place among ``shown``). ``project`` false: without it."""
    contexts, listed = shown(ledger)
    if not project:
        contexts = [facts for facts in contexts if facts.name != PROJECT]
        listed = tuple(one for one in listed if PROJECT not in (one.source, one.target))
    at = places([facts.name for facts in contexts], {(one.source, one.target): len(one.edges) for one in listed})
    radius = {facts.name: _radius(facts, len(contexts)) for facts in contexts}
    thin = min(1.0, math.sqrt(CLEAR / max(len(listed), 1)))
    lines = [_arrow(one, at, radius, thin, labelled=len(listed) <= LABELLED) for one in listed]
    arrows = [_part(f"pair-{index}", *line, standalone) for index, line in enumerate(lines)]
    outward = _outward(at) if len(contexts) > 14 else {}
    circles = [_disc(facts, at[facts.name], radius[facts.name], len(contexts), outward.get(facts.name, 0)) for facts in contexts]
    discs = [_part(f"context-{index}", *circle, standalone) for index, circle in enumerate(circles)]
    used = [family for family in FAMILIES if any(one.family == family for one in listed)]
    legend, more = _legend(used) if standalone else ("", 0)
    space, role = (' xmlns="http://www.w3.org/2000/svg"', "img") if standalone else ("", "group")
    said = f"{len(contexts)} contexts; {sum(len(one.edges) for one in listed)} crossings between {len(listed)} pairs of them."
    parts = [
        f'<svg{space} class="map" viewBox="0 0 {WIDTH} {HEIGHT + more}" role="{role}" aria-labelledby="map-title map-said">',
        f'<title id="map-title">{quoted(title)}</title><desc id="map-said">{quoted(said)}</desc>',
    ]
    if standalone:
        parts += [f"<style>{style()}</style>", f'<rect width="{WIDTH}" height="{HEIGHT + more}" rx="14" fill="#ffffff"/>']
    parts += ['<g class="arrows">', *arrows, "</g>", '<g class="discs">', *discs, "</g>"]
    return "\n".join([*parts, *filter(None, [legend]), "</svg>"]) + "\n"


def _radius(facts: ContextFacts, count: int) -> float:
    """The area says how many tables; where many stand on the oval, each is smaller."""
    room = min(1.0, 16 / max(count, 1))
    return round(room * min(54, 16 + 9 * math.sqrt(len(facts.tables))), 1)


def _outward(at: dict[str, Place]) -> dict[str, int]:
    """At top and bottom names would touch: every other one stands further out."""
    poles = [name for name, place in at.items() if abs(math.cos(place.angle)) <= ASIDE]
    poles.sort(key=lambda name: (at[name].y > HEIGHT / 2, at[name].x))
    return {name: 18 * (index % 2) for index, name in enumerate(poles)}


def _part(identity: str, looks: str, said: str, inner: str, standalone: bool) -> str:
    """A link to what is told of it, or without one a group that shows its title."""
    if standalone:
        return f'<g class="{looks}"><title>{quoted(said)}</title>{inner}</g>'
    return f'<a class="{looks}" href="#{identity}" aria-label="{quoted(said)}"><title>{quoted(said)}</title>{inner}</a>'


def width(count: int) -> float:
    return min(9.0, 1 + 1.1 * math.log2(1 + count))


def _arrow(one: Crossing, at: dict[str, Place], radius: dict[str, float], thin: float, *, labelled: bool) -> tuple[str, str, str]:
    """Class, title, and what is drawn."""
    wide = round(width(len(one.edges)) * thin, 1)
    tip = (7 + 1.5 * wide) * max(thin, 0.6)
    (ax, ay), (cx, cy), (bx, by) = _curve(at[one.source], at[one.target], radius[one.source] + 3, radius[one.target] + 4)
    ux, uy = _unit(bx - cx, by - cy)
    ex, ey = bx - tip * ux, by - tip * uy  # where the line ends and its head begins
    half = tip * 0.45
    head = f"M{_n(bx)} {_n(by)}L{_n(ex - half * uy)} {_n(ey + half * ux)}L{_n(ex + half * uy)} {_n(ey - half * ux)}z"
    line = f"M{_n(ax)} {_n(ay)}Q{_n(cx)} {_n(cy)} {_n(ex)} {_n(ey)}"
    inner = (
        f'<path class="reach" d="{line}"/><path class="line" stroke-width="{wide}" d="{line}"/><path class="head" d="{head}"/>'
    )
    if labelled:
        x, y = 0.25 * ax + 0.5 * cx + 0.25 * bx, 0.25 * ay + 0.5 * cy + 0.25 * by + 5
        inner += f'<text x="{_n(x)}" y="{_n(y)}" font-size="14" text-anchor="middle">{len(one.edges)}</text>'
    kinds = ", ".join(f"{count} {kind.value}" for kind, count in one.kinds.items())
    looks = f"arrow {one.family.name}{' composition' if one.composition else ''}"
    return looks, f"{one.source} → {one.target}: {kinds}", inner


Point = tuple[float, float]


def _curve(source: Place, target: Place, leave: float, arrive: float) -> tuple[Point, Point, Point]:
    """A quadratic curve that bends to the middle of the oval, and a little to its own left: there and back are two lines."""
    mx, my = (source.x + target.x) / 2, (source.y + target.y) / 2
    ux, uy = _unit(target.x - source.x, target.y - source.y)
    far = math.hypot(target.x - source.x, target.y - source.y)
    aside = 0.09 * far
    cx = mx + 0.22 * (WIDTH / 2 - mx) + aside * uy
    cy = my + 0.22 * (HEIGHT / 2 - my) - aside * ux
    sx, sy = _unit(cx - source.x, cy - source.y)
    tx, ty = _unit(target.x - cx, target.y - cy)
    return (source.x + leave * sx, source.y + leave * sy), (cx, cy), (target.x - arrive * tx, target.y - arrive * ty)


def _unit(x: float, y: float) -> Point:
    size = math.hypot(x, y) or 1.0
    return x / size, y / size


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _disc(facts: ContextFacts, place: Place, radius: float, among: int, outward: int) -> tuple[str, str, str]:
    tables = len(facts.tables)
    cos, sin = math.cos(place.angle), math.sin(place.angle)
    anchor = "start" if cos > ASIDE else "end" if cos < -ASIDE else "middle"
    x, y = place.x + (radius + 9) * cos, place.y + (radius + 16) * sin + 5 + math.copysign(outward, sin)
    size = 17 if among <= 14 else 14
    name = facts.name if len(facts.name) <= LONGEST else facts.name[: LONGEST - 1] + "…"
    inner = (
        f'<circle cx="{_n(place.x)}" cy="{_n(place.y)}" r="{_n(radius)}"/>'
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size}" font-weight="600" text-anchor="{anchor}">{quoted(name)}</text>'
        f'<text class="inside" x="{_n(place.x)}" y="{_n(place.y + 5)}" font-size="14" text-anchor="middle">{tables or ""}</text>'
    )
    looks = "disc" if facts.declared else "disc implicit"
    return looks, f"{facts.name}: {tables} table{'' if tables == 1 else 's'}", inner


def _legend(used: Sequence[Family]) -> tuple[str, int]:
    """What is drawn below the map, and how high it is."""
    drawn, x, y = [], LEFT, HEIGHT + 18
    for family in used:
        wide = 62 + 8 * len(family.title)
        if x + wide > WIDTH:
            x, y = LEFT, y + 26
        drawn.append(
            f'<g class="arrow {family.name}"><path class="line" stroke-width="4" d="M{x} {y}h26"/></g>'
            f'<text class="note" x="{x + 34}" y="{y + 5}" font-size="14">{quoted(family.title)}</text>'
        )
        x += wide
    return f'<g class="legend">{"".join(drawn)}</g>', y + 26 - HEIGHT
