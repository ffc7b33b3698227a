"""Another context's code that runs once the transaction is committed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.definitions import last_name
from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

OF_TASKS = ("delay", "apply_async", "apply", "enqueue", "aenqueue")


def deferred(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``transaction.on_commit(f)``, of a connection too; ``partial(f, …)``, ``lambda: f(…)``, ``f.delay``."""
    if not _is_djangos(of, call.func):
        return
    for each in of.alternatives(argument(call, "func", 0)):
        for function in _called(of, each):
            dotted = of.dotted(function) or _of_instance(of, function)
            if last_name(function) in OF_TASKS:
                dotted = dotted.rpartition(".")[0]
            if dotted:
                yield Finding(Kind.ON_COMMIT, of.project.atlas.of_module(dotted), dotted)


CALLS = {"on_commit": deferred}


def _is_djangos(of: Meanings, node: ast.expr) -> bool:
    """``transaction``, ``connection``, ``connections["other"]``, ``transaction.get_connection()``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)) and not of.dotted(node):
        node = node.func if isinstance(node, ast.Call) else node.value
    return of.dotted(node).startswith("django.db.")


def _of_instance(of: Meanings, function: ast.expr) -> str:
    """``Mailer().send``: of the class that is called for it."""
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Call):
        return ""
    made = of.definition(function.value.func)
    return f"{made.dotted}.{function.attr}" if made is not None and made.kind == "class" else ""


def _called(of: Meanings, node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Lambda):
        yield from _outermost(of, node.body)
    elif isinstance(node, ast.Call) and last_name(node.func) == "partial" and node.args:
        for each in of.alternatives(node.args[0]):
            yield from _called(of, each)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        yield node


def _outermost(of: Meanings, body: ast.expr) -> Iterator[ast.expr]:
    """What is called itself, not what makes its arguments."""
    for each in of.alternatives(body):
        if isinstance(each, ast.Call):
            yield each.func
