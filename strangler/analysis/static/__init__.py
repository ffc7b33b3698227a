"""What the source says, read without importing it. Nothing here imports Django: the files are read in several processes."""

from __future__ import annotations

from collections.abc import Callable

from strangler.analysis.static.source import Project
from strangler.domain.coupling.edges import Found


def scan(project: Project, progress: Callable[[int, int], None] | None = None, processes: int | None = None) -> Found:
    """All that the source of the project's own modules shows. ``progress`` is told ``(files done, files in all)``.

    ``processes``: how many read; as many as there are cores unless told, and none but this one for a small project.
    """
    from strangler.analysis.static import walk  # noqa: PLC0415 - the workers import this package without the detectors
    from strangler.analysis.static.detectors import DETECTORS  # noqa: PLC0415

    return walk.scan(project, DETECTORS)
