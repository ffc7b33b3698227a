"""Capture: statement-level triggers that note a pointer for each changed key in the writer's own transaction (P1, P2, P5).

Why statement level with transition tables: one insert per statement instead of one per row, and it sees every way to write:
``bulk_create``, ``QuerySet.update``, raw SQL, COPY, MERGE, cascades, other programs. Interleavings that it stands:

- *A writer that began before the trigger.* ``CREATE TRIGGER`` waits for all that have written the table, and a transaction that
  writes it later fires the trigger whatever its snapshot, for triggers are looked up in the catalogue as it is now.
- *A writer whose snapshot is older than the subscription* (REPEATABLE READ) fires the trigger but does not see the subscription.
  So a backfill starts only when every transaction that was open when it was asked for is over (``backfill.start``).
- *A rolled-back writer* takes its pointers with it. *A committed one* can't be without them.
- *A key that changes* is noted under its old and its new value; the old one is absent when the relay reads it: a delete.
- *A replica-role session* (the apply) fires them too: ``ENABLE ALWAYS``. Its origin keeps the stream from hearing its own echo.
"""

from __future__ import annotations

import hashlib
import re

from strangler.sync.collections import Collection
from strangler.sync.database import literal, quote, rows, value
from strangler.sync.databases.postgresql import ddl

PREFIX = "strangler_capture_"
EVENTS = {
    "insert": ("INSERT", "REFERENCING NEW TABLE AS strangler_new "),
    "update": ("UPDATE", "REFERENCING OLD TABLE AS strangler_old NEW TABLE AS strangler_new "),
    "delete": ("DELETE", "REFERENCING OLD TABLE AS strangler_old "),
    "truncate": ("TRUNCATE", ""),
}

FUNCTION = """CREATE OR REPLACE FUNCTION {schema}.{function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $strangler$
DECLARE
  here text := coalesce(current_setting('strangler.origin', true), '');
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO {schema}.strangler_outbox (stream, collection, key, origin)
    SELECT s.stream, TG_ARGV[0], n.key, here
    FROM {schema}.strangler_subscription s CROSS JOIN ({new_keys}) n
    WHERE s.collection = TG_ARGV[0] AND s.stream <> here;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO {schema}.strangler_outbox (stream, collection, key, origin)
    SELECT s.stream, TG_ARGV[0], k.key, here
    FROM {schema}.strangler_subscription s
    CROSS JOIN ({new_keys} UNION {old_keys}) k
    WHERE s.collection = TG_ARGV[0] AND s.stream <> here;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO {schema}.strangler_outbox (stream, collection, key, origin)
    SELECT s.stream, TG_ARGV[0], o.key, here
    FROM {schema}.strangler_subscription s CROSS JOIN ({old_keys}) o
    WHERE s.collection = TG_ARGV[0] AND s.stream <> here;
  ELSE
    INSERT INTO {schema}.strangler_outbox (stream, collection, key, origin)
    SELECT s.stream, TG_ARGV[0], NULL, here
    FROM {schema}.strangler_subscription s
    WHERE s.collection = TG_ARGV[0] AND s.stream <> here;
  END IF;
  RETURN NULL;
END
$strangler$"""
# A migration may rename or drop a column of the key, and its own writes, and everybody's until capture is laid anew, must not
# fail for that. So the columns are named without their table: one that is no longer in the row is found, as NULL, one level out.
# The planner pulls all of it up; a row costs what ``SELECT key FROM rows`` costs. What is missed is backfilled (``shape``).
KEYS = (
    "SELECT {key} AS key FROM {rows} w CROSS JOIN (SELECT {absent}) a "
    "CROSS JOIN LATERAL (SELECT {columns} FROM (SELECT w.*) r) k WHERE {present}"
)

TRIGGER = (
    "CREATE OR REPLACE TRIGGER {prefix}{event} AFTER {verb} ON {table} {referencing}"
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}({name})"
)
ENABLE = "ALTER TABLE {only}{table} ENABLE ALWAYS TRIGGER {prefix}{event}"

# Which capture triggers there are and whether they always fire.
PRESENT = """
SELECT count(*) FROM pg_trigger t
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled = 'A'
      AND t.tgname = ANY(%s) AND t.tgfoid = to_regproc(%s)
"""
FUNCTIONS = """
SELECT format('%%I.%%I', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prorettype = 'trigger'::regtype AND starts_with(p.proname, %s) ORDER BY 1
"""


def function_name(collection: Collection) -> str:
    """``strangler_capture_<table>``; with a hash where that would be too long, or might be another table's."""
    safe = re.sub(r"[^a-z0-9_]", "_", collection.table)
    plain = PREFIX + safe
    if safe == collection.table and len(plain) <= 63:
        return plain
    return plain[:52] + "_" + hashlib.sha256(collection.table.encode()).hexdigest()[:10]


def statements(collection: Collection, using: str | None = None) -> list[str]:
    """All the DDL that captures the collection; what ``sync install --sql`` prints for a DBA."""
    schema, function = ddl.product_schema(using), quote(function_name(collection))
    body = FUNCTION.format(
        schema=schema,
        function=function,
        new_keys=_keys(collection, "strangler_new"),
        old_keys=_keys(collection, "strangler_old"),
    )
    made = [body]
    for table in ddl.tables(collection.ddl, using):
        for event, (verb, referencing) in EVENTS.items():
            made.append(
                TRIGGER.format(
                    prefix=PREFIX,
                    event=event,
                    verb=verb,
                    table=table,
                    referencing=referencing,
                    schema=schema,
                    function=function,
                    name=literal(collection.name),
                )
            )
            made.append(ENABLE.format(only="ONLY ", table=table, prefix=PREFIX, event=event))
    made.append(f"COMMENT ON FUNCTION {schema}.{function}() IS {literal(_mark(made))}")
    return made


def _keys(collection: Collection, transition: str) -> str:
    """SQL: the keys of a transition table's rows, as text."""
    names = [quote(column.name) for column in collection.key]
    return KEYS.format(
        key=collection.key_text("k").replace("%%", "%"),
        rows=transition,
        absent=", ".join(f"NULL::{column.bare_type} AS {name}" for column, name in zip(collection.key, names, strict=True)),
        columns=", ".join(names),
        present=" AND ".join(f"k.{name} IS NOT NULL" for name in names),
    )


def is_installed(collection: Collection, using: str | None = None) -> bool:
    """Every table of the collection has all its triggers, enabled always, and the function is the one of this version."""
    schema, function = ddl.product_schema(using), quote(function_name(collection))
    made = statements(collection, using)[:-1]
    mark = value("SELECT obj_description(to_regproc(%s)::oid, 'pg_proc')", [f"{schema}.{function}"], using)
    if mark != _mark(made):
        return False
    names = [PREFIX + event for event in EVENTS]
    return all(
        value(PRESENT, [table, names, f"{schema}.{function}"], using) == len(names) for table in ddl.tables(collection.ddl, using)
    )


def uninstall(collection: Collection, using: str | None = None) -> None:
    ddl.drop_function(f"{ddl.product_schema(using)}.{quote(function_name(collection))}", using)


def uninstall_all(using: str | None = None) -> None:
    """Also captures of tables that no longer stand in the estate."""
    for (function,) in rows(FUNCTIONS, [PREFIX], using):
        ddl.drop_function(function, using)


def prune(using: str | None = None) -> None:
    """Functions that no trigger calls: their tables are gone, or have another name."""
    for (function,) in rows(FUNCTIONS, [PREFIX], using):
        if not rows(ddl.USERS, [function], using):
            ddl.drop_function(function, using)


def _mark(made: list[str]) -> str:
    return "strangler " + hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]
