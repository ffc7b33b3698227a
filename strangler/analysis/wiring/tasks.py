"""Celery's tasks by name: those that its application knows, and those that the source marks as one."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps

from strangler.analysis.static import definitions
from strangler.analysis.static.crew import without_collector
from strangler.analysis.static.source import Project
from strangler.analysis.wiring.failures import REACHED, skip
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.edges import Skipped

MARKED = re.compile(rb"@[^\n]*task\b|task\s*\(|Task\b")
"""What a file has that makes a task: a decorator, a call such as ``app.task(settle)``, a class of Celery's."""


def names(project: Project, skipped: list[Skipped]) -> dict[str, str]:
    """Name → context."""
    found = _marked(project) | _registered(project, skipped)
    return dict(sorted(found.items()))


def _marked(project: Project) -> dict[str, str]:
    found: dict[str, str] = {}
    with without_collector():
        for module, path in sorted(project.files.items()):
            for each in definitions.of_file(module, path).values() if _may_mark(path) else ():
                if definitions.is_task(each, partial(definitions.definition, project)):
                    found[each.what or each.dotted] = project.atlas.of_module(module)
    return found


def _may_mark(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:  # the walk names it
        return False
    return (b"task" in text or b"Task" in text) and MARKED.search(text) is not None


def _registered(project: Project, skipped: list[Skipped]) -> dict[str, str]:
    """What a worker would know: the ``tasks`` of each app is imported, as Celery's autodiscovery does."""
    if not apps.ready or find_spec("celery") is None:
        return {}
    from celery import current_app

    for app, context in sorted(project.atlas.apps.items()):
        if context != PLATFORM and f"{app}.tasks" in project.files:
            try:
                import_module(f"{app}.tasks")
            except REACHED as error:
                skipped.append(skip("tasks", f"{app}.tasks", error))
    try:
        current_app.finalize(auto=True)
        known = {str(name): str(task.__module__) for name, task in current_app.tasks.items()}
    except REACHED as error:
        skipped.append(skip("tasks", "celery", error))
        return {}
    return {name: project.atlas.of_module(module) for name, module in known.items()}
