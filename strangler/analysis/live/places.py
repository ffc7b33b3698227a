"""Where in the source a class stands, and each of its attributes: read once a file, without importing anything more."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strangler.analysis.static.source import Project
from strangler.domain.coupling.edges import Evidence

NODES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class File:
    """``classes``: qualname → its node. ``made``: names at module level that a call gave: ``User = get_user_model()``."""

    name: str
    lines: list[str] = field(default_factory=list)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)


class Places:
    """``missing``: labels of models without a line: their classes are made while the program runs."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._files: dict[str, File] = {}
        self.missing: set[str] = set()

    def where(self, model: Any, attribute: str = "") -> str:
        name = ".".join(filter(None, (model.__qualname__.replace("<locals>.", ""), attribute)))
        return f"{self._file(model.__module__).name}:{name}"

    def evidence(self, model: Any, attribute: str = "") -> tuple[Evidence, ...]:
        """The attribute's line, in an abstract base too; else that of the class; else the file as a whole."""
        file, node = self.node(model, attribute)
        if node is None:
            file, node = self.node(model)
        if node is None:
            self.missing.add(getattr(getattr(model, "_meta", None), "label", model.__name__))
            return (Evidence(self._file(model.__module__).name),)
        return (Evidence(file.name, node.lineno, file.lines[node.lineno - 1].strip()),)

    def node(self, model: Any, attribute: str = "") -> tuple[File, ast.stmt | None]:
        """The statement that gives the attribute its value, or the class's own."""
        file = self._file(model.__module__)
        if not attribute:
            return file, file.classes.get(model.__qualname__)
        for base in model.__mro__:
            if not hasattr(base, "_meta") and base.__module__.partition(".")[0] in ("builtins", "django"):
                continue
            file = self._file(base.__module__)
            found = file.classes.get(base.__qualname__)
            for statement in found.body if found else ():
                if attribute in _targets(statement):
                    return file, statement
        return file, None

    def _file(self, module: str) -> File:
        if module not in self._files:
            self._files[module] = self._read(module)
        return self._files[module]

    def _read(self, module: str) -> File:
        path = self._project.files.get(module) or getattr(sys.modules.get(module), "__file__", None)
        if path is None:
            return File(module)
        file = File(self._project.named(Path(path), module))
        try:
            text = Path(path).read_bytes()
            tree = ast.parse(text)
        except (OSError, SyntaxError, ValueError, RecursionError):  # it runs all the same: compiled, or written since
            return file
        file.lines = text.decode(errors="replace").splitlines()
        file.classes = dict(_classes(tree, ""))
        assigned = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
        file.made = {name: ast.unparse(node.value) for node in assigned for name in _targets(node)}
        return file


def _classes(tree: ast.AST, inside: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, NODES):
            name = f"{inside}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield name, node
            yield from _classes(node, f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>.")
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.ExceptHandler):
            yield from _classes(node, inside)


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
