"""The fence in PostgreSQL (P15).

A BEFORE statement trigger on every owned table, on both sides. Statement one takes the context's advisory lock shared and keeps
it to the end of the transaction; statement two reads the owner. Interleavings that it stands:

- *A writer that holds the lock when the owner changes*: the change needs it exclusively and waits, or gives up after 100 ms.
- *A writer that waited for the lock while the owner changed*: statement two has a snapshot of its own (VOLATILE, READ COMMITTED)
  and sees the new owner. In one statement, or STABLE, it would read with the snapshot from before the wait, and pass.
- *REPEATABLE READ and SERIALIZABLE* keep one snapshot, so there the row is read ``FOR SHARE``: if it has changed since,
  PostgreSQL raises a serialization failure, which such code must be ready to retry anyhow.
- *The apply* sets an origin, holds the lock itself and has checked the owner itself (P10).
"""

from __future__ import annotations

from strangler.sync.collections import Collection
from strangler.sync.database import literal, rows, value
from strangler.sync.databases.postgresql import ddl
from strangler.sync.ddl import run
from strangler.sync.lock import lock_key

FUNCTION_NAME = "strangler_fence"
TRIGGER_NAMES = ("strangler_fence", "strangler_fence_truncate")

FUNCTION = """CREATE OR REPLACE FUNCTION {schema}.strangler_fence() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $strangler$
DECLARE
  held record;
BEGIN
  IF coalesce(current_setting('strangler.origin', true), '') <> '' THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock_shared(TG_ARGV[2]::bigint);
  IF current_setting('transaction_isolation') = 'read committed' THEN
    SELECT o.owner, o.epoch INTO held FROM {schema}.strangler_ownership o WHERE o.context = TG_ARGV[0];
  ELSE
    SELECT o.owner, o.epoch INTO held FROM {schema}.strangler_ownership o WHERE o.context = TG_ARGV[0] FOR SHARE;
  END IF;
  IF coalesce(held.owner, 'monolith') <> TG_ARGV[1] THEN
    RAISE EXCEPTION 'strangler: % is owned by % at epoch %; this side, %, may not write %',
      TG_ARGV[0], coalesce(held.owner, 'monolith'), coalesce(held.epoch, 0), TG_ARGV[1], TG_TABLE_NAME
      USING ERRCODE = 'SF001',
            DETAIL = json_build_object('context', TG_ARGV[0],
              'owner', coalesce(held.owner, 'monolith'), 'epoch', coalesce(held.epoch, 0))::text;
  END IF;
  RETURN NULL;
END
$strangler$"""

TRIGGERS = (
    "CREATE OR REPLACE TRIGGER strangler_fence BEFORE INSERT OR UPDATE OR DELETE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.strangler_fence({args})",
    "CREATE OR REPLACE TRIGGER strangler_fence_truncate BEFORE TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}.strangler_fence({args})",
    "ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER strangler_fence",
    "ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER strangler_fence_truncate",
)
PRESENT = """
SELECT count(*) FROM pg_trigger t
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled = 'A' AND t.tgname = ANY(%s)
      AND t.tgfoid = to_regproc(%s) AND encode(t.tgargs, 'escape') = %s
"""


def function_statement(using: str | None = None) -> str:
    return FUNCTION.format(schema=ddl.product_schema(using))


def statements(collection: Collection, context: str, side: str, using: str | None = None) -> list[str]:
    """The DDL that fences the collection's table on ``side``; the function comes first, once, from ``function_statement``."""
    schema = ddl.product_schema(using)
    args = ", ".join(map(literal, (context, side, str(lock_key(context)))))
    return [
        template.format(table=table, schema=schema, args=args)
        for table in ddl.tables(collection.ddl, using)
        for template in TRIGGERS
    ]


def is_installed(collection: Collection, context: str, side: str, using: str | None = None) -> bool:
    function = f"{ddl.product_schema(using)}.{FUNCTION_NAME}"
    args = "".join(f"{part}\\000" for part in (context, side, str(lock_key(context))))
    return all(
        value(PRESENT, [table, list(TRIGGER_NAMES), function, args], using) == len(TRIGGER_NAMES)
        for table in ddl.tables(collection.ddl, using)
    )


def uninstall(collection: Collection, using: str | None = None) -> None:
    for table in ddl.tables(collection.ddl, using):
        run(
            [f"DROP TRIGGER IF EXISTS {name} ON {table}" for name in TRIGGER_NAMES], f"removing the fence of {table}", using=using
        )


def uninstall_all(using: str | None = None) -> None:
    ddl.drop_function(f"{ddl.product_schema(using)}.{FUNCTION_NAME}", using)


def unused(using: str | None = None) -> bool:
    """Whether no table is fenced any more."""
    function = f"{ddl.product_schema(using)}.{FUNCTION_NAME}"
    return not rows("SELECT 1 FROM pg_trigger WHERE tgfoid = to_regproc(%s) LIMIT 1", [function], using)
