"""Runs DDL on tables that are in use: short waits for locks and retries, so that it never queues a site behind itself (P2)."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from django.db import transaction
from django.db.utils import OperationalError

from strangler.errors import StranglerError
from strangler.sync.database import alias, connection, rows, sqlstate, value

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
LEAVES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM (SELECT to_regclass(%s) AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass(%s))) AS tree
JOIN pg_class c ON c.oid = tree.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.relkind = 'p' DESC, n.nspname, c.relname
"""


def run(
    statements: Sequence[str], what: str, *, using: str | None = None, lock_timeout_ms: int = 200, patience_s: float = 30.0
) -> None:
    """All statements in one transaction; tried again while locks are not to be had, for ``patience_s`` in all.

    ``what`` names the subject for the message. Raises ``StranglerError`` when the patience is over. Inside a transaction of the
    caller it is tried once, because a failed statement has spoiled that transaction.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with transaction.atomic(using=alias(using)), connection(using).cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}")
                for statement in statements:
                    cursor.execute(statement)
            return
        except OperationalError as error:
            if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK) or connection(using).in_atomic_block:
                raise
            if time.monotonic() >= deadline:
                raise StranglerError(
                    f"{what}: another transaction kept its lock for {patience_s:.0f} s; "
                    "end it (see pg_stat_activity) and try again"
                ) from error
            time.sleep(random.uniform(0.02, 0.2))  # between tries others get the lock; jitter keeps two installers apart


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
