"""The connection that everything here works on: which one, its cursors, and what its errors mean.

SQL is a string where it is the same for every database, and a ``databases.port.Statement`` where an expression differs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error

from strangler import conf
from strangler.sync import databases
from strangler.sync.databases.port import Database, Statement


def alias(using: str | None = None) -> str:
    """``using``, or the configured ``STRANGLER["DATABASE"]``."""
    return using or str(conf.setting("DATABASE"))


def connection(using: str | None = None) -> BaseDatabaseWrapper:
    return connections[alias(using)]


def port(using: str | None = None) -> Database:
    """What differs between databases, of the one that everything here works on."""
    return databases.of(connection(using))


def sqlstate(error: BaseException | None) -> str:
    """The SQLSTATE of a database error, through Django's wrapper; '' if it has none."""
    for candidate in (error, getattr(error, "__cause__", None)):
        state = databases.sqlstate(candidate) if candidate is not None else ""
        if state:
            return state
    return ""


def message(error: BaseException) -> str:
    """The first line of what the server said."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def quote(name: str) -> str:
    """An identifier for DDL that is run without parameters."""
    return '"' + name.replace('"', '""') + '"'


def quoted(name: str) -> str:
    """An identifier for SQL that is run with parameters, where ``%`` is a sign of its own."""
    return quote(name).replace("%", "%%")


def literal(text: str) -> str:
    """A string constant for DDL."""
    return "'" + text.replace("'", "''") + "'"


def execute(cursor: Any, statement: str | Statement, params: Any = None) -> Any:
    """Run a statement on a cursor of Django's; the cursor. Lists and moments may be among the parameters."""
    made = databases.of(cursor.db)
    if params is not None or not isinstance(statement, str):
        params = made.adapted(params or ())
    cursor.execute(made.render(statement), params)
    return cursor


def rows(statement: str | Statement, params: Any = None, using: str | None = None) -> list[tuple[Any, ...]]:
    with connection(using).cursor() as cursor:
        execute(cursor, statement, params)
        return cursor.fetchall() if cursor.description else []


def value(statement: str | Statement, params: Any = None, using: str | None = None) -> Any:
    """The first column of the first row, or None."""
    found = rows(statement, params, using)
    return found[0][0] if found else None


def count(statement: str | Statement, params: Any = None, using: str | None = None) -> int:
    """How many rows the statement wrote."""
    with connection(using).cursor() as cursor:
        return int(execute(cursor, statement, params).rowcount)


@contextlib.contextmanager
def snapshot(using: str | None = None, *, by_index: bool = False) -> Iterator[Any]:
    """A cursor in one transaction that only reads: all its statements see one instant (P6).

    The instant is that of the first statement in it, not of entering. Must not be called inside a transaction. ``by_index``:
    every plan goes along an index. What the statistics say of an outbox was true at another moment: now it is full, now empty.
    """
    with port(using).snapshot(by_index=by_index) as cursor:
        yield cursor


def discard_broken(using: str | None = None) -> None:
    """Close this thread's connection if it no longer works: a server that was killed must not wedge a worker's thread."""
    wrapper = connection(using)
    if wrapper.connection is None or wrapper.in_atomic_block:
        return
    if not wrapper.is_usable():
        with contextlib.suppress(Error):
            wrapper.close()
