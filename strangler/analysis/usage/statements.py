"""Every statement that goes through Django's cursors, put down before it runs. One that then fails was tried all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper

from strangler.analysis.usage import flushing, units
from strangler.analysis.usage.reading import LONG, shortened
from strangler.analysis.usage.tally import Seen

# Names of savepoints never repeat, and transactions are nobody's tables.
CONTROL = frozenset({"SAVE", "RELE", "ROLL", "BEGI", "COMM", "STAR", "END", "END;", "ABOR"})
NONE: frozenset[str] = frozenset()
COPYING = ("copy", "copy_expert", "copy_from", "copy_to")  # of psycopg 3, and of psycopg 2: Django's wrappers don't see them


class Tracer(Protocol):
    """What else looks at a statement of a unit that is traced. Neither raises."""

    def place(self) -> Any:
        """The code that runs it; asked before it runs."""

    def ran(self, connection: BaseDatabaseWrapper, unit: units.Unit, seen: Seen) -> None:
        """It has not failed. Control statements come here too."""

    def watch(self, connection: BaseDatabaseWrapper) -> None: ...


tracer: Tracer | None = None


def install() -> None:
    """Watches every connection, those that are open too. Idempotent."""
    connection_created.connect(_watch, dispatch_uid="strangler.usage")
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)
    for name in COPYING:
        setattr(CursorWrapper, name, property(_copying(name)))


def _watch(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """First in the list, so outermost: it sees what the code gave. Django's context manager pops from the other end."""
    if record not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, record)
    if tracer is not None:
        tracer.watch(connection)


def record(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """An execute wrapper of Django's."""
    unit = units.current()
    if unit.is_ours or not flushing.is_on:
        return execute(sql, params, many, context)
    connection = context["connection"]
    seen = note(unit, connection, sql)
    answer = execute(sql, params, many, context)
    if seen is not None and unit.is_traced and tracer is not None:
        tracer.ran(connection, unit, seen)
    return answer


def note(unit: units.Unit, connection: BaseDatabaseWrapper, sql: Any) -> Seen | None:
    try:
        text = sql if type(sql) is str else _text(sql, connection)
        if text[:4].upper() in CONTROL:
            return Seen(connection.vendor, text, NONE)
        if len(text) > LONG:
            text = shortened(text)
        place = tracer.place() if unit.is_traced and tracer is not None else None
        seen = Seen(connection.vendor, text, units.claimed(connection), place)
        unit.note(seen)
        return seen
    except Exception as error:  # whatever an object that stands for SQL may do: it is not our statement to fail
        flushing.failed(error)
        return None


def _text(sql: Any, connection: BaseDatabaseWrapper) -> str:
    """psycopg composes statements of parts, which know the text only for a connection."""
    if isinstance(sql, (bytes, bytearray)):
        return sql.decode(errors="replace")
    if hasattr(sql, "as_string"):
        return str(sql.as_string(connection.connection))
    return str(sql)


def _copying(name: str) -> Callable[[CursorWrapper], Any]:
    def get(cursor: CursorWrapper) -> Any:
        original = CursorWrapper.__getattr__(cursor, name)

        def copy(*args: Any, **kwargs: Any) -> Any:
            unit = units.current()
            if not unit.is_ours and flushing.is_on:
                seen = note(unit, cursor.db, _copied(name, *args, **kwargs))
                if seen is not None and unit.is_traced and tracer is not None:
                    tracer.ran(cursor.db, unit, seen)
            return original(*args, **kwargs)

        return copy

    return get


def _copied(name: str, *args: Any, **kwargs: Any) -> Any:
    """The statement; psycopg 2's ``copy_from(file, table)`` and ``copy_to`` make it of a table's name."""
    if name in ("copy", "copy_expert"):
        return args[0] if args else kwargs.get("statement", kwargs.get("sql", ""))
    table = args[1] if len(args) > 1 else kwargs.get("table", "")
    return f'COPY "{table}" {"FROM STDIN" if name == "copy_from" else "TO STDOUT"}'
