"""What Django and Celery find by name, as plain data: URLs, templates, tasks, commands, and code that settings name."""

from __future__ import annotations

from dataclasses import replace

from strangler.analysis.static.source import Project
from strangler.analysis.wiring import commands, endpoints, settings, tasks, templates, urls
from strangler.domain.coupling.edges import Skipped

__all__ = ["wired"]


def wired(project: Project) -> Project:
    """``project``, whose atlas, models and files are known, with the rest. What could not be asked is in ``skipped``.

    Where Django could not be loaded, it is what the source and the folders tell.
    """
    skipped: list[Skipped] = []
    found = templates.find(project, skipped)
    routes = list(urls.routes(project.atlas, project.files, skipped))
    return replace(
        project,
        urls=urls.names(routes),
        endpoints=endpoints.served(project, routes),
        templates={name: files[0] for name, files in found.items()},
        shadowed={name: files[1:] for name, files in found.items() if files[1:]},
        tasks=tasks.names(project, skipped),
        commands=commands.names(project, skipped),
        settings=settings.named(project, skipped),
        skipped=(*project.skipped, *skipped),
    )
