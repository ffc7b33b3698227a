"""Migrations that wait for those of another context's app."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import ClassVar

from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.edges import Kind


class Migrations:
    """``dependencies`` and ``run_before`` of a class ``Migration``; ``swappable_dependency`` too, by the setting's value."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Assign, ast.AnnAssign, ast.AugAssign)
    words = (b"Migration",)

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if not self._in_migration() or self.source.scope.rpartition(".")[2] not in ("dependencies", "run_before"):
            return
        for element in _elements(getattr(node, "value", None), self.source.tree):
            app, migration = self._depends(element)
            yield Finding(Kind.MIGRATION, self.project.atlas.labels.get(app, ""), f"{app}.{migration}", line=element.lineno)

    def _in_migration(self) -> bool:
        frame = self.source.frames[-1] if self.source.frames else None
        return isinstance(frame, ast.ClassDef) and frame.name == "Migration"

    def _depends(self, element: ast.expr) -> tuple[str, str]:
        """App's label and migration; empty for what isn't written out."""
        if isinstance(element, ast.Call) and self.source.dotted(element.func).endswith("swappable_dependency") and element.args:
            return self._swappable(element.args[0]).partition(".")[0], "__first__"
        if isinstance(element, ast.Tuple | ast.List) and len(element.elts) == 2:
            app, migration = (one.value if isinstance(one, ast.Constant) else "" for one in element.elts)
            return str(app), str(migration)
        return "", ""

    def _swappable(self, setting: ast.expr) -> str:
        """The label of the model that a setting names, as ``settings.AUTH_USER_MODEL``."""
        if isinstance(setting, ast.Constant):
            return str(setting.value)
        name = self.source.dotted(setting).rpartition(".")[2]
        return next((value for value in self.project.settings.get(name, ()) if "." in value), "")


def _elements(value: ast.expr | None, module: ast.Module) -> Iterator[ast.expr]:
    """Of a list, and of lists that are added up or unpacked; a name stands for what the module gives it."""
    constants = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    stack = [_meant(value, constants)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.BinOp):
            stack += [_meant(node.right, constants), _meant(node.left, constants)]
        elif isinstance(node, ast.List | ast.Tuple):
            for one in node.elts:
                if isinstance(one, ast.Starred):
                    stack.append(_meant(one.value, constants))
                elif (element := _meant(one, constants)) is not None:
                    yield element


def _meant(node: ast.expr | None, constants: Mapping[str, ast.expr]) -> ast.expr | None:
    return constants.get(node.id, node) if isinstance(node, ast.Name) else node
