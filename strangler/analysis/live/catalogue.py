"""What the database itself knows of more than one context: keys that no model declares, views, triggers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from strangler.analysis.live import catalogue_sqlite as sqlite
from strangler.analysis.live.places import Places
from strangler.analysis.live.routines import tables_in
from strangler.analysis.live.session import Session
from strangler.analysis.survey.atlas import table
from strangler.domain.coupling.atlas import PROJECT, Atlas
from strangler.domain.coupling.edges import Edge, Evidence, Kind

PRODUCT = "strangler_"
FOREIGN_KEYS = """
    SELECT k.conname, lower(t.relname), lower(r.relname), pg_get_constraintdef(k.oid),
           ARRAY(SELECT lower(a.attname) FROM unnest(k.conkey) WITH ORDINALITY AS c(number, place)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place)
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_class r ON r.oid = k.confrelid
    WHERE k.contype = 'f' AND k.conparentid = 0
    ORDER BY 1, 2
"""
CALLING_CHECKS = """
    SELECT DISTINCT k.conname, lower(t.relname), pg_get_constraintdef(k.oid), p.prosrc, l.lanname
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.refobjid
    JOIN pg_language l ON l.oid = p.prolang
    WHERE k.contype IN ('c', 'x') AND p.pronamespace <> 'pg_catalog'::regnamespace
    ORDER BY 1, 2
"""
VIEWS = """
    SELECT DISTINCT lower(v.relname), v.relkind, lower(t.relname), t.relkind
    FROM pg_rewrite w
    JOIN pg_class v ON v.oid = w.ev_class
    JOIN pg_namespace n ON n.oid = v.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> v.oid
    WHERE v.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1, 3
"""
TRIGGERS = """
    SELECT g.tgname, lower(t.relname), p.proname, p.prosrc, l.lanname
    FROM pg_trigger g
    JOIN pg_class t ON t.oid = g.tgrelid
    JOIN pg_proc p ON p.oid = g.tgfoid
    JOIN pg_language l ON l.oid = p.prolang
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class View:
    """``reads``: tables and other views, by name. ``note``: "materialized" of one that is."""

    name: str
    reads: frozenset[str]
    note: str = ""


def questions(atlas: Atlas, places: Places, asked: Session) -> dict[str, Callable[[], Iterator[Edge]]]:
    """Each stands alone: a database may refuse one of them."""
    if asked.vendor == "sqlite":
        return {
            "constraints": lambda: keys(atlas, sqlite.keys(asked)),
            "views": lambda: views(atlas, places, _views(sqlite.views(asked, atlas.tables))),
            "triggers": lambda: triggers(atlas, sqlite.triggers(asked)),
        }
    return {
        "constraints": lambda: keys(atlas, asked.ask(FOREIGN_KEYS)),
        "checks": lambda: checks(atlas, asked.ask(CALLING_CHECKS)),
        "views": lambda: views(atlas, places, _views(asked.ask(VIEWS))),
        "triggers": lambda: triggers(atlas, asked.ask(TRIGGERS)),
    }


def keys(atlas: Atlas, found: Iterable[tuple[Any, ...]]) -> Iterator[Edge]:
    """``found``: (name, table, the other table, definition, columns)."""
    declared = _declared()
    for name, on, other, definition, columns in found:
        source, target = atlas.of_table(on), atlas.of_table(other)
        if atlas.crosses(source, target) and (on, tuple(columns), other) not in declared:
            yield _edge(Kind.CONSTRAINT, source, target, f"database:{name}", other, "foreign key", f"{on}: {definition}")


def _declared() -> set[tuple[str, tuple[str, ...], str]]:
    found: set[tuple[str, tuple[str, ...], str]] = set()
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            other = getattr(field.remote_field, "model", None)
            if hasattr(other, "_meta") and getattr(field, "column", None):
                found.add((table(model), (field.column.lower(),), table(other)))
    return found


def checks(atlas: Atlas, found: Iterable[tuple[Any, ...]]) -> Iterator[Edge]:
    """A check sees its own table alone, unless it calls a function."""
    for name, on, definition, body, language in found:
        source = atlas.of_table(on)
        for other, _ in tables_in(body, language, atlas.tables):
            if atlas.crosses(source, atlas.of_table(other)):
                yield _edge(
                    Kind.CONSTRAINT, source, atlas.of_table(other), f"database:{name}", other, "check", f"{on}: {definition}"
                )


def _views(rows: Iterable[tuple[Any, ...]]) -> list[View]:
    reads: dict[tuple[str, str], set[str]] = {}
    for name, kind, other, _ in rows:
        reads.setdefault((name, "materialized" if kind == "m" else ""), set()).add(other)
    return [View(name, frozenset(others), note) for (name, note), others in reads.items()]


def views(atlas: Atlas, places: Places, found: Iterable[View]) -> Iterator[Edge]:
    models = {table(model): model for model in apps.get_models() if not model._meta.proxy}
    by_name = {view.name: view for view in found}
    for view in by_name.values():
        model = models.get(view.name)
        source = atlas.of_table(view.name) or PROJECT
        where = places.where(model) if model else f"database:{view.name}"
        for other in sorted(_read(view, by_name, atlas.tables)):
            if atlas.crosses(source, atlas.of_table(other)):
                evidence = places.evidence(model) if model else (Evidence(text=f"view {view.name} reads {other}"),)
                yield Edge(Kind.DATABASE_VIEW, source, atlas.of_table(other), where, other, view.note, evidence)


def _read(view: View, by_name: Mapping[str, View], known: Mapping[str, str]) -> set[str]:
    """The models' tables that it reads; through views without a model too. Views can't be circular."""
    found = {name for name in view.reads if name in known}
    for name in view.reads - found:
        if name in by_name:
            found |= _read(by_name[name], by_name, known)
    return found


def triggers(atlas: Atlas, found: Iterable[tuple[Any, ...]]) -> Iterator[Edge]:
    """``found``: (name, table, function, body, language). The product's own are no coupling of the project's."""
    for name, on, function, body, language in found:
        source = atlas.of_table(on)
        if name.startswith(PRODUCT) or function.startswith(PRODUCT):
            continue
        for other, note in tables_in(body, language, atlas.tables):
            if atlas.crosses(source, atlas.of_table(other)):
                yield _edge(
                    Kind.TRIGGER, source, atlas.of_table(other), f"database:{name}", other, note, f"trigger {name} on {on}"
                )


def _edge(kind: Kind, source: str, target: str, where: str, what: str, note: str, text: str) -> Edge:
    return Edge(kind, source, target, where, what, note, (Evidence(text=text),))
