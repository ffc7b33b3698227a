"""What ties contexts together by names and registries: signals, tasks, admin, settings, templates, URLs, commands, hooks.

A call is told apart by the last part of what is called, so that the many that are none of these cost one look into a table.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from strangler.analysis.static import admin, commands, hooks, pages, settings, signals, tasks, urls
from strangler.analysis.static.meanings import Meanings
from strangler.analysis.static.source import Finding, Project, Source

Look = Callable[[Meanings, ast.Call], Iterator[Finding]]
SUBJECTS = (admin, commands, hooks, pages, settings, signals, tasks, urls)
CALLS: dict[str, tuple[Look, ...]] = {
    name: tuple(subject.CALLS[name] for subject in SUBJECTS if name in subject.CALLS)
    for name in sorted({name for subject in SUBJECTS for name in subject.CALLS})
}
USER_MODEL = CALLS["get_user_model"]
TELLING = {"template_name", "pattern_name"}  # keywords that tell, whatever is called
NOTHING: Iterator[Finding] = iter(())


class Wiring:
    nodes: ClassVar[tuple[type[ast.AST], ...]] = (
        ast.Call, ast.Attribute, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Dict, ast.ImportFrom,
    )  # fmt: skip

    def __init__(self, project: Project, source: Source) -> None:
        self.meanings = Meanings(project, source)
        self.marks: set[int] = set()  # calls that are decorators of classes, and stand for those
        self.related: set[int] = set()  # what relations are given
        self.aliases: dict[str, str] = {}  # of functions, those that import them too

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if type(node) is ast.Call:
            return self._call(node)
        if type(node) is ast.Attribute:
            if node.attr in tasks.WAITING:
                return tasks.handed(self.meanings, node)
            return settings.read(self.meanings, node, id(node) in self.related) if node.attr.isupper() else NOTHING
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return signals.received(self.meanings, node) if node.decorator_list else NOTHING
        if isinstance(node, ast.ClassDef):
            self.marks.update(map(id, node.decorator_list))
            return _both(look(self.meanings, node) for look in (admin.marked, admin.inline, pages.declared, urls.declared))
        if isinstance(node, ast.ImportFrom):
            self.aliases |= {one.asname: one.name for one in node.names if one.asname and one.name in CALLS}
            return NOTHING
        return tasks.scheduled(self.meanings, node) if isinstance(node, ast.Dict) and node.keys else NOTHING

    def _call(self, call: ast.Call) -> Iterator[Finding]:
        name = self._name(call.func)
        if name.endswith(settings.LEFT_TO_OTHERS):
            self.related.update(map(id, (*call.args, *(keyword.value for keyword in call.keywords))))
        looks = CALLS.get(name, ())
        if id(call) in self.marks or (looks is USER_MODEL and id(call) in self.related):
            return NOTHING
        if any(keyword.arg in TELLING for keyword in call.keywords):
            looks = (*looks, pages.told, urls.told)
        return _both(look(self.meanings, call) for look in looks) if looks else NOTHING

    def _name(self, function: ast.expr) -> str:
        """The last part of what is called, also by an alias: ``from django.urls import reverse as url``."""
        if type(function) is ast.Attribute:
            return function.attr
        if type(function) is ast.Name:
            known = self.aliases.get(function.id) or self.meanings.source.names.get(function.id, function.id)
            return known.rpartition(".")[2]
        return ""


def _both(found: Iterable[Iterator[Finding]]) -> Iterator[Finding]:
    """One after the other; a place says the same thing once."""
    return iter(dict.fromkeys(finding for each in found for finding in each))
