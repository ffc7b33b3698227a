"""What can't be mirrored, by name and with the way out: tables whose changes no trigger sees, rows that nothing identifies.

A refusal is better than a mirror that misses rows in silence: each of these would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import connections, models, router

from strangler.errors import Misconfigured
from strangler.sync.columns import Column
from strangler.sync.database import alias, rows

TABLE = """
SELECT c.relkind::text, c.relpersistence::text, row_security_active(c.oid), current_user::text,
       ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i
             WHERE i.inhparent = c.oid AND c.relkind <> 'p' ORDER BY 1),
       ARRAY(SELECT i.inhparent::regclass::text FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
             WHERE i.inhrelid = c.oid AND p.relkind <> 'p' ORDER BY 1),
       ARRAY(SELECT p.relid::regclass::text FROM pg_partition_tree(c.oid) p WHERE c.relkind = 'p' AND p.isleaf ORDER BY 1)
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
VIEWS = {"v": "a view", "m": "a materialized view"}
LEAVE_OUT = 'leave it out in strangler.toml: not_mirrored = ["{name}"]'


def check_table(name: str, table: str, ddl: str, using: str | None = None) -> tuple[str, ...]:
    """The leaves of a partitioned table, by name.

    Raises ``Misconfigured`` where writes to the table can pass by its triggers, or rows by its reader.
    """
    kind, persistence, is_secured, role, children, parents, leaves = rows(TABLE, [ddl], using)[0]
    leave_out = LEAVE_OUT.format(name=name)
    if kind in VIEWS:
        raise Misconfigured(
            f"{table} of {name} is {VIEWS[kind]} and has no rows of its own to mirror; the service's migrations make it there "
            f"again, so {leave_out}"
        )
    if kind == "f":
        raise Misconfigured(
            f"{table} of {name} is a foreign table, whose rows another server changes unseen; give the service a foreign table "
            f"of its own and {leave_out}"
        )
    if persistence == "t":
        raise Misconfigured(f"{table} of {name} is a temporary table, which no other session sees; {leave_out}")
    if persistence == "u":
        raise Misconfigured(
            f"{table} of {name} is unlogged: a crash empties it, and no trigger sees that; "
            f"ALTER TABLE {ddl} SET LOGGED, or {leave_out}"
        )
    if children or parents:
        relation = f"has tables that inherit from it ({', '.join(children)})" if children else f"inherits from {parents[0]}"
        way = f"ALTER TABLE {', '.join(children) or ddl} NO INHERIT {ddl if children else parents[0]}"
        raise Misconfigured(
            f"{table} of {name} {relation}: a statement on one changes rows of the other, past its triggers; "
            f"partition it instead, or {way}"
        )
    if is_secured:
        raise Misconfigured(
            f"row-level security hides rows of {table} of {name} from the role {role}, which reads them for the mirror; "
            f"as a superuser: ALTER ROLE {role} BYPASSRLS"
        )
    return tuple(leaves)


def choose_key(
    name: str, table: str, columns: Mapping[str, Column], unique: Sequence[tuple[str, ...]], wished: Sequence[str]
) -> tuple[str, ...]:
    """The wished key if it is unique, else another one; in the order of the wish. Raises ``Misconfigured``."""
    if not unique:
        raise Misconfigured(
            f"the table {table} of {name} has no primary key and can't be mirrored; "
            "give it one, or a unique index over columns that are not null"
        )
    fit = [found for found in unique if not any(_unfit(columns[column]) for column in found)]
    if not fit:
        column = next(columns[column] for column in unique[0] if _unfit(columns[column]))
        raise Misconfigured(
            f"the table {table} of {name} can't be mirrored by its key: {column.name} ({column.type}) {_unfit(column)}; "
            "give it a unique index over other columns that are not null"
        )
    chosen = next((found for found in fit if set(found) == set(wished)), fit[0])
    return tuple(wished) if set(chosen) == set(wished) else chosen


def check_columns(name: str, columns: Iterable[Column]) -> None:
    """Raises ``Misconfigured`` for a column that this role may not read."""
    hidden = [column.name for column in columns if not column.is_readable]
    if hidden:
        raise Misconfigured(
            f"this role may not read {', '.join(hidden)} of {name}; GRANT SELECT on it, or mirror a copy without it: "
            f'read_copies = ["{name}(…)"]'
        )


def check_alias(model: type[models.Model], using: str | None = None) -> None:
    """Raises ``Misconfigured`` if the project's router writes the model to another database than the one that is captured."""
    if not router.routers:
        return
    writes, here = router.db_for_write(model), alias(using)
    if not is_same_database(writes, here):
        raise Misconfigured(
            f"{model._meta.label} is written to the database {writes!r} (a router says so), "
            f"but STRANGLER['DATABASE'] is {here!r}; set it to {writes!r}, or move the model to an app of another context"
        )


def is_same_database(one: str, other: str) -> bool:
    return one == other or _address(one) == _address(other)


def _address(name: str) -> tuple[str, ...]:
    """Where a database is; two aliases may mean one."""
    given = connections[name].settings_dict
    return tuple(str(given.get(part) or "") for part in ("ENGINE", "HOST", "PORT", "NAME"))


def _unfit(column: Column) -> str:
    if column.generated:
        return "is generated, and only its sources travel"
    if not column.is_deterministic:
        return "has a collation that takes different texts for one"
    return "" if column.is_key_material else "may write one value in several ways"
