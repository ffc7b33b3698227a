"""What each context is made of: apps, tables with their sizes, endpoints, tasks, commands, lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from django.apps import apps

from strangler.analysis.static.source import Project
from strangler.analysis.survey.endpoints import endpoints
from strangler.domain.coupling.edges import Skipped
from strangler.domain.coupling.ledger import ContextFacts, TableFacts

Sizes = Mapping[str, tuple[int | None, int | None]]


def facts(project: Project, sizes: Sizes | None = None) -> tuple[dict[str, ContextFacts], tuple[Skipped, ...]]:
    """Each context by its name, in the order of the atlas; and what could not be told. ``sizes``: table → (rows, bytes)."""
    atlas = project.atlas
    served: dict[str, list[str]] = {}
    skipped: tuple[Skipped, ...] = ()
    try:
        for one in endpoints() if apps.ready else ():
            served.setdefault(atlas.of_module(one.module), []).append(str(one))
    except (Exception, SystemExit) as error:  # all of the project's views are imported here
        skipped = (Skipped("endpoints", "ROOT_URLCONF", f"{type(error).__name__}: {error}"),)
    lines = _lines(project)
    return {
        name: ContextFacts(
            name=name,
            declared=name in atlas.declared,
            apps=tuple(app for app, context in atlas.apps.items() if context == name),
            tables=tuple(_tables(project, name, sizes or {})),
            endpoints=tuple(sorted(served.get(name, ()))),
            tasks=tuple(sorted(task for task, context in project.tasks.items() if context == name)),
            commands=tuple(sorted(command for command, context in project.commands.items() if context == name)),
            lines=lines[name],
        )
        for name in atlas.contexts
    }, skipped


def _tables(project: Project, context: str, sizes: Sizes) -> list[TableFacts]:
    own = [
        model
        for label, model in sorted(project.models.items())
        if project.atlas.of_model(label) == context and not model.proxy_for
    ]
    return [TableFacts(model.label, model.table, *sizes.get(model.table, (None, None))) for model in own]


def _lines(project: Project) -> Counter[str]:
    """Of the source that is read. A file that can't be is named where it is read."""
    found: Counter[str] = Counter()
    for module, path in project.files.items():
        try:
            found[project.atlas.of_module(module)] += path.read_bytes().count(b"\n")
        except OSError:
            continue
    return found
