"""What the source says, read without importing it. Nothing here imports Django: the files are read in several processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from strangler.analysis.static.source import Project
from strangler.domain.coupling.edges import Found


def scan(project: Project, progress: Callable[[int, int], None] | None = None, processes: int | None = None) -> Found:
    """All that the source of the project's own modules shows. ``progress`` is told ``(files done, files in all)``.

    ``processes``: how many read; one a core unless told, and only this one for a small project. The result doesn't depend on it.
    """
    from strangler.analysis.static.crew import read_by
    from strangler.analysis.static.detectors import DETECTORS
    from strangler.analysis.static.imports import ImportsByLoader
    from strangler.analysis.static.models import Registry, completed
    from strangler.analysis.static.relations import relations

    registry = Registry(project)
    detectors = (*DETECTORS, ImportsByLoader) if project.loaders else DETECTORS
    found = read_by(processes, completed(registry), detectors, progress or (lambda done, total: None))
    return replace(found, edges=(*relations(registry), *found.edges))
