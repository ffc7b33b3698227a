"""Where tables and the product's schema are, for DDL; and how a trigger function goes without two locks at once."""

from __future__ import annotations

from strangler.errors import StranglerError
from strangler.sync.database import alias, rows, value
from strangler.sync.ddl import run

LEAVES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM (SELECT to_regclass(%s) AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass(%s))) AS tree
JOIN pg_class c ON c.oid = tree.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.relkind = 'p' DESC, n.nspname, c.relname
"""

USERS = """
SELECT format('%%I.%%I', n.nspname, c.relname), quote_ident(t.tgname)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgfoid = to_regproc(%s) ORDER BY 1, 2
"""


def tables(table: str, using: str | None = None) -> list[str]:
    """The quoted names of a table and, where it is partitioned, of all its partitions, parents first."""
    return [name for (name,) in rows(LEAVES, [table, table], using)]


def product_schema(using: str | None = None) -> str:
    """The quoted schema in which the product's own tables lie."""
    found = value(
        "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass('strangler_outbox')",
        using=using,
    )
    if found is None:
        raise StranglerError(f"the product's tables are not in the database {alias(using)!r}; run: manage.py migrate strangler")
    return str(found)


def drop_function(function: str, using: str | None = None, *, patience_s: float = 30.0) -> None:
    """Drops a trigger function and its triggers, a table at a time, so that no two locks are held together."""
    by_table: dict[str, list[str]] = {}
    for table, trigger in rows(USERS, [function], using):
        by_table.setdefault(table, []).append(trigger)
    for table, triggers in by_table.items():
        gone = [f"DROP TRIGGER IF EXISTS {trigger} ON {table}" for trigger in triggers]
        run(gone, f"removing triggers of {table}", using=using, patience_s=patience_s)
    run([f"DROP FUNCTION IF EXISTS {function}()"], f"removing {function}", using=using, patience_s=patience_s)
