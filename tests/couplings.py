"""What the list of the shop's couplings knows besides the ledger, seen from outside: writes in bulk, triggers, tasks of nobody's.

Each gives ``{(kind, where, to)}`` as ``monolith/couplings.toml`` has them: ``where`` is ``FILE:NAME``, ``to`` a context. Where a
name shows that something crosses and not whereto, ``to`` is ``?``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection

CONTEXTS = ("users", "customers", "products", "orders", "payments")
UNITS = (*CONTEXTS, "shell")
SHOP = Path(settings.BASE_DIR) / "monolith"
LABEL = re.compile(rf"({'|'.join(UNITS)})\.[A-Z]\w+")
TASKS = {"shared_task", "owner_task"}
Seen = set[tuple[str, str, str]]
Looked = Iterator[tuple[str, str]]  # kind, to


@dataclass
class Module:
    """A file of the shop. ``unit`` is the context, or ``shell``, that it belongs to."""

    path: Path
    unit: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.relative_to(SHOP.parent).as_posix()

    def nodes(self) -> Iterator[tuple[str, ast.AST]]:
        """Every node, with the dotted name of the assignment, function or class that it stands in."""
        yield from _nodes(self.tree, "")

    @cached_property
    def models(self) -> dict[str, Any]:
        """By name: the unit's own, and those that the module finds by their label."""
        own = {model.__name__: model for model in apps.get_app_config(self.unit).get_models()}
        return own | {text: apps.get_model(text) for text in _texts(self.tree) if LABEL.fullmatch(text)}


def modules() -> list[Module]:
    found = []
    for unit in UNITS:
        for path in sorted((SHOP / unit).rglob("*.py")):
            if "migrations" not in path.parts:
                found.append(Module(path, unit, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _nodes(tree: ast.AST, inside: str) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            name = f"{inside}.{node.name}".lstrip(".")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not isinstance(tree, ast.FunctionDef):
            name = f"{inside}.{node.targets[0].id}".lstrip(".")
        yield name, node
        yield from _nodes(node, name)


def triggers() -> set[str]:
    """The tables with a trigger that is neither PostgreSQL's own nor the product's. Needs the database."""
    sql = """
        SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgname NOT LIKE %s
    """
    return {str(table) for (table,) in _ask(sql, "strangler%")}


def _ask(sql: str, *given: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return list(cursor.fetchall())


def in_source() -> Seen:
    found: Seen = set()
    for module in modules():
        for name, node in module.nodes():
            for look in LOOKS:
                found |= {(kind, f"{module.name}:{name}", to) for kind, to in look(module, node) if to != module.unit}
    return found


def _settings_import(module: Module, node: ast.AST) -> Looked:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_string":
        yield "settings_import", "?"


def _tasks(module: Module, node: ast.AST) -> Looked:
    """One that belongs to no context. Whom it writes, its name doesn't show."""
    marks = node.decorator_list if module.unit == "shell" and isinstance(node, ast.FunctionDef) else []
    if any(ast.unparse(each).split("(")[0] in TASKS for each in marks):
        yield "task", "?"


def _bulk(module: Module, node: ast.AST) -> Looked:
    """Of a model that points to another context."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("bulk_create", "bulk_update"):
        model = module.models.get(ast.unparse(node.func).split(".")[0])
        for field in model._meta.local_fields if model else ():
            if field.related_model is not None and field.related_model._meta.app_label in CONTEXTS:
                yield node.func.attr, field.related_model._meta.app_label


LOOKS: tuple[Callable[[Module, ast.AST], Looked], ...] = (_settings_import, _tasks, _bulk)


def _texts(tree: ast.AST) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
