"""What a recorded write does to its context's rows: triggers that note each row before and after, in the writer's transaction.

Statement-level with transition tables, as capture is, so every way to write is seen. They are there only while writes are
recorded, and note only in a transaction that says it is one (``strangler.recorded``, set for that transaction alone): a write
that nobody records pays for one setting that is looked at. A rolled-back writer takes its notes with it.
"""

from __future__ import annotations

from strangler.domain import wire
from strangler.errors import Misuse
from strangler.sync import collections, ddl
from strangler.sync.collections import Collection
from strangler.sync.database import connection, literal, quote, rows
from strangler.sync.databases.postgresql import ddl as catalogue
from strangler.sync.databases.postgresql.capture import PREFIX as CAPTURE
from strangler.sync.databases.postgresql.capture import function_name

SETTING = "strangler.recorded"
PREFIX = "strangler_effect_"
EVENTS = {
    "insert": ("INSERT", "NEW TABLE AS strangler_new"),
    "update": ("UPDATE", "OLD TABLE AS strangler_old NEW TABLE AS strangler_new"),
    "delete": ("DELETE", "OLD TABLE AS strangler_old"),
}
FUNCTION = """CREATE OR REPLACE FUNCTION {schema}.{function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $strangler$
DECLARE
  recorded text := coalesce(current_setting('strangler.recorded', true), '');
BEGIN
  IF recorded = '' THEN
    RETURN NULL;
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO {schema}.strangler_effect (write, collection, key, after)
    SELECT recorded::uuid, TG_ARGV[0], {key}, {row} FROM strangler_new t;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO {schema}.strangler_effect (write, collection, key, before)
    SELECT recorded::uuid, TG_ARGV[0], {key}, {row} FROM strangler_old t;
  ELSE
    INSERT INTO {schema}.strangler_effect (write, collection, key, before, after)
    SELECT recorded::uuid, TG_ARGV[0], coalesce(o.key, n.key), o.said, n.said
    FROM (SELECT {key} AS key, {row} AS said FROM strangler_old t) o
    FULL JOIN (SELECT {key} AS key, {row} AS said FROM strangler_new t) n ON n.key = o.key;
  END IF;
  RETURN NULL;
END
$strangler$"""
TRIGGER = (
    "CREATE OR REPLACE TRIGGER {prefix}{event} AFTER {verb} ON {table} REFERENCING {referencing} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}({name})"
)
FUNCTIONS = """
SELECT format('%%I.%%I', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prorettype = 'trigger'::regtype AND starts_with(p.proname, %s) ORDER BY 1
"""
NOTED = "SELECT collection, key, before, after FROM strangler_effect WHERE write = %s ORDER BY id"


def install(context: str) -> None:
    """Triggers on each of the context's own tables, with short locks. Raises ``Misuse`` where the database is not PostgreSQL."""
    if connection().vendor != "postgresql":
        raise Misuse("writes are recorded on PostgreSQL alone")
    for collection in collections.for_context(context):
        ddl.run(statements(collection), f"noting effects on {collection.table}")


def uninstall(context: str, using: str | None = None) -> None:
    if connection(using).vendor == "postgresql":
        for collection in collections.for_context(context, using):
            catalogue.drop_function(f"{catalogue.product_schema(using)}.{quote(_function(collection))}", using)


def uninstall_all(using: str | None = None) -> None:
    if connection(using).vendor == "postgresql":
        for (function,) in rows(FUNCTIONS, [PREFIX], using):
            catalogue.drop_function(function, using)


def statements(collection: Collection) -> list[str]:
    schema, function = catalogue.product_schema(), quote(_function(collection))
    key, row = (text.replace("%%", "%") for text in (collection.key_text("t"), collection.row_json("t")))
    made = [FUNCTION.format(schema=schema, function=function, key=key, row=row)]
    for table in catalogue.tables(collection.ddl):
        for event, (verb, referencing) in EVENTS.items():
            given = {"prefix": PREFIX, "event": event, "verb": verb, "table": table, "referencing": referencing}
            made.append(TRIGGER.format(**given, schema=schema, function=function, name=literal(collection.name)))
    return made


def noted(write: str) -> list[dict[str, object]]:
    """The net effect on each row, in the order in which rows were first touched."""
    first: dict[tuple[str, str], str | None] = {}
    last: dict[tuple[str, str], str | None] = {}
    for collection, key, before, after in rows(NOTED, [write]):
        first.setdefault((collection, key), before)
        last[collection, key] = after
    found = []
    for (collection, key), before in first.items():
        was, is_now = (None if text is None else wire.loads(text) for text in (before, last[collection, key]))
        if was != is_now:
            kind = "insert" if was is None else "delete" if is_now is None else "update"
            found.append({"collection": collection, "key": key, "kind": kind, "before": was, "after": is_now})
    return found


def _function(collection: Collection) -> str:
    return PREFIX + function_name(collection).removeprefix(CAPTURE)
