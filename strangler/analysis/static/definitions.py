"""What a dotted name of the project's own code is, as its module defines it: a signal, a task, a class, an import of another's.

The module is read when somebody asks, once a process. Names that a package re-exports are followed to where they are made.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.static.names import UNPARSED, absolute
from strangler.analysis.static.source import Project

FARTHEST = 16  # re-exports of re-exports; two modules may import each other
TASK_MARKS = {"shared_task", "task", "periodic_task", "register_task"}  # and whatever ends with _task: projects wrap them


class Definition(NamedTuple):
    """``kind``: "task", "class", "function", "instance", "value" or "import". ``module``, ``name``: where it is made.

    ``what``: the name of a task; what a class calls its ``name``; the class of an instance, and the origin of an import, dotted.
    ``bases``: of a class, dotted. ``model``: what a class calls so, dotted or a label.
    """

    kind: str
    module: str
    name: str
    what: str = ""
    bases: tuple[str, ...] = ()
    model: str = ""

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


def _in_its_module(project: Project, dotted: str, asked: frozenset[str] = frozenset()) -> Definition | None:
    """``asked``: modules that import all of each other."""
    module, _, name = dotted.rpartition(".")
    path = project.files.get(module)
    if path is None:
        return None
    table = of_file(module, path)
    if name in table:
        return table[name]
    for origin in table["*"].bases:
        inherited = None if origin in asked else _in_its_module(project, f"{origin}.{name}", asked | {module})
        if inherited is not None:
            return inherited
    return None


def derives(dotted: str, names: tuple[str, ...], made: Callable[[str], Definition | None], left: int = FARTHEST) -> bool:
    """Whether a class is one of a package, whose name ends so, or comes from one. ``made``: the definition of a dotted name."""
    known = made(dotted)
    if known is None or known.kind == "import":
        return (known.what if known else dotted).endswith(names)
    return left > 0 and any(derives(base, names, made, left - 1) for base in known.bases)


def is_task(known: Definition, made: Callable[[str], Definition | None]) -> bool:
    """A function that is marked so, or a class of such."""
    return known.kind == "task" or (known.kind == "class" and derives(known.dotted, ("Task",), made))


@lru_cache(maxsize=4096)
def of_file(module: str, path: Path) -> Mapping[str, Definition]:
    """Name → definition; of a file that can't be read, nothing."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except UNPARSED:  # the walk names it
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
        bases = tuple(_dotted(base, module, known) for base in node.bases)
        model = next((each.value for each in node.body if assigned(each) == "model"), None)  # type: ignore[attr-defined]
        name = next((each.value for each in node.body if assigned(each) == "name"), None)  # type: ignore[attr-defined]
        yield Definition("class", module, node.name, _text(name), bases, _model(model, module, known))
    elif assigned(node):
        yield _value(module, assigned(node), node.value, known)  # type: ignore[attr-defined]


def _value(module: str, name: str, value: ast.expr, known: Mapping[str, Definition]) -> Definition:
    if isinstance(value, ast.Call):
        if last_name(value.func) in TASK_MARKS:  # settle = app.task(_settle), app.register_task(Settle())
            of = value.args[0] if value.args else None
            made = known.get(last_name(of.func if isinstance(of, ast.Call) else of)) if of is not None else None
            told = keyword_text(value, "name") or (made.what or made.dotted if made else f"{module}.{name}")
            return Definition("task", module, name, told)
        return Definition("instance", module, name, _dotted(value.func, module, known))
    origin = _dotted(value, module, known)
    kind = "import" if origin not in ("", f"{module}.{name}") else "value"
    return Definition(kind, module, name, origin if kind == "import" else "")


def _task(module: str, name: str, marks: list[ast.expr]) -> str:
    """The name of the task that the function is; empty when it is none."""
    for mark in marks:
        last = last_name(mark.func if isinstance(mark, ast.Call) else mark)
        if last in TASK_MARKS or last.endswith("_task"):
            return (keyword_text(mark, "name") if isinstance(mark, ast.Call) else "") or f"{module}.{name}"
    return ""


def _model(value: ast.expr | None, module: str, known: Mapping[str, Definition]) -> str:
    """Its class, dotted, or the label that ``get_model`` is given."""
    if isinstance(value, ast.Call) and last_name(value.func) == "get_model":
        return ".".join(filter(None, map(_text, value.args)))
    return _dotted(value, module, known) if value is not None else ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _dotted(node: ast.expr, module: str, known: Mapping[str, Definition]) -> str:
    """Empty for what is no name. ``Base[Order]`` is ``Base``."""
    node = node.value if isinstance(node, ast.Subscript) else node
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    made = known.get(node.id)
    origin = made.what if made is not None and made.kind == "import" else f"{module}.{node.id}"
    return ".".join([origin, *reversed(rest)])


def assigned(node: ast.stmt) -> str:
    """The plain name that the statement gives a value; empty for any other."""
    if isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return target.id if isinstance(target, ast.Name) else ""
    return ""


def last_name(node: ast.expr) -> str:
    """``delay`` of ``tasks.settle.delay``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def keyword_text(call: ast.Call, name: str) -> str:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return ""
