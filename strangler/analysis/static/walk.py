"""One walk over a module, whose nodes every detector is shown that asked for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from strangler.analysis.static.names import Exports
from strangler.analysis.static.reading import Unreadable, loaded, parsed
from strangler.analysis.static.source import Detector, Finding, Project, Source
from strangler.analysis.static.visiting import visited
from strangler.domain.coupling.edges import Edge, Evidence, Found, Skipped, joined

Detectors = Sequence[type[Detector]]
Files = Sequence[tuple[str, Path]]
"""Modules, and the files that they stand in."""


class Failed(Exception):
    """A detector that did not get through a file: a bug of ours, which takes what it would have seen there and no more."""

    def __init__(self, detector: type[Detector], line: int, error: Exception) -> None:
        super().__init__(f"{detector.__name__} failed at line {line}: {type(error).__name__}: {error}")
        self.detector = detector


@dataclass
class Part:
    """What some files gave."""

    edges: list[Edge] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    files: int = 0
    lines: int = 0


def scan(project: Project, detectors: Detectors) -> Found:
    """In this process."""
    return found(project, [look_at(project, sorted(project.files.items()), detectors, Exports(project.files))])


def found(project: Project, parts: Iterable[Part]) -> Found:
    parts = list(parts)
    edges = tuple(edge for part in parts for edge in part.edges)
    skipped = (*project.skipped, *(one for part in parts for one in part.skipped))
    return Found(edges, skipped, {"files": sum(part.files for part in parts), "lines": sum(part.lines for part in parts)})


def look_at(project: Project, files: Files, detectors: Detectors, exports: Exports) -> Part:
    part = Part()
    for module, path in files:
        _add(part, project, module, path, detectors, exports)
    return part


def _add(part: Part, project: Project, module: str, path: Path, detectors: Detectors, exports: Exports) -> None:
    """One file. Its tree is gone when this returns: the next one is built in the same memory, which is much faster."""
    part.files += 1
    file = project.named(path, module)
    try:
        text = loaded(path)
        part.lines += text.count(b"\n")
        source = parsed(project, module, file, text, exports)
    except Unreadable as error:
        part.skipped.append(Skipped("file", file, str(error)))
        return
    asked = [one for one in detectors if _asked(one, text)]
    while asked:
        try:
            part.edges += joined(look(project, source, asked))
            return
        except Failed as failure:
            part.skipped.append(Skipped("file", file, str(failure)))
            asked.remove(failure.detector)


def _asked(detector: type[Detector], text: bytes) -> bool:
    words: tuple[bytes, ...] | re.Pattern[bytes] = getattr(detector, "words", ())
    if isinstance(words, re.Pattern):
        return bool(words.search(text))
    return not words or any(word in text for word in words)


def read(project: Project, module: str, file: str, text: bytes) -> Source:
    """Raises ``Unreadable``."""
    return parsed(project, module, file, text, Exports(project.files))


def look(project: Project, source: Source, detectors: Detectors) -> Iterator[Edge]:
    """Raises ``Failed``."""
    asked: dict[type[ast.AST], list[Detector]] = {}
    for each in detectors:
        made = each(project, source)
        for kind in made.nodes:
            asked.setdefault(kind, []).append(made)
    for node in visited(source, asked):
        for detector in asked[node.__class__]:
            try:
                for finding in detector.look(node):
                    if project.atlas.crosses(source.context, finding.target):
                        yield _edge(source, finding, getattr(node, "lineno", 0))
            except Exception as error:
                raise Failed(type(detector), getattr(node, "lineno", 0), error) from error


def _edge(source: Source, finding: Finding, line: int) -> Edge:
    line = finding.line or line
    text = source.lines[line - 1].strip() if 0 < line <= len(source.lines) else ""
    where = f"{source.file}:{finding.scope or source.scope or '*'}"
    seen = (Evidence(source.file, line, text),)
    return Edge(finding.kind, source.context, finding.target, where, finding.what, finding.note, seen, finding.models)
