"""What a GenericForeignKey really points to: the rows say so, and the GenericRelations that others declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, DatabaseError, router

from strangler.analysis.live.places import Places
from strangler.analysis.live.session import Session, first_line
from strangler.analysis.survey.schema import is_generic, is_generic_relation
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Edge, Kind, Skipped

# From one value to the next one by the index, however many rows there are ("loose index scan"):
# https://wiki.postgresql.org/wiki/Loose_indexscan
DISTINCT = """
    WITH RECURSIVE found(value) AS (
        SELECT min({column}) FROM {table}
        UNION ALL
        SELECT (SELECT min({column}) FROM {table} WHERE {column} > found.value) FROM found WHERE found.value IS NOT NULL
    )
    SELECT value FROM found WHERE value IS NOT NULL LIMIT 1000
"""
COMMON = """
    SELECT unnest(most_common_vals::text::bigint[]) FROM pg_stats
    WHERE lower(tablename) = lower(%s) AND lower(attname) = lower(%s)
"""
SCAN_S = 1.0
"""Where there is no index each step reads the whole table."""


def edges(atlas: Atlas, places: Places, asked: Session | None, alias: str = "") -> Iterator[Edge | Skipped]:
    """``alias``: only of the models whose rows that database has."""
    declared = _declared()
    types = _types(asked) if asked else {}
    for model in apps.get_models():
        if atlas.of_model(model._meta.label) == PLATFORM or model._meta.proxy or alias not in ("", _home(model)):
            continue
        for field in _own(model):
            if is_generic(field):
                also = declared.get(_key(model, field.ct_field, field.fk_field), [])
                yield from _of_key(atlas, places, model, field, also, asked, types)
            elif is_generic_relation(field):
                yield from _of_relation(atlas, places, model, field)


def _own(model: Any) -> list[Any]:
    """But those of a parent with a table of its own, which has their columns."""
    return [field for field in model._meta.private_fields if not getattr(field, "mti_inherited", False)]


def _home(model: Any) -> str:
    try:
        return str(router.db_for_read(model))
    except Exception:  # a router of the project's, that may ask for a tenant
        return DEFAULT_DB_ALIAS


def _key(model: Any, content_type: str, object_id: str) -> tuple[Any, str, str]:
    return model._meta.concrete_model, content_type, object_id


def _declared() -> dict[tuple[Any, str, str], list[str]]:
    """Generic foreign key → labels of the models that have a GenericRelation to it."""
    found: dict[tuple[Any, str, str], list[str]] = {}
    for model in apps.get_models():
        for field in _own(model):
            if is_generic_relation(field) and hasattr(field.related_model, "_meta"):
                key = _key(field.related_model, field.content_type_field_name, field.object_id_field_name)
                found.setdefault(key, []).append(model._meta.label)
    return found


def _of_relation(atlas: Atlas, places: Places, model: Any, field: Any) -> Iterator[Edge]:
    if not hasattr(field.related_model, "_meta"):
        return
    label = field.related_model._meta.label
    source, target = atlas.of_model(model._meta.label), atlas.of_model(label)
    if atlas.crosses(source, target):
        where, evidence = places.where(model, field.name), places.evidence(model, field.name)
        yield Edge(Kind.GENERIC_FOREIGN_KEY, source, target, where, label, "GenericRelation", evidence, (label,))


def _of_key(
    atlas: Atlas, places: Places, model: Any, field: Any, declared: list[str], asked: Session | None, types: dict[int, str]
) -> Iterator[Edge | Skipped]:
    where = places.where(model, field.name)
    labels, how = dict.fromkeys(declared, "declared"), ""
    if asked:
        try:
            values, how = _values(asked, model, field)
            for value in values:
                if value in types:
                    labels[types[value]] = "in rows"
                else:
                    yield Skipped(
                        "generic_foreign_key", where, f"rows have the content type {value}, which is no model's any more"
                    )
        except DatabaseError as error:
            how = f"its rows could not be asked what it points to: {first_line(error)}"
    if how:
        yield Skipped("generic_foreign_key", where, how)
    elif not labels:
        why = "no row says what it points to" if asked else "the database was not asked what it points to"
        yield Skipped("generic_foreign_key", where, f"{why}, and no model has a GenericRelation to it")
    source = atlas.of_model(model._meta.label)
    targets: dict[str, list[str]] = {}
    for label in sorted(labels):
        targets.setdefault(atlas.of_model(label), []).append(label)
    for target, those in targets.items():
        if atlas.crosses(source, target):
            what = f"{model._meta.label}.{field.name}"  # its models come and go with the rows
            note = ", ".join(f"{label} {labels[label]}" for label in those)
            evidence = places.evidence(model, field.name)
            yield Edge(Kind.GENERIC_FOREIGN_KEY, source, target, where, what, note, evidence, tuple(those))


def _values(asked: Session, model: Any, field: Any) -> tuple[list[int], str]:
    """The distinct content types' ids; and what is doubtful about them."""
    column = model._meta.get_field(field.ct_field).column
    table = model._meta.db_table
    sql = DISTINCT.format(column=asked.quote(column), table=asked.quote(table))
    try:
        return [int(value) for (value,) in asked.ask(sql, seconds=SCAN_S)], ""
    except DatabaseError:
        if asked.vendor != "postgresql":
            raise
        common = [int(value) for (value,) in asked.ask(COMMON, [table, column])]
        if not common:
            raise
        return common, "its rows are too many to be asked: the most common targets are known, by the statistics of the planner"


def _types(asked: Session) -> dict[int, str]:
    """Id of a content type → label of its model, of those that there are."""
    try:
        rows = asked.ask("SELECT id, app_label, model FROM django_content_type")
    except DatabaseError:  # content types aren't installed, or nothing was migrated yet
        return {}
    found = {}
    for number, label, name in rows:
        try:
            found[int(number)] = str(apps.get_model(label, name)._meta.label)
        except LookupError:
            continue
    return found
