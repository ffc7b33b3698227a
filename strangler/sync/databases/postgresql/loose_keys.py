"""Foreign keys that cross a context's border, in PostgreSQL (P25)."""

from __future__ import annotations

from collections.abc import Sequence

from strangler.sync import ddl
from strangler.sync.collections import Collection
from strangler.sync.database import literal, quote, rows
from strangler.sync.loose_keys import Key

# Foreign keys of which exactly one end is a table of the context. Partitions inherit theirs and are left to the parent.
CROSSING = """
SELECT format('%%I.%%I', n.nspname, c.relname), k.conname, pg_get_constraintdef(k.oid), k.confrelid::regclass::text,
       array(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.i),
       array(SELECT quote_ident(a.attname) FROM unnest(k.confkey) WITH ORDINALITY u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
      AND (k.conrelid = ANY(%(own)s::text[]::regclass[])) <> (k.confrelid = ANY(%(own)s::text[]::regclass[]))
ORDER BY 1, 2
"""


def crossing(own: Sequence[Collection], using: str) -> list[Key]:
    return [
        Key(table, name, definition, parent, tuple(columns), tuple(parent_columns))
        for table, name, definition, parent, columns, parent_columns in rows(
            CROSSING, {"own": [collection.ddl for collection in own]}, using
        )
    ]


def loosen(context: str, key: Key, using: str) -> None:
    keep = 'INSERT INTO strangler_loose_key (context, "table", name, definition) VALUES ({}) ON CONFLICT DO NOTHING'
    values = ", ".join(map(literal, (context, key.table, key.name, key.definition)))
    ddl.run(
        [keep.format(values), f"ALTER TABLE {key.table} DROP CONSTRAINT {quote(key.name)}"], f"loosening {key.label}", using=using
    )


def tighten(table: str, name: str, definition: str, using: str) -> None:
    """NOT VALID first, which takes a short lock, then validated, which blocks no writes."""
    there = rows("SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s", [table, name], using)
    if not there:
        bare = definition.removesuffix(" NOT VALID")
        ddl.run(
            [f"ALTER TABLE {table} ADD CONSTRAINT {quote(name)} {bare} NOT VALID"], f"restoring {name} on {table}", using=using
        )
    if not there or not there[0][0]:
        ddl.run([f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote(name)}"], f"validating {name} on {table}", using=using)
