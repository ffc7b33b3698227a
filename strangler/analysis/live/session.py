"""A connection of the analysis's own to a project's database: it reads, in one transaction, and gives up soon."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connections

CONNECT_S = 5
STATEMENT_S = 5.0
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class NotAnswered(Exception):
    """The database does not answer, or can't be asked: the message says why, in one line."""


class Session:
    """``vendor``: "postgresql" or "sqlite". Every question stands alone: one that fails takes none of the others along."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.vendor = str(connection.vendor)
        self.quote = connection.ops.quote_name

    def ask(self, sql: str, given: Any = (), seconds: float = STATEMENT_S) -> list[tuple[Any, ...]]:
        """Raises ``DatabaseError`` for what it refuses, or does not do within the time."""
        with self._connection.cursor() as cursor:
            if self.vendor == "sqlite":
                with _deadline(self._connection.connection, seconds):
                    cursor.execute(sql, given or None)
                    return list(cursor.fetchall())
            cursor.execute(f"SAVEPOINT asked; SET LOCAL statement_timeout = {int(seconds * 1000)}")
            try:
                cursor.execute(sql, given or None)
                return list(cursor.fetchall())
            except DatabaseError:
                cursor.execute("ROLLBACK TO SAVEPOINT asked")
                raise
            finally:
                cursor.execute("RELEASE SAVEPOINT asked")


@contextlib.contextmanager
def opened(alias: str) -> Iterator[Session]:
    """Raises ``NotAnswered``. What the project's own connection has open is not touched."""
    connection = _own(alias)
    try:
        try:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA query_only = ON" if connection.vendor == "sqlite" else BEGIN)
                if connection.vendor == "sqlite":
                    cursor.execute("BEGIN")
        except Exception as error:  # drivers that are missing, names that don't resolve, guards of test runners
            raise NotAnswered(first_line(error)) from error
        yield Session(connection)
    finally:
        with contextlib.suppress(Exception):
            if connection.connection is not None:
                connection.connection.rollback()
            connection.close()


def _own(alias: str) -> Any:
    try:
        connection = connections[alias].copy()
    except Exception as error:  # an engine that is not installed
        raise NotAnswered(first_line(error)) from error
    if connection.vendor not in ("postgresql", "sqlite"):
        raise NotAnswered(f"only PostgreSQL and SQLite are asked, and this is {connection.vendor}")
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"] = {"connect_timeout": CONNECT_S, **connection.settings_dict.get("OPTIONS", {})}
    else:
        name = str(connection.settings_dict["NAME"])
        if not name.startswith("file:") and name != ":memory:" and not Path(name).is_file():  # asking it would make it
            raise NotAnswered(f"there is no file {name}")
    return connection


@contextlib.contextmanager
def _deadline(raw: Any, seconds: float) -> Iterator[None]:
    """SQLite has no timeout for statements, but asks every so many steps whether to go on."""
    end = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
