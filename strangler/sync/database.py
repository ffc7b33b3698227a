"""The connection that everything here works on: which one, its cursors, and what its errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error

from strangler import conf

BY_INDEX = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"


def alias(using: str | None = None) -> str:
    """``using``, or the configured ``STRANGLER["DATABASE"]``."""
    return using or str(conf.setting("DATABASE"))


def connection(using: str | None = None) -> BaseDatabaseWrapper:
    return connections[alias(using)]


def sqlstate(error: BaseException | None) -> str:
    """The SQLSTATE of a database error, through Django's wrapper; '' if it has none. psycopg 3 and 2."""
    for candidate in (error, getattr(error, "__cause__", None)):
        state = getattr(candidate, "sqlstate", None) or getattr(candidate, "pgcode", None)
        if state:
            return str(state)
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


def rows(sql: str, params: Any = None, using: str | None = None) -> list[tuple[Any, ...]]:
    with connection(using).cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def value(sql: str, params: Any = None, using: str | None = None) -> Any:
    """The first column of the first row, or None."""
    found = rows(sql, params, using)
    return found[0][0] if found else None


# Whatever the project sets for its own sessions: a value whose text depends on settings has the same one on both sides.
SETTINGS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; "
    "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL lc_monetary = 'C'"
)


@contextlib.contextmanager
def snapshot(using: str | None = None, *, by_index: bool = False) -> Iterator[Any]:
    """A cursor in one REPEATABLE READ, READ ONLY transaction: all its statements see one instant (P6).

    The instant is that of the first statement in it, not of entering. Must not be called inside a transaction. ``by_index``:
    every plan goes along an index. What the statistics say of an outbox was true at another moment: now it is full, now empty.
    """
    with transaction.atomic(using=alias(using), durable=True), connection(using).cursor() as cursor:
        mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
        cursor.execute(f"{mode}; {SETTINGS}{BY_INDEX if by_index else ''}")
        yield cursor


def discard_broken(using: str | None = None) -> None:
    """Close this thread's connection if it no longer works: a server that was killed must not wedge a worker's thread."""
    wrapper = connection(using)
    if wrapper.connection is None or wrapper.in_atomic_block:
        return
    if not wrapper.is_usable():
        with contextlib.suppress(Error):
            wrapper.close()
