"""Tasks of another context, Celery's and Django's: sent by their function, by their name, or by the clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.definitions import Definition, is_task
from strangler.analysis.static.meanings import Meanings, argument, keyword
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

WAITING = ("delay", "apply_async")
DJANGOS = ("enqueue", "aenqueue")  # of django.tasks, and of django-tasks before that
BY_FUNCTION = ("apply", "s", "si", "signature", "subtask", "map", "starmap", "chunks", *DJANGOS)
BY_NAME = ("send_task", "signature", "subtask", "Signature")
ROWS = ("PeriodicTask", "create", "get_or_create", "update_or_create")  # django-celery-beat keeps the schedule in a table


def sent(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``tasks.settle.s(…)``; what only has a method of that name is not defined as a task."""
    if isinstance(call.func, ast.Attribute):
        yield from handed(of, call.func)


def handed(of: Meanings, node: ast.Attribute) -> Iterator[Finding]:
    """``settle.delay``, called here or by whom it is given to: ``on_commit(settle.delay)``, ``partial(settle.delay, …)``."""
    task = of_function(of, node.value)
    if task is not None:
        yield _finding(of, task.what, of.project.atlas.of_module(task.module))


def named(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``app.send_task("orders.settle")``, ``signature("orders.settle")``; a name that no task has is something else's."""
    if _may_be_celerys(of, call.func):
        yield from _known(of, of.texts(keyword(call, "task") or argument(call, "name", 0)))


def kept(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``PeriodicTask(task="orders.settle")``"""
    if call.keywords:
        yield from _known(of, of.texts(keyword(call, "task")))


def signed(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``settle.signature()`` and ``signature("orders.settle")`` share a name."""
    yield from sent(of, call)
    yield from named(of, call)


CALLS = dict.fromkeys(BY_FUNCTION, sent) | dict.fromkeys(ROWS, kept) | dict.fromkeys(BY_NAME, named)
CALLS |= dict.fromkeys(set(BY_FUNCTION) & set(BY_NAME), signed)


def scheduled(of: Meanings, entry: ast.Dict) -> Iterator[Finding]:
    """An entry of a beat schedule, wherever it stands: ``{"task": "orders.settle", "schedule": 5.0}``."""
    keys = [key.value if isinstance(key, ast.Constant) else None for key in entry.keys]
    if "task" in keys and "schedule" in keys:
        told = entry.values[keys.index("task")]
        yield from (finding._replace(line=told.lineno) for finding in _known(of, of.texts(told)))


def of_function(of: Meanings, node: ast.expr) -> Definition | None:
    """What is sent, if it is a task: ``settle``, ``tasks.settle``, ``Settle()`` of a class."""
    if isinstance(node, ast.Call):
        node = node.func
    for each in of.alternatives(node):
        dotted = of.dotted(each)
        found = of.made(dotted) if dotted else None
        if found is not None and (is_task(found, of.made) or found.dotted in of.project.tasks):
            return found._replace(what=found.what or found.dotted)  # the latter by a decorator that only Celery understands
    return None


def _may_be_celerys(of: Meanings, function: ast.expr) -> bool:
    """Whatever it is called, ``self.app`` or ``current_app``; not a class of the project's own that comes from something else."""
    if not isinstance(function, ast.Attribute):
        return of.dotted(function).startswith("celery.")
    for each in of.alternatives(function.value):
        made = of.definition(each.func if isinstance(each, ast.Call) else each)
        of_class = made.what if made is not None and made.kind == "instance" else made.dotted if made is not None else ""
        if made is not None and made.kind in ("class", "instance") and not of.derives(of_class, "Celery"):
            return False
    return True


def _known(of: Meanings, names: list[str]) -> Iterator[Finding]:
    yield from (_finding(of, name, of.project.tasks[name]) for name in names if name in of.project.tasks)


def _finding(of: Meanings, name: str, home: str) -> Finding:
    return Finding(Kind.TASK, of.project.tasks.get(name, home), name)
