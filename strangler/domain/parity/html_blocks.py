"""HTML as a reader sees it: blocks of text, and the attributes that lead somewhere, in order.

A page is cut at each ``<``, which is linear in its length whatever it holds (``html.parser`` is quadratic in unclosed ``<!--``).
CSRF tokens are masked: they differ in each answer, and say nothing. Where quotes hold a ``>`` both sides are misread alike.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from strangler.domain.parity.difference import Found, Kind
from strangler.domain.parity.rules import NO_RULES, Ruleset
from strangler.domain.parity.sequences import align, common_ends

Block = tuple[str, str]
"""A label (``p``, ``#cart td``, ``a@href``) and its text."""

# Inline elements belong to the text around them; all others begin a block of their own.
PHRASING = "a abbr b bdi bdo br cite code data dfn em i kbd mark q s samp small span strong sub sup time u var wbr"
INLINE = frozenset(PHRASING.split())
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
RAW = frozenset({"script", "style", "textarea", "title"})
TELLING = frozenset({"href", "src", "action", "value"})
ATTRIBUTE = re.compile(r"""([a-zA-Z][\w:-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""")
TAG = re.compile(r"(/?)([a-zA-Z][a-zA-Z0-9-]{0,30})")
SPACE = re.compile(r"\s+")
# Django's tokens, masked or not, and whatever names itself so.
TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{64}|[A-Za-z0-9]{32})(?![A-Za-z0-9])")
MOST_DEPTH = 200
NUMBERED = re.compile(r"\d+|[0-9a-f]{8}-[0-9a-f-]{27}", re.IGNORECASE)


def html_differences(old: str, new: str, found: Found, rules: Ruleset = NO_RULES) -> None:
    olds, news = _compared(old, rules), _compared(new, rules)
    start, end = common_ends(olds, news)
    olds, news = olds[start : len(olds) - end], news[start : len(news) - end]
    aligned = align(olds, news)
    if aligned.moved:
        found.add("text", Kind.ORDER, _heads(olds), _heads(news))
    left_old, left_new = _by_label(olds[place] for place in aligned.old), _by_label(news[place] for place in aligned.new)
    for label, texts in left_old.items():
        others = left_new.get(label, [])
        if others:
            found.add(f"text {label}", Kind.VALUE, texts[0], others[0])
        if len(texts) > len(others):
            found.add(f"text {label}", Kind.MISSING, texts[len(others)], None)
    for label, texts in left_new.items():
        others = left_old.get(label, [])
        if len(texts) > len(others):
            found.add(f"text {label}", Kind.EXTRA, None, texts[len(others)])


def _compared(page: str, rules: Ruleset) -> list[Block]:
    """The blocks without those that are ignored, each in its one spelling."""
    if not rules.rules:
        return list(blocks(page))
    named = ((label, text, f"text {label}") for label, text in blocks(page))
    return [(label, rules.text(place, text)) for label, text, place in named if not rules.ignores(place)]


def _heads(found: list[Block]) -> str:
    return " | ".join(text for _, text in found[:5])


def _by_label(found: Iterator[Block]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for label, text in found:
        labels.setdefault(label, []).append(text)
    return labels


def blocks(page: str) -> Iterator[Block]:
    return _Page().read(page)


class _Page:
    def __init__(self) -> None:
        self.open: list[tuple[str, str]] = []  # (tag, its label)
        self.text: list[str] = []

    def read(self, page: str) -> Iterator[Block]:
        first, *pieces = page.split("<")
        self.text.append(first)
        until = ""  # what ends the comment or raw text that we are in
        for piece in pieces:
            if until == "-->":
                _, ended, rest = piece.partition("-->")
                self.text.append(rest)
                until = "" if ended else until
            elif until and not piece.lower().startswith(until):
                self.text.append("<" + piece)
            elif piece.startswith("!--"):
                _, ended, rest = piece[3:].partition("-->")
                self.text.append(rest)
                until = "" if ended else "-->"
            else:
                until = ""
                tag = TAG.match(piece)
                if tag is None:
                    self.text.append("<" + piece if piece[:1] not in ("!", "?") else piece.partition(">")[2])
                    continue
                inside, _, rest = piece.partition(">")
                name = tag[2].lower()
                yield from self.closed(name) if tag[1] else self.opened(name, inside)
                self.text.append(rest)
                until = f"/{name}" if name in RAW and not tag[1] else ""
        yield from self.flushed()

    def label(self) -> str:
        return self.open[-1][1] if self.open else "body"

    def flushed(self) -> Iterator[Block]:
        text = "".join(self.text)
        self.text.clear()
        if text and not text.isspace() and not self.within("style"):
            shown = SPACE.sub(" ", html.unescape(text)).strip()
            yield self.label(), TOKEN.sub("•••", shown) if "csrf" in shown.lower() else shown

    def within(self, tag: str) -> bool:
        return bool(self.open) and self.open[-1][0] == tag

    def opened(self, tag: str, inside: str) -> Iterator[Block]:
        attributes = (
            {key.lower(): one or two or three for key, one, two, three in ATTRIBUTE.findall(inside)} if "=" in inside else {}
        )
        if tag not in INLINE:
            yield from self.flushed()
        place = self.section(attributes.get("id", ""))
        secret = "csrf" in attributes.get("name", "").lower()
        for key in attributes:
            if key in TELLING:
                yield f"{place}{tag}@{key}", "•••" if secret else html.unescape(attributes[key])
        if tag not in INLINE and tag not in VOID and len(self.open) < MOST_DEPTH:
            self.open.append((tag, f"{place}{tag}"))

    def section(self, own: str) -> str:
        """The nearest element with an id, by which a block is found on the page; numbers in it say which one, not what."""
        if own:
            return "#" + NUMBERED.sub("*", own)[:40] + " "
        above = self.label()
        return above.partition(" ")[0] + " " if above[:1] == "#" else ""

    def closed(self, tag: str) -> Iterator[Block]:
        if tag in INLINE or tag in VOID:
            return
        yield from self.flushed()
        for back in range(1, min(len(self.open), 20) + 1):
            if self.open[-back][0] == tag:
                del self.open[-back:]
                return
