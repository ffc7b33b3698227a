"""What a dotted name of the project's own code is, as its module defines it: a signal, a task, a class, an import of another's.

The module is read when somebody asks, once a process. Names that a package re-exports are followed to where they are made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.static.source import Project
from strangler.analysis.static.walk import absolute

FARTHEST = 16  # re-exports of re-exports; two modules may import each other
TASK_MARKS = {"shared_task", "task", "periodic_task", "register_task"}  # and whatever ends with _task: projects wrap them


class Definition(NamedTuple):
    """``kind``: "signal", "task", "site" (of an admin), "class", "function", "value" or "import".

    ``module``, ``name``: where it is made.
    ``what``: the name of a task, also of one that is a class; the origin of an import. ``bases``: of a class, dotted.
    """

    kind: str
    module: str
    name: str
    what: str = ""
    bases: tuple[str, ...] = ()

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"


def definition(project: Project, dotted: str) -> Definition | None:
    """None for what is not the project's, is no name at module level, or stands in a file that can't be read.

    An import that leads out of the project is one: of what, it says.
    """
    return followed(project, _in_its_module(project, dotted))


def followed(project: Project, found: Definition | None) -> Definition | None:
    """To where an imported name is made."""
    for _ in range(FARTHEST):
        if found is None or found.kind != "import":
            return found
        origin = _in_its_module(project, found.what)
        if origin is None:
            return found
        found = origin
    return None


def _in_its_module(project: Project, dotted: str) -> Definition | None:
    module, _, name = dotted.rpartition(".")
    path = project.files.get(module)
    if path is None:
        return None
    table = of_file(module, path)
    if name in table:
        return table[name]
    for origin in table["*"].bases:
        inherited = _in_its_module(project, f"{origin}.{name}") if origin != module else None
        if inherited is not None:
            return inherited
    return None


@lru_cache(maxsize=4096)
def of_file(module: str, path: Path) -> Mapping[str, Definition]:
    """Name → definition; of a file that can't be read, nothing."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, OSError, RecursionError):  # the walk names it
        tree = ast.Module([], [])
    return table(module, tree, is_package=path.name == "__init__.py")


def table(module: str, tree: ast.Module, *, is_package: bool = False) -> dict[str, Definition]:
    """Name → definition, of those at module level; ``*``: the modules that all is imported from, as its ``bases``."""
    package = module if is_package else module.rpartition(".")[0]
    found: dict[str, Definition] = {}
    stars: list[str] = []
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom):
            origin = absolute(package, node.module or "", node.level)
            for one in node.names:
                if one.name == "*":
                    stars.append(origin)
                else:
                    name = one.asname or one.name
                    found.setdefault(name, Definition("import", module, name, f"{origin}.{one.name}"))
        elif isinstance(node, ast.Import):
            for one in node.names:
                name = one.asname or one.name.partition(".")[0]
                found.setdefault(name, Definition("import", module, name, one.name if one.asname else name))
        else:
            found.update((each.name, each) for each in _made(module, node, found))
    return found | {"*": Definition("import", module, "*", bases=tuple(stars))}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, (ast.If, ast.Try)):
            yield from _statements(node.body)
            yield from _statements(node.orelse)
            yield from _statements([each for handler in getattr(node, "handlers", ()) for each in handler.body])
        else:
            yield node


def _made(module: str, node: ast.stmt, known: Mapping[str, Definition]) -> Iterator[Definition]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        task = _task(module, node.name, node.decorator_list)
        yield Definition("task" if task else "function", module, node.name, task)
    elif isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases if isinstance(base, (ast.Name, ast.Attribute))]
        is_task = any(base.rpartition(".")[2] == "Task" for base in bases)
        name = _literal_attribute(node, "name") or f"{module}.{node.name}"
        dotted = tuple(_dotted(base, module, known) for base in bases)
        yield Definition("class", module, node.name, name if is_task else "", dotted)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield _value(module, target.id, node.value, known)


def _value(module: str, name: str, value: ast.expr, known: Mapping[str, Definition]) -> Definition:
    if isinstance(value, ast.Call):
        called = last_name(value.func)
        if called.endswith("Signal"):
            return Definition("signal", module, name)
        if called.endswith("AdminSite"):
            return Definition("site", module, name)
        if called in TASK_MARKS:  # settle = app.task(_settle), app.register_task(Settle())
            of = value.args[0] if value.args else None
            of = of.func if isinstance(of, ast.Call) else of
            made = known.get(of.id) if isinstance(of, ast.Name) else None
            told = keyword_text(value, "name") or (made.what or made.dotted if made else "")
            return Definition("task", module, name, told or f"{module}.{name}")
    if isinstance(value, (ast.Name, ast.Attribute)):
        origin = _dotted(ast.unparse(value), module, known)
        return Definition("import", module, name, origin) if origin != f"{module}.{name}" else Definition("value", module, name)
    return Definition("value", module, name)


def _task(module: str, name: str, marks: list[ast.expr]) -> str:
    """The name of the task that the function is; empty when it is none."""
    for mark in marks:
        called = mark.func if isinstance(mark, ast.Call) else mark
        last = last_name(called)
        if last in TASK_MARKS or last.endswith("_task"):
            return (keyword_text(mark, "name") if isinstance(mark, ast.Call) else "") or f"{module}.{name}"
    return ""


def _literal_attribute(node: ast.ClassDef, name: str) -> str:
    for each in node.body:
        if isinstance(each, ast.Assign) and name in {last_name(target) for target in each.targets}:
            return str(each.value.value) if isinstance(each.value, ast.Constant) else ""
    return ""


def _dotted(name: str, module: str, known: Mapping[str, Definition]) -> str:
    first, dot, rest = name.partition(".")
    made = known.get(first)
    origin = made.what if made is not None and made.kind == "import" else f"{module}.{first}"
    return f"{origin}{dot}{rest}"


def last_name(node: ast.expr) -> str:
    """``delay`` of ``tasks.settle.delay``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def keyword_text(call: ast.Call, name: str) -> str:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return ""
