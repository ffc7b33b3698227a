"""How many rows and bytes a context's tables have: PostgreSQL's estimates, SQLite's counts."""

from __future__ import annotations

import time
from collections.abc import Iterable

from django.db import DatabaseError

from strangler.analysis.live.session import Session

# The planner's estimate, -1 while nobody has analysed; then what the statistics of writes tell, where they tell anything.
# A partitioned table has its parts'.
POSTGRESQL = """
    SELECT lower(c.relname), c.relkind, c.oid::text,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples
                WHEN s.n_live_tup > 0 OR pg_relation_size(c.oid) = 0 THEN s.n_live_tup END::bigint,
           pg_total_relation_size(c.oid)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'm', 'f', 'p') AND lower(c.relname) = ANY(%s)
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
    ORDER BY pg_table_is_visible(c.oid), n.nspname DESC
"""
PARTS = """
    SELECT sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE s.n_live_tup END)::bigint,
           sum(pg_total_relation_size(c.oid))::bigint
    FROM pg_partition_tree(%s::oid::regclass) p
    JOIN pg_class c ON c.oid = p.relid
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE p.isleaf
"""
SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
SQLITE_SIZES = """
    SELECT lower(m.tbl_name), sum(d.pgsize) FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY lower(m.tbl_name)
"""
COUNT_S = 2.0
"""For all of SQLite's counts together."""

Size = tuple[int | None, int | None]


def sizes(asked: Session, tables: Iterable[str]) -> dict[str, Size]:
    """table → (rows, bytes with indexes); None for what is not known. Tables that are not there are left out."""
    names = sorted(set(tables))
    return _of_postgresql(asked, names) if asked.vendor == "postgresql" else _of_sqlite(asked, names)


def _of_postgresql(asked: Session, names: list[str]) -> dict[str, Size]:
    found: dict[str, Size] = {}
    for name, kind, oid, rows, size in asked.ask(POSTGRESQL, [names]):
        if kind == "p":
            rows, size = asked.ask(PARTS, [oid])[0]
        found[name] = (rows, size)
    return found


def _of_sqlite(asked: Session, names: list[str]) -> dict[str, Size]:
    end = time.monotonic() + COUNT_S
    try:
        bytes_of = dict(asked.ask(SQLITE_SIZES, seconds=COUNT_S))
    except DatabaseError:  # many a SQLite is built without dbstat
        bytes_of = {}
    present = {name.lower(): name for (name,) in asked.ask(SQLITE_TABLES)}
    return {name: (_count(asked, present[name], end), bytes_of.get(name)) for name in names if name in present}


def _count(asked: Session, table: str, end: float) -> int | None:
    try:
        return int(asked.ask(f"SELECT count(*) FROM {asked.quote(table)}", seconds=max(0.0, end - time.monotonic()))[0][0])
    except DatabaseError:  # out of time
        return None
