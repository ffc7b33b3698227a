"""What each context is made of: apps, tables with their sizes, endpoints, tasks, commands, lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from strangler.analysis.static.source import Project
from strangler.domain.coupling.ledger import ContextFacts, TableFacts

Sizes = Mapping[str, tuple[int | None, int | None]]


def facts(project: Project, sizes: Sizes | None = None) -> dict[str, ContextFacts]:
    """Of a project that is ``wired``: each context by its name, in the order of the atlas. ``sizes``: table → (rows, bytes)."""
    atlas = project.atlas
    served: dict[str, dict[str, str]] = {}
    for endpoint, (context, view) in sorted(project.endpoints.items()):
        served.setdefault(context, {})[endpoint] = view
    lines = _lines(project)
    return {
        name: ContextFacts(
            name=name,
            declared=name in atlas.declared,
            apps=tuple(app for app, context in atlas.apps.items() if context == name),
            tables=tuple(_tables(project, name, sizes or {})),
            endpoints=tuple(served.get(name, ())),
            tasks=tuple(sorted(task for task, context in project.tasks.items() if context == name)),
            commands=tuple(sorted(command for command, context in project.commands.items() if context == name)),
            lines=lines[name],
            views={endpoint: view for endpoint, view in served.get(name, {}).items() if view},
        )
        for name in atlas.contexts
    }


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
