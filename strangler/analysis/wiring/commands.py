"""Management commands by name."""

from __future__ import annotations

from django.apps import apps
from django.core.management import get_commands

from strangler.analysis.static.source import Project
from strangler.analysis.wiring.failures import REACHED, skip
from strangler.domain.coupling.edges import Skipped

FOLDER = ".management.commands."


def names(project: Project, skipped: list[Skipped]) -> dict[str, str]:
    """Name → context. None of them is imported. The last app that is installed wins, as with Django."""
    found = {}
    for module in project.files:
        app, _, name = module.partition(FOLDER)
        if name and "." not in name and not name.startswith("_"):
            found[name] = project.atlas.of_module(app)
    if apps.ready:
        try:
            found |= {name: project.atlas.of_module(_module(app)) for name, app in get_commands().items()}
        except REACHED as error:
            skipped.append(skip("commands", "INSTALLED_APPS", error))
    return dict(sorted(found.items()))


def _module(app: object) -> str:
    return app if isinstance(app, str) else type(app).__module__
