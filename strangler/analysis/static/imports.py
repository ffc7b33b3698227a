"""Imports of other contexts: at module level, inside functions, under TYPE_CHECKING, by name at run time, and of contracts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from strangler.analysis.static.names import STAR, absolute
from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.edges import Kind

BY_NAME = {
    "importlib.import_module",
    "importlib.__import__",
    "__import__",
    "builtins.__import__",
    "django.utils.module_loading.import_string",
    "pkgutil.resolve_name",
}


class Imports:
    """Statements. What is known is the module, whichever name of it is imported."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Import, ast.ImportFrom)

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        late = self.source.in_function
        kind = Kind.LATE_IMPORT if late else Kind.IMPORT
        for module in dict.fromkeys(self._imported(node)):
            yield _finding(self.project, self.source, kind, module, "" if late else STAR)

    def _imported(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(self.source.package, node.module or "", node.level)
            for one in node.names:
                inner = f"{origin}.{one.name}"
                yield inner if inner in self.project.packages or inner in self.project.atlas.apps else origin


class ImportsByName:
    """``import_module("shop.orders.tasks")`` and its like, wherever they stand."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Call,)
    words = (b"import_module", b"import_string", b"__import__", b"resolve_name")

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        name = _named_module(node, self.source) if isinstance(node, ast.Call) else ""
        if name:
            yield _finding(self.project, self.source, Kind.LATE_IMPORT, self.project.home(name.replace(":", ".")))


class ImportsByLoader:
    """``get_class("basket.forms", "BasketForm")``: ``strangler.toml`` names the loader and where it looks."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Call,)

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        package = self.project.loaders.get(self.source.dotted(node.func)) if isinstance(node, ast.Call) else None
        named = _literal(node.args[0]) if package is not None and isinstance(node, ast.Call) and node.args else None
        if isinstance(named, str) and named:
            module = self.project.home(f"{package}.{named}".strip("."))
            yield _finding(self.project, self.source, Kind.LATE_IMPORT, module)


def _finding(project: Project, source: Source, kind: Kind, module: str, scope: str = "") -> Finding:
    if source.typing:
        kind = Kind.TYPING_IMPORT
    face = module
    while face and face not in project.atlas.faces:
        face = face.rpartition(".")[0]
    return Finding(Kind.SEAM if face else kind, project.atlas.of_module(module), module, scope=scope)


def _named_module(node: ast.Call, source: Source) -> str:
    """That which a call imports whose argument is written out; empty for any other call."""
    name = source.dotted(node.func)
    if name not in BY_NAME and name.rpartition(".")[2] not in ("import_module", "import_string"):
        return ""
    literals = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
    keywords = {one.arg: one.value for one in node.keywords}
    first = literals[0] if literals else _literal(keywords.get("name") or keywords.get("dotted_path"))
    if not isinstance(first, str) or not first:
        return ""
    if not first.startswith("."):
        return first
    anchor = node.args[1] if len(node.args) > 1 else keywords.get("package")
    package = _literal(anchor) or (source.package if source.dotted(anchor or node) == "__package__" else "")
    if not package and anchor is not None and source.dotted(anchor) == "__name__":
        package = source.module
    level = len(first) - len(first.lstrip("."))
    return absolute(str(package), first[level:], level) if package else ""


def _literal(node: ast.AST | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None
