"""What templates name: other templates, and URLs. Read as text, as Django's lexer and Jinja's would, without rendering."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.static.source import Finding, Project
from strangler.analysis.static.urls import by_name
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.edges import Edge, Evidence, Found, Kind, Skipped

MARKS = re.compile(r"({%.*?%}|{{.*?}}|{#.*?#})")  # Django's tags end on their line
JINJAS = re.compile(MARKS.pattern, re.DOTALL)
WORDS = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
LITERALS = re.compile(r"""\[?\(?(?:\s*(?:"[^"]*"|'[^']*')\s*,?)+\)?\]?""")
TEXT = re.compile(r""""([^"]*)"|'([^']*)'""")
RENDERS = {"extends", "include", "import", "from"}  # the last two are Jinja's
CALLED = re.compile(r"""\b(?:url|url_for|reverse)\(\s*(?:"([^"]*)"|'([^']*)')""")
UNREAD = {"comment", "verbatim", "raw"}
LARGEST = 4_000_000  # bytes; what is larger was made by a machine


class Tag(NamedTuple):
    """``words``: of ``{% url 'shop:cart' %}``, ``["url", "'shop:cart'"]``; of ``{{ … }}``, its text alone."""

    line: int
    words: list[str]
    text: str


def wires_in_templates(project: Project) -> Found:
    """``extends``, ``include`` and ``url`` with a literal name, in the project's own templates."""
    edges: dict[tuple[str, ...], Edge] = {}
    skipped: list[Skipped] = []
    looked = 0
    for name, context, path in templates(project):
        file = project.named(path)
        looked += 1
        try:
            text = content(path)
        except (OSError, ValueError) as error:
            skipped.append(Skipped("template", file, str(error)))
            continue
        for tag in tags(text, jinja="jinja2" in path.parts):
            for finding in _named(project, context, name, path, tag):
                if project.atlas.crosses(context, finding.target):
                    proof = Evidence(file, tag.line, tag.text)
                    edge = Edge(finding.kind, context, finding.target, file, finding.what, "", (proof,))
                    known = edges.get(edge.key)
                    edges[edge.key] = edge if known is None else replace(known, evidence=(*known.evidence, proof))
    return Found(tuple(edges.values()), tuple(skipped), {"templates": looked})


def templates(project: Project) -> Iterator[tuple[str, str, Path]]:
    """Name, context and file of each that is the project's own; also of those behind another of that name."""
    for name, first in sorted(project.templates.items()):
        for context, path in (first, *project.shadowed.get(name, ())):
            if context != PLATFORM:
                yield name, context, path


def content(path: Path) -> str:
    """Raises ``ValueError`` for what is no text, and for what is too large to be one that somebody wrote."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 1_000_000} MB")
    return path.read_bytes().decode("utf-8-sig")


def tags(text: str, *, jinja: bool = False) -> Iterator[Tag]:
    """In order; nothing of comments, nor of what is to be shown as it stands."""
    line = 1
    until: list[str] = []
    for number, part in enumerate((JINJAS if jinja else MARKS).split(text)):
        if number % 2 and part.startswith("{%"):
            words = WORDS.findall(part[2:-2].strip("-+ \t\n\r"))
            if until:
                until = [] if words == until or words[:1] == until == ["endcomment"] else until
            elif words and words[0] in UNREAD:
                until = [f"end{words[0]}", *(words[1:] if words[0] == "verbatim" else ())]
            elif words:
                yield Tag(line, words, part)
        elif number % 2 and part.startswith("{{") and not until:
            yield Tag(line, [], part)
        line += part.count("\n")


def _named(project: Project, context: str, name: str, path: Path, tag: Tag) -> Iterator[Finding]:
    if not tag.words or tag.words[0] not in (*RENDERS, "url"):
        for match in CALLED.finditer(tag.text):
            yield from by_name(project, context, match[1] or match[2])
    elif tag.words[0] == "url":
        for text in _literal(tag.words[1:2]):
            yield from by_name(project, context, text)
    else:
        for text in _literal(tag.words[1:]):
            yield from _template(project, name, path, text)


def _literal(words: list[str]) -> list[str]:
    """``"x.html"`` of ``"x.html" with a="b"``; both of Jinja's ``["a.html", "b.html"]``; not ``"a"|add:b``, nor a variable."""
    if not words:
        return []
    told = words[0]
    if told.startswith(("[", "(")):
        told = " ".join(words)
        told = told[: max(told.find("]"), told.find(")")) + 1]
    return [double or single for double, single in TEXT.findall(told)] if LITERALS.fullmatch(told) else []


def _template(project: Project, name: str, path: Path, told: str) -> Iterator[Finding]:
    """The first of that name; where it is the file's own, the one behind it, which it overrides."""
    if told.startswith(("./", "../")):
        told = posixpath.normpath(posixpath.join(posixpath.dirname(name), told))
    known = [project.templates[told], *project.shadowed.get(told, ())] if told in project.templates else []
    if told == name:
        files = [file for _, file in known]
        known = known[files.index(path) + 1 :] if path in files else []
    if known:
        yield Finding(Kind.TEMPLATE, known[0][0], told)
