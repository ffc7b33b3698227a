"""The databases on which the suite runs: how the two of an estate are made, and how another program talks to them."""

from __future__ import annotations

import contextlib
import copy
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from strangler.sync.database import port, rows
from strangler.sync.databases.sqlite import schema

PARTITIONED = """
CREATE TABLE bank_reading (id bigint, year int, value text, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
CREATE TABLE bank_reading_2025 PARTITION OF bank_reading FOR VALUES IN (2025);
CREATE TABLE bank_reading_2026 PARTITION OF bank_reading FOR VALUES IN (2026);
CREATE TABLE "we""ird %s table" ("the ""id"" 100%s" int PRIMARY KEY, "it's 5%" text);
"""
PLAIN = (
    "CREATE TABLE bank_reading (id bigint NOT NULL, year int NOT NULL, value text, PRIMARY KEY (id, year))",
    'CREATE TABLE "we""ird %s table" ("the ""id"" 100%s" integer PRIMARY KEY, "it\'s 5%" text)',
)


class OnPostgreSQL:
    """Two databases on the session's server."""

    name = "postgresql"

    def __init__(self, server: Any) -> None:
        self.server = server

    def create(self, alias: str) -> None:
        name = f"sync_{alias}_{os.getpid()}"
        self.server.create_database(name)
        given = copy.deepcopy(connections["default"].settings_dict)
        given.update(NAME=name, OPTIONS={}, CONN_MAX_AGE=None)
        connections.settings[alias] = given

    def unmanaged(self, alias: str) -> list[str]:
        return [PARTITIONED]


class OnSQLite:
    """Two files in WAL mode."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def create(self, alias: str) -> None:
        path = self.directory / f"{alias}.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = WAL")
        given = copy.deepcopy(connections["default"].settings_dict)
        given.update(ENGINE="django.db.backends.sqlite3", NAME=str(path), HOST="", PORT="", USER="", PASSWORD="")
        # As sites set it: then only what must be on disk waits for the disk.
        given.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=False, OPTIONS={"init_command": "PRAGMA synchronous = NORMAL"})
        connections.settings[alias] = given

    def unmanaged(self, alias: str) -> list[str]:
        return list(PLAIN)


def url(alias: str) -> str:
    """``DATABASE_URL`` of the alias, for a process."""
    given = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


def connect(alias: str, **settings: str) -> Any:
    """A connection of another program: not Django's, autocommit. ``settings`` are a PostgreSQL session's."""
    given = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        return SQLiteProgram(given["NAME"])
    connection = psycopg.connect(
        host=given["HOST"],
        port=given["PORT"],
        user=given["USER"],
        password=given["PASSWORD"],
        dbname=given["NAME"],
        autocommit=True,
    )
    for name, setting in settings.items():
        connection.execute(f"SET {name} = {setting}")
    return connection


class SQLiteProgram:
    """Python's ``sqlite3`` with as much of psycopg's manners as the tests use."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA recursive_triggers = OFF")  # SQLite's default, if not that of every distribution
        self.origin = ""

    def execute(self, statement: str, params: Any = None) -> sqlite3.Cursor:
        """Outside a transaction and with an origin set: that origin, for this statement."""
        if not self.origin or self.connection.in_transaction:
            return self._execute(statement, params)
        with self.transaction():
            self.connection.execute("INSERT INTO strangler_origin VALUES (?)", [self.origin])
            found = self._execute(statement, params)
            self.connection.execute("DELETE FROM strangler_origin")
        return found

    def _execute(self, statement: str, params: Any) -> sqlite3.Cursor:
        if params is None:
            return self.connection.execute(statement)
        if isinstance(params, Mapping):
            return self.connection.execute(re.sub(r"%\((\w+)\)s", r":\1", statement).replace("%%", "%"), params)
        return self.connection.execute(re.sub(r"(?<!%)%s", "?", statement).replace("%%", "%"), params)

    @contextlib.contextmanager
    def transaction(self, force_rollback: bool = False) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("ROLLBACK" if force_rollback else "COMMIT")

    def close(self) -> None:
        self.connection.close()


def act_as(program: Any, origin: str) -> None:
    """What the program writes from now on is of this origin: the fence lets it pass, and that stream is not told."""
    if isinstance(program, SQLiteProgram):
        program.origin = origin
    else:
        program.execute("SELECT set_config('strangler.origin', %s, false)", [origin])


# What has other words in each database, by what it means.

# Installed with a context; `strangler_claim` comes and goes with the tables, by `migrate`.
OF_MIGRATIONS = ("strangler_claim", "strangler_append_only", "strangler_rehearsal_ends")  # of the product's own tables
OURS = f"starts_with(proname, 'strangler_') AND proname NOT IN {OF_MIGRATIONS}"


def made_by_us(alias: str) -> list[str]:
    """The names of the product's functions, and of its triggers on tables of others."""
    if connections[alias].vendor == "sqlite":
        named = "name LIKE 'strangler\\_%' ESCAPE '\\' AND tbl_name NOT LIKE 'strangler\\_%' ESCAPE '\\'"
        return _names(f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND {named}", alias)
    triggers = (
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE starts_with(tgname, 'strangler_') AND NOT starts_with(relname, 'strangler_')"
    )
    return _names(f"SELECT proname FROM pg_proc WHERE {OURS} UNION ALL {triggers}", alias)


def lose_trigger(name: str, alias: str) -> None:
    """The table ``bank_code`` loses the trigger."""
    if connections[alias].vendor == "sqlite":
        event = "" if name.startswith("strangler_capture") else "_insert"
        _run(f"DROP TRIGGER {name}{event}_bank_code", alias)
    else:
        _run(f"ALTER TABLE bank_code DISABLE TRIGGER {name}", alias)


def hold(program: Any, table: str) -> None:
    """The program's transaction keeps everybody else from writing the table, and from making triggers on it."""
    if isinstance(program, SQLiteProgram):
        program.execute("BEGIN IMMEDIATE")
    else:
        program.execute("BEGIN")
        program.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def name_of(program: Any) -> str:
    """By which an operator can find it, as far as the database tells."""
    return "has written and not yet committed" if isinstance(program, SQLiteProgram) else str(program.info.backend_pid)


def foreign_keys(table: str, alias: str) -> list[str]:
    if connections[alias].vendor == "sqlite":
        return _names(f"SELECT id FROM pragma_foreign_key_list('{table}')", alias)
    return _names(f"SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = '{table}'::regclass", alias)


def is_validated(name: str, alias: str) -> bool:
    """Whether the foreign key, which is there, holds for all rows."""
    if connections[alias].vendor == "sqlite":
        return not _names("SELECT rowid FROM pragma_foreign_key_check('bank_account')", alias)
    return _names(f"SELECT convalidated FROM pg_constraint WHERE conname = '{name}'", alias) == [True]


@contextlib.contextmanager
def refusing(code: str, alias: str) -> Iterator[None]:
    """The table ``bank_code`` takes no row with this code."""
    refuse(f"code <> '{code}'", alias)
    try:
        yield
    finally:
        allow(alias)


def refuse(condition: str, alias: str) -> None:
    """The table ``bank_code`` takes no other rows, until ``allow``."""
    if connections[alias].vendor == "postgresql":
        _run(f"ALTER TABLE bank_code ADD CONSTRAINT never CHECK ({condition})", alias)
    else:
        _rewrite(alias, lambda text: schema.with_constraint(text, f"CONSTRAINT never CHECK ({condition})"))


def allow(alias: str = "destination") -> None:
    """Also where nothing is refused."""
    if connections[alias].vendor == "postgresql":
        _run("ALTER TABLE bank_code DROP CONSTRAINT IF EXISTS never", alias)
    else:
        _rewrite(alias, lambda text: re.sub(r", CONSTRAINT never CHECK \(.*\)\)$", ")", text))


def _rewrite(alias: str, change: Callable[[str], str]) -> None:
    (before,) = _names("SELECT sql FROM sqlite_master WHERE name = 'bank_code'", alias)
    with port(alias).writing() as cursor:
        schema.rewrite(cursor, "bank_code", change(before))


def age_pointers(seconds: float, alias: str = "source") -> None:
    """As if what waits had waited for so much longer."""
    if connections[alias].vendor == "postgresql":
        rows("UPDATE strangler_outbox SET noted_at = noted_at - %s * interval '1 second'", [seconds], alias)
    else:
        rows(
            "UPDATE strangler_outbox SET noted_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', noted_at, %s)",
            [f"-{seconds} seconds"],
            alias,
        )


def shout(alias: str) -> None:
    """A trigger of the user's that refuses every insert into ``bank_code``."""
    if connections[alias].vendor == "sqlite":
        _run("CREATE TRIGGER shout BEFORE INSERT ON bank_code BEGIN SELECT RAISE(ABORT, 'a user trigger fired'); END", alias)
        return
    _run(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a user trigger fired'; END $$; "
        "CREATE TRIGGER shout BEFORE INSERT ON bank_code FOR EACH ROW EXECUTE FUNCTION shout()",
        alias,
    )


def hush(alias: str) -> None:
    """That trigger, which is still there, goes."""
    statement = (
        "DROP TRIGGER shout"
        if connections[alias].vendor == "sqlite"
        else "DROP TRIGGER shout ON bank_code; DROP FUNCTION shout()"
    )
    _run(statement, alias)


def acts_as_anybody(alias: str) -> bool:
    """Whether what this thread writes now meets the user's triggers and is noted as an ordinary change."""
    if connections[alias].vendor == "sqlite":
        return not _names("SELECT 1 FROM strangler_origin", alias) and bool(
            _names("SELECT 1 FROM sqlite_master WHERE name = 'shout'", alias)
        )
    replica = "current_setting('session_replication_role') = 'origin'"
    return _names(f"SELECT {replica} AND current_setting('strangler.origin', true) = ''", alias) == [True]


def _names(query: str, alias: str) -> list[Any]:
    return [name for (name,) in rows(query, using=alias)]


def _run(statement: str, alias: str) -> None:
    rows(statement, using=alias)
