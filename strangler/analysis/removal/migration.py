"""The migration that drops a retired context's tables, written by Django's own writer.

In one of the context's apps it deletes the models, and can be reversed (to empty tables). In another app, for a project that
deletes the context's apps right away, it drops the tables by SQL where they are there, and knows nothing of the models.
Foreign keys that point into the context go first; what they were in other apps' models becomes a plain column there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.db import connections, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from strangler import conf
from strangler.analysis.removal.operations import InApp
from strangler.domain.estate import Context
from strangler.errors import Misuse
from strangler.sync.database import quote

INTO = """
    SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid)
    FROM pg_constraint c
    WHERE c.contype = 'f' AND c.conparentid = 0
      AND c.confrelid = ANY(%(tables)s::regclass[]) AND c.conrelid <> ALL(%(tables)s::regclass[])
    ORDER BY 1, 2
"""
PLAIN = {"BigAutoField": models.BigIntegerField, "AutoField": models.IntegerField, "SmallAutoField": models.SmallIntegerField}
Key = tuple[str, str]  # app label and model, in lower case
Field = tuple[str, Any]


def write(context: Context, folder: Path) -> Path:
    """The new file in ``folder``'s app. Raises ``Misuse`` where that is no app, or the context's tables were dropped already."""
    config = _app_at(folder)
    loader = MigrationLoader(None)
    state = loader.project_state()
    labels = {one.label for one in apps.get_app_configs() if one.name in context.apps}
    doomed = {key: model for key, model in state.models.items() if key[0] in labels}
    if not any(_has_table(model) for model in doomed.values()):
        raise Misuse(f"the migrations of {context.name} have no table any more; there is nothing to drop")
    is_own = config.label in labels
    name = _name(loader, config.label, context.name)
    made = migrations.Migration(name, config.label)
    made.operations = list(_operations(doomed, state) if is_own else _by_sql(doomed))
    made.dependencies = _dependencies(loader, config.label, doomed, state) if is_own else loader.graph.leaf_nodes(config.label)
    return _written(MigrationWriter(made, include_header=False), context.name)


def _app_at(folder: Path) -> AppConfig:
    for config in apps.get_app_configs():
        if folder.resolve() == Path(config.path).resolve():
            return config
    raise Misuse(f"{folder} is not the folder of an installed app; name one, such as the context's own or your project's core")


def _name(loader: MigrationLoader, label: str, context: str) -> str:
    numbers = [int(found[0]) for app, name in loader.disk_migrations if app == label and (found := re.match(r"\d+", name))]
    return f"{max(numbers, default=0) + 1:04}_retire_{context}"


def _written(writer: MigrationWriter, context: str) -> Path:
    file = Path(writer.path)
    text = writer.as_string()
    said = f'"""Drops what is left of {context}, which has retired here. Written by `strangler retire {context}`."""\n\n'
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(said + text.lstrip("\n"))
    except FileExistsError:
        raise Misuse(f"{file} is there already; move it away first") from None
    except OSError as error:
        raise Misuse(f"{file} can't be written: {error.strerror}") from None
    return file


# ---- in the context's own app: the models go, and the tables with them ----------------------------------------------


def _operations(doomed: dict[Key, ModelState], state: ProjectState) -> Iterator[Operation]:
    yield from _constraints(doomed)
    for key, model in state.models.items():
        if key not in doomed:
            for field in model.fields.items():
                if _target(field[1], key) in doomed:
                    yield InApp(key[0], [_plain(model, field, doomed)], state_only=True)
    order, circular = _ordered(doomed)
    for key, name in circular:
        yield InApp(key[0], [migrations.RemoveField(doomed[key].name, name)])
    for key in order:
        yield InApp(key[0], [migrations.DeleteModel(doomed[key].name)])


def _constraints(doomed: dict[Key, ModelState]) -> Iterator[Operation]:
    tables = [_quoted(table) for table in _tables(doomed)]
    with connections[conf.setting("DATABASE")].cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL", [tables])
        there = [name for (name,) in cursor.fetchall()]
        cursor.execute(INTO, {"tables": there})
        for table, name, definition in cursor.fetchall():
            drop = f"ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS {quote(name)}"
            again = f"ALTER TABLE {table} ADD CONSTRAINT {quote(name)} {definition.removesuffix(' NOT VALID')} NOT VALID"
            yield migrations.RunSQL(drop, again)


def _plain(model: ModelState, field: Field, doomed: dict[Key, ModelState]) -> Operation:
    """What stays of a relation into the context once its models are gone: a column with the key; of a many-to-many nothing."""
    name, relation = field
    if relation.many_to_many:
        return migrations.RemoveField(model.name, name)
    pointed = _target(relation, (model.app_label, model.name_lower))
    assert pointed is not None
    target = _key_field(doomed[pointed])
    kind = PLAIN.get(type(target).__name__)
    given = {"null": relation.null, "blank": relation.blank, "db_index": relation.db_index, "unique": relation._unique}
    given["db_column"] = relation.db_column or f"{name}_id"
    if kind is not None:
        return migrations.AlterField(model.name, name, kind(**given))
    _, _, args, options = target.deconstruct()
    options.pop("primary_key", None)
    return migrations.AlterField(model.name, name, type(target)(*args, **{**options, **given}))


def _key_field(model: ModelState) -> Any:
    return next((field for field in model.fields.values() if field.primary_key), models.BigAutoField(primary_key=True))


def _ordered(doomed: dict[Key, ModelState]) -> tuple[list[Key], list[tuple[Key, str]]]:
    """(the models, each before those that it points to; the keys that must go first, where models point at each other)"""
    points: dict[Key, dict[str, Key]] = {
        key: {name: target for name, field in model.fields.items() if (target := _target(field, key)) in doomed and target}
        for key, model in doomed.items()
    }
    for key, model in doomed.items():  # a child of an inherited table goes before its parent
        points[key] |= {f"base {index}": base for index, base in enumerate(map(_base, model.bases)) if base in doomed and base}
    circular: list[tuple[Key, str]] = []
    while True:
        graph: dict[Key, set[Key]] = {key: set() for key in doomed}
        for key, targets in points.items():
            for target in targets.values():
                if target != key:
                    graph[target].add(key)
        try:
            return list(TopologicalSorter(graph).static_order()), circular
        except CycleError as error:
            cycle = error.args[1]
            key, name = next(
                (key, name) for key in cycle for name, target in points[key].items() if target in cycle and target != key
            )
            del points[key][name]
            circular.append((key, name))


def _target(field: Any, key: Key) -> Key | None:
    """The model that a relation points to; ``self`` is the one that has it."""
    remote = getattr(field, "remote_field", None)
    model = getattr(remote, "model", None)
    if model is None:
        return None
    if isinstance(model, str):
        if model == "self":
            return key
        label, _, name = model.rpartition(".")
        return (label or key[0], name.lower())
    return (model._meta.app_label, model._meta.model_name)


def _base(base: Any) -> Key | None:
    if isinstance(base, str):
        label, _, name = base.partition(".")
        return (label, name.lower())
    return None


def _dependencies(loader: MigrationLoader, label: str, doomed: dict[Key, ModelState], state: ProjectState) -> list[Key]:
    """The newest migrations of all apps whose models are touched: the context's, and those that point into it."""
    points = {key[0] for key, model in state.models.items() for field in model.fields.values() if _target(field, key) in doomed}
    labels = sorted({label, *(key[0] for key in doomed), *points})
    return [leaf for one in labels for leaf in loader.graph.leaf_nodes(one)]


# ---- in another app: the tables go -----------------------------------------------------------------------------------


def _by_sql(doomed: dict[Key, ModelState]) -> Iterator[Operation]:
    """For a database that may never have had them."""
    yield from _constraints(doomed)
    order, _ = _ordered(doomed)
    for table in _tables({key: doomed[key] for key in order}):
        yield migrations.RunSQL(f"DROP TABLE IF EXISTS {_quoted(table)} CASCADE")


def _tables(doomed: dict[Key, ModelState]) -> list[str]:
    """Of the models, after those that Django makes for their many-to-many fields."""
    through = [
        field.db_table or f"{_table(model)}_{name}"
        for model in doomed.values()
        for name, field in model.fields.items()
        if field.many_to_many and not field.remote_field.through
    ]
    return [*through, *(_table(model) for model in doomed.values() if _has_table(model))]


def _has_table(model: ModelState) -> bool:
    return bool(model.options.get("managed", True)) and not model.options.get("proxy", False)


def _table(model: ModelState) -> str:
    return str(model.options.get("db_table") or f"{model.app_label}_{model.name_lower}")


def _quoted(table: str) -> str:
    return f'"{table}"' if '"."' in table else quote(table)
