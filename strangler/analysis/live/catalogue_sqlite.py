"""The same of SQLite: its catalogue has the statements that made things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strangler.analysis.live.routines import tables_in
from strangler.analysis.live.session import Session

MADE = "SELECT name, lower(tbl_name), sql FROM sqlite_master WHERE type = '{0}' AND sql IS NOT NULL ORDER BY name"


def views(asked: Session, known: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """(view, kind, table or view that it reads, its kind)."""
    made = {name.lower(): sql for name, _, sql in asked.ask(MADE.format("view"))}
    names = {*known, *made}
    read = {name: tables_in(_after(" AS", sql), "sqlite", names - {name}) for name, sql in made.items()}
    return [(name, "v", one.table, "") for name, bodies in read.items() for one in bodies]


def triggers(asked: Session) -> list[tuple[str, str, str, str, str]]:
    """(name, table, function, body, language). A body is the trigger's own here."""
    return [(name, on, "", _after("BEGIN", sql), "sqlite") for name, on, sql in asked.ask(MADE.format("trigger"))]


def keys(asked: Session) -> list[tuple[Any, ...]]:
    """(name, table, the other table, definition, columns). SQLite's foreign keys have no names."""
    found = []
    for (table,) in asked.ask("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        columns: dict[int, tuple[str, list[str]]] = {}
        for number, _, other, column, *_ in asked.ask(f"PRAGMA foreign_key_list({asked.quote(table)})"):
            columns.setdefault(number, (other.lower(), []))[1].append(column.lower())
        for other, names in columns.values():
            said = ", ".join(names)
            found.append((f"{table}.{said}", table.lower(), other, f"FOREIGN KEY ({said}) REFERENCES {other}", names))
    return found


def _after(word: str, sql: str) -> str:
    return sql[sql.upper().find(word) + len(word) :]
