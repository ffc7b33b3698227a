"""What a recorded write does to its context's rows: triggers that note each row before and after, in the writer's transaction.

Statement-level with transition tables, as capture is, so every way to write is seen. They are there only while writes are
recorded, and note only in a transaction that says it is one (``strangler.recorded``, set for that transaction alone): a write
that nobody records pays for one setting that is looked at. A rolled-back writer takes its notes with it.

Read copies are noted too: a charge makes its order paid, and could not be charged again. Only what the context owns is compared.
"""

from __future__ import annotations

import hashlib

from strangler.domain import wire
from strangler.errors import Misuse
from strangler.sync import collections, ddl
from strangler.sync.collections import Collection
from strangler.sync.database import connection, literal, quote, rows
from strangler.sync.databases.postgresql import ddl as catalogue

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
  IF NOT starts_with(recorded, TG_ARGV[1]) THEN
    RETURN NULL;
  END IF;
  recorded := substr(recorded, length(TG_ARGV[1]) + 1);
  IF TG_OP = 'INSERT' THEN
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
    "CREATE OR REPLACE TRIGGER {trigger} AFTER {verb} ON {table} REFERENCING {referencing} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}({name}, {saying})"
)
FUNCTIONS = """
SELECT format('%%I.%%I', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prorettype = 'trigger'::regtype AND starts_with(p.proname, %s) ORDER BY 1
"""
NOTED = "SELECT collection, key, before, after FROM strangler_effect WHERE write = %s ORDER BY id"


def install(context: str) -> None:
    """Triggers on each table that the service has a copy of, with short locks. Raises ``Misuse`` outside of PostgreSQL."""
    if connection().vendor != "postgresql":
        raise Misuse("writes are recorded on PostgreSQL alone")
    for collection in _mirrored(context):
        ddl.run(statements(context, collection), f"noting effects on {collection.table}")


def uninstall(context: str, using: str | None = None, *, patience_s: float = 30.0) -> None:
    if connection(using).vendor == "postgresql":
        for collection in _mirrored(context, using):
            function = f"{catalogue.product_schema(using)}.{quote(_name(context, collection))}"
            catalogue.drop_function(function, using, patience_s=patience_s)


def _mirrored(context: str, using: str | None = None) -> list[Collection]:
    return [*collections.for_context(context, using), *collections.read_copies(context, using)]


def uninstall_all(using: str | None = None) -> None:
    if connection(using).vendor == "postgresql":
        for (function,) in rows(FUNCTIONS, [PREFIX], using):
            catalogue.drop_function(function, using)


def statements(context: str, collection: Collection) -> list[str]:
    schema, name = catalogue.product_schema(), _name(context, collection)
    function = quote(name)
    key, row = (text.replace("%%", "%") for text in (collection.key_text("t"), collection.row_json("t")))
    made = [FUNCTION.format(schema=schema, function=function, key=key, row=row)]
    for table in catalogue.tables(collection.ddl):
        for event, (verb, referencing) in EVENTS.items():
            given = {"trigger": quote(f"{name}_{event}"), "verb": verb, "table": table, "referencing": referencing}
            said = {"name": literal(collection.name), "saying": literal(setting(context, ""))}
            made.append(TRIGGER.format(**given, **said, schema=schema, function=function))
    return made


def noted(context: str, write: str) -> list[dict[str, object]]:
    """The net effect on each row, in the order in which rows were first touched. ``own``: the context owns it."""
    own = {collection.name for collection in collections.for_context(context)}
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
            place = {"collection": collection, "key": key, "own": collection in own}
            found.append({**place, "kind": kind, "before": was, "after": is_now})
    return found


def setting(context: str, write: str) -> str:
    """The value of ``SETTING`` in a transaction of the write."""
    return f"{context}:{write}"


def _name(context: str, collection: Collection) -> str:
    """Of function and triggers; two contexts may have copies of one table, with other columns."""
    return PREFIX + hashlib.sha256(f"{context}/{collection.name}".encode()).hexdigest()[:16]
