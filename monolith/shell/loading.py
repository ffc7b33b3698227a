"""Many rows at once into tables that were empty: what would be done for each row is done once at the end.

https://www.postgresql.org/docs/current/populate.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE contype = 'f' AND conrelid = ANY (%s::regclass[])
    ORDER BY conrelid::regclass::text, conname
"""
INDEXES = """
    SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE NOT indisunique AND indrelid = ANY (%s::regclass[])
    ORDER BY indexrelid::regclass::text
"""
MEMORY = "SET LOCAL maintenance_work_mem = '256MB'"


@contextmanager
def bare(tables: Sequence[str]) -> Iterator[None]:
    """Within a transaction: the tables without foreign keys and indexes (unique ones stay), which are made anew at the end.

    Nobody else gets at the tables until the commit. Wrong rows are refused at the end, and take the whole transaction along.
    """
    with connection.cursor() as cursor:
        steps = []
        for query in (FOREIGN_KEYS, INDEXES):
            cursor.execute(query, [list(tables)])
            steps += cursor.fetchall()
        for drop, _ in steps:
            cursor.execute(drop)
        yield
        cursor.execute(MEMORY)
        for _, make in reversed(steps):  # indexes first: checking foreign keys may use them
            cursor.execute(make)
