"""The text of the project's own templates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.static.source import Project
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.edges import Skipped

LARGEST = 4_000_000  # bytes; what is larger was made by a machine


class Template(NamedTuple):
    """``name``: as Django finds it. ``file``: as places have it."""

    name: str
    context: str
    path: Path
    file: str
    text: str


def templates(project: Project, skipped: list[Skipped]) -> Iterator[Template]:
    """Also those behind another one of their name. What can't be read is added to ``skipped``."""
    for name, first in sorted(project.templates.items()):
        for context, path in (first, *project.shadowed.get(name, ())):
            if context != PLATFORM:
                file = project.named(path)
                try:
                    text = _content(path)
                except (OSError, ValueError) as error:
                    skipped.append(Skipped("template", file, str(error)))
                    continue
                yield Template(name, context, path, file, text)


def _content(path: Path) -> str:
    """Raises ``ValueError`` for what is no text, and for what is too large to be one that somebody wrote."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 1_000_000} MB")
    return path.read_bytes().decode("utf-8-sig")
