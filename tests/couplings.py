"""What of the shop's couplings can be seen from outside: in its source, in Django's registries and in the database's catalogue.

Each function gives ``{(kind, where, to)}`` as ``monolith/couplings.toml`` has them: ``where`` is ``FILE:NAME``, ``to`` a context.
What a name doesn't show (a queryset handed on, a model in a variable) is not seen; then the list alone knows it. Where a name
shows that something crosses and not whereto, ``to`` is ``?``.
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
from django.contrib import admin
from django.contrib.contenttypes.fields import GenericForeignKey
from django.core.exceptions import FieldDoesNotExist
from django.db import connection

CONTEXTS = ("users", "customers", "products", "orders", "payments")
UNITS = (*CONTEXTS, "shell")
SHOP = Path(settings.BASE_DIR) / "monolith"
LABEL = re.compile(rf"({'|'.join(UNITS)})\.[A-Z]\w+")
TABLE = re.compile(rf"\b({'|'.join(CONTEXTS)})_[a-z]+\b")
SQL = re.compile(r"\b(FROM|JOIN|INTO|UPDATE)\s", re.DOTALL)
RELATED = {"select_related": "select_related", "list_select_related": "select_related", "prefetch_related": "prefetch_related"}
TASKS = {"shared_task", "owner_task"}
PATH = re.compile(r"-?[a-z_]+__[a-z_]+")
Seen = set[tuple[str, str, str]]
Looked = Iterator[tuple[str, str, str]]  # kind, to, and a name where it is not the one that the node stands in


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

    @cached_property
    def related(self) -> set[str]:
        """The paths that are given to select_related and prefetch_related: the same texts are no lookups."""
        return {text for node in ast.walk(self.tree) for text in _related_paths(node)[1]}


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


# ---- Django's registries, and the database ------------------------------------------------------------------------------


def relations() -> Seen:
    found: Seen = set()
    for unit in UNITS:
        for model in apps.get_app_config(unit).get_models():
            where = f"monolith/{unit}/models.py:{model.__name__}"
            for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
                target = getattr(field, "related_model", None)
                if target is not None and target._meta.app_label in set(CONTEXTS) - {unit}:
                    kind = "many_to_many" if field.many_to_many else "one_to_one" if field.one_to_one else "foreign_key"
                    found.add((kind, f"{where}.{field.name}", target._meta.app_label))
            for field in model._meta.private_fields:
                if isinstance(field, GenericForeignKey):
                    found |= {("generic_foreign_key", f"{where}.{field.name}", to) for to in CONTEXTS}
    return found


def inlines() -> Seen:
    found: Seen = set()
    for model, its_admin in admin.site._registry.items():
        for inline in its_admin.inlines:
            other = inline.model._meta.app_label
            if model._meta.app_label in UNITS and other in set(CONTEXTS) - {model._meta.app_label}:
                found.add(("admin_inline", f"monolith/{model._meta.app_label}/admin.py:{inline.__name__}", other))
    return found


def views() -> Seen:
    """Needs the database: its catalogue says which tables a view reads."""
    found: Seen = set()
    for model in apps.get_app_config("shell").get_models():
        if not model._meta.managed:
            rows = _ask("SELECT table_name FROM information_schema.view_table_usage WHERE view_name = %s", model._meta.db_table)
            tables = {str(match[1]) for (table,) in rows if (match := TABLE.fullmatch(table))}
            found |= {("database_view", f"monolith/shell/models.py:{model.__name__}", to) for to in tables}
    return found


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


# ---- source -------------------------------------------------------------------------------------------------------------


def in_source() -> Seen:
    found: Seen = set()
    for module in modules():
        for name, node in module.nodes():
            for look in LOOKS:
                for kind, to, own in look(module, node):
                    if to != module.unit:
                        found.add((kind, f"{module.name}:{own or name}", to))
    return found


def _imports(module: Module, node: ast.AST) -> Looked:
    """Of another context's modules but its contract; they stand for the whole file."""
    if isinstance(node, ast.ImportFrom):
        for name in {node.module or "", *(f"{node.module}.{each.name}" for each in node.names)}:
            parts = name.split(".")
            if len(parts) > 2 and parts[0] == "monolith" and parts[1] in CONTEXTS and parts[2] != "contract":
                yield "import", parts[1], "*"


def _get_model(module: Module, node: ast.AST) -> Looked:
    if isinstance(node, (ast.Assign, ast.Call)) and "apps.get_model(" in ast.unparse(node):
        yield from (("get_model", text.split(".")[0], "") for text in _texts(node) if LABEL.fullmatch(text))


def _raw_sql(module: Module, node: ast.AST) -> Looked:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
        yield from (("raw_sql", context, "") for context in TABLE.findall(node.value))


def _signals(module: Module, node: ast.AST) -> Looked:
    """Whose it is says the sender's label, or the contract that it is from; Django's log-in is of users."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect" and node.args:
        of = {text.split(".")[0] for text in _texts(node) if LABEL.fullmatch(text)}
        of |= {"users"} if "user_logged" in ast.unparse(node) else set()
        of |= {context for context in CONTEXTS if _origin(module, node.func.value) == f"monolith.{context}.contract"}
        yield from (("signal", context, ast.unparse(node.args[0])) for context in of)


def _lookups(module: Module, node: ast.AST) -> Looked:
    """Paths with ``__``, as keywords or as texts, that follow a relation of a model of the module to another context."""
    word = node.arg if isinstance(node, ast.keyword) else node.value if isinstance(node, ast.Constant) else None
    if isinstance(word, str) and PATH.fullmatch(word) and word not in module.related:
        yield from (("lookup", to, "") for to in _crossed(module, word.lstrip("-")))


def _select_and_prefetch(module: Module, node: ast.AST) -> Looked:
    kind, paths = _related_paths(node)
    yield from ((kind, to, "") for path in paths for to in _crossed(module, path, fetched=True))


def _settings_import(module: Module, node: ast.AST) -> Looked:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_string":
        yield "settings_import", "?", ""


def _tasks(module: Module, node: ast.AST) -> Looked:
    """One that belongs to no context. Whom it writes, its name doesn't show."""
    marks = node.decorator_list if module.unit == "shell" and isinstance(node, ast.FunctionDef) else []
    if any(ast.unparse(each).split("(")[0] in TASKS for each in marks):
        yield "task", "?", ""


def _bulk(module: Module, node: ast.AST) -> Looked:
    """Of a model that points to another context."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("bulk_create", "bulk_update"):
        model = module.models.get(ast.unparse(node.func).split(".")[0])
        for field in model._meta.local_fields if model else ():
            if field.related_model is not None and field.related_model._meta.app_label in CONTEXTS:
                yield node.func.attr, field.related_model._meta.app_label, ""


LOOKS: tuple[Callable[[Module, ast.AST], Looked], ...] = (
    _imports, _get_model, _raw_sql, _signals, _lookups, _select_and_prefetch, _settings_import, _tasks, _bulk,
)  # fmt: skip


def _texts(tree: ast.AST) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _related_paths(node: ast.AST) -> tuple[str, list[str]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RELATED:
        return RELATED[node.func.attr], [text for each in node.args for text in _texts(each)]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in RELATED:
        return RELATED[node.targets[0].id], _texts(node.value)
    return "", []


def _origin(module: Module, signal: ast.AST) -> str:
    """The module that a name was imported from."""
    name = ast.unparse(signal)
    imports = (node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom))
    return next((str(node.module) for node in imports if name in {each.name for each in node.names}), "")


def _crossed(module: Module, path: str, *, fetched: bool = False) -> set[str]:
    """The contexts that a path leads to, from whichever model of the module it fits."""
    return {context for model in module.models.values() for context in _followed(model, path.split("__"), fetched)} & set(
        CONTEXTS
    )


def _followed(model: Any, parts: list[str], fetched: bool) -> set[str]:
    """The apps that are joined, or ``fetched``. A foreign key that is not followed further is a column, and joins nothing."""
    joined, pending = set[str](), ""
    for part in parts:
        field = _field(model, part)
        if field is None:
            return joined
        joined |= {pending} if pending else set()
        pending = ""
        if field.related_model is None or part == getattr(field, "attname", None) != field.name:
            return joined
        model = field.related_model
        if fetched or not field.concrete or field.many_to_many:
            joined.add(model._meta.app_label)
        else:
            pending = model._meta.app_label
    return joined


def _field(model: Any, name: str) -> Any:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return next((each for each in model._meta.related_objects if each.get_accessor_name() == name), None)


# ---- templates ----------------------------------------------------------------------------------------------------------


def in_templates() -> Seen:
    """Of the contexts (the shell's are given records): variables that begin with a model's name and follow its relations."""
    found: Seen = set()
    for unit in CONTEXTS:
        own = {str(model._meta.model_name): model for model in apps.get_app_config(unit).get_models()}
        for page in sorted((SHOP / unit).rglob("*.html")):
            for first, *parts in _variables(page.read_text(encoding="utf-8")):
                reached = _followed(own[first], parts, True) if first in own else set()
                found |= {
                    ("template_relation", page.relative_to(SHOP.parent).as_posix(), to) for to in reached & set(CONTEXTS) - {unit}
                }
    return found


def _variables(text: str) -> list[list[str]]:
    """Dotted names; that of a loop stands for what it loops over."""
    for name, over in re.findall(r"{% for (\w+) in (\w+(?:\.\w+)+?)(?:\.all)? %}", text):
        text = re.sub(rf"\b{name}\.", f"{over}.", text)
    return [word.split(".") for word in sorted(set(re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", text)))]
