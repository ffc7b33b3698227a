"""Foreign keys that cross a context's border, in SQLite (P25). They have no names there, so one is made of table and columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.utils import IntegrityError

from strangler.sync import ddl
from strangler.sync.collections import Collection
from strangler.sync.database import quote, rows
from strangler.sync.databases.sqlite import schema
from strangler.sync.loose_keys import Key

FOREIGN_KEYS = """
SELECT m.name, m.sql, f.id, f."table", f."from",
       coalesce(f."to", (SELECT x.name FROM pragma_table_xinfo(f."table") x WHERE x.pk = f.seq + 1))
FROM sqlite_master m, pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq
"""


def crossing(own: Sequence[Collection], using: str) -> list[Key]:
    mine = {collection.table.lower() for collection in own}
    keys: dict[tuple[str, int], tuple[str, str, list[str], list[str]]] = {}
    for table, sql, id_, parent, column, parent_column in rows(FOREIGN_KEYS, using=using):
        if (table.lower() in mine) != (parent.lower() in mine):
            _, _, columns, parent_columns = keys.setdefault((table, id_), (sql, parent, [], []))
            columns.append(column)
            parent_columns.append(parent_column)
    return sorted((_key(table, *found) for (table, _), found in keys.items()), key=lambda key: (key.table, key.name))


def loosen(context: str, key: Key, using: str) -> None:
    def change(cursor: Any) -> None:
        cursor.execute(
            'INSERT INTO strangler_loose_key (context, "table", name, definition) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING',
            [context, key.table, key.name, key.definition],
        )
        table = unquote(key.table)
        schema.rewrite(cursor, table, schema.without_reference(text(cursor, table), [unquote(column) for column in key.columns]))

    ddl.run([change], f"loosening {key.label}", using=using)


def tighten(quoted: str, name: str, definition: str, using: str) -> None:
    """The constraint first, so that new rows are checked, then the rows that are there. Raises ``IntegrityError``."""
    table = unquote(quoted)

    def change(cursor: Any) -> None:
        sql = text(cursor, table)
        if name not in {_name(table, found.columns) for found in schema.references(sql)}:
            schema.rewrite(cursor, table, schema.with_constraint(sql, definition))

    ddl.run([change], f"restoring {name} on {table}", using=using)
    orphans = {rowid for _, rowid, _, _ in rows(f"PRAGMA foreign_key_check({quoted})", using=using)}
    if orphans:
        raise IntegrityError(f"{len(orphans)} rows of {table} have no parent: the foreign key {name} stands for new rows only")


def text(cursor: Any, table: str) -> str:
    cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s", [table])
    return str(cursor.fetchone()[0])


def unquote(quoted: str) -> str:
    return quoted[1:-1].replace('""', '"')


def _key(table: str, sql: str, parent: str, columns: Sequence[str], parent_columns: Sequence[str]) -> Key:
    clause = next(found.clause for found in schema.references(sql) if found.columns == tuple(columns))
    there = ", ".join(map(quote, parent_columns))
    tail = clause[clause.index(")") + 1 :] if "(" in clause else clause.partition(" ")[2].partition(" ")[2]
    definition = f"FOREIGN KEY ({', '.join(map(quote, columns))}) REFERENCES {quote(parent)}({there}) {tail.strip()}".rstrip()
    return Key(
        quote(table),
        _name(table, columns),
        definition,
        quote(parent),
        tuple(map(quote, columns)),
        tuple(map(quote, parent_columns)),
    )


def _name(table: str, columns: Sequence[str]) -> str:
    return f"{table}_{'_'.join(columns)}_fk"
