"""In a process of the tests: statements on the context's tables by code outside of it are refused, as they will be after the cut.

It stands on how the ledger attributes a statement (``runtime.sites``): to the innermost code of the project's own. Test code is
nobody's, migrations are history, and a database that no test runner has made is never fenced.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.backends.signals import connection_created

from strangler.analysis.rehearsing import calls, tests
from strangler.analysis.rehearsing.notes import Notes
from strangler.analysis.rehearsing.order import Order
from strangler.analysis.runtime import crossings, handlers, watching
from strangler.analysis.runtime.sites import Place, Site, Sites
from strangler.analysis.usage import flushing, reading, units
from strangler.analysis.usage.reading import LONG, Access, shortened
from strangler.analysis.usage.statements import CONTROL
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Kind
from strangler.errors import Misconfigured

MIGRATIONS = "migrations"
FLUSH = "django.core.management.commands.flush"


class WouldBeFenced(DatabaseError):
    """What was to be done can't be done any more once the context has moved. The message names table, code and remedy."""


class Fence:
    def __init__(self, order: Order, names: dict[str, Any]) -> None:
        self._order, self._notes, self._names = order, Notes(order.into), names
        self._making = 0
        self._up: set[str] = set()

    def guard(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """An execute wrapper of Django's."""
        __tracebackhide__ = True  # pytest shows the code that was refused, not this
        if apps.ready and not self._making:
            self._judge(context["connection"], sql, sys._getframe(1))
        return execute(sql, params, many, context)

    def making(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A test database is filled by migrations and what follows them, before anything is rehearsed on it."""

        @functools.wraps(original)
        def create_test_db(*args: Any, **kwargs: Any) -> Any:
            self._making += 1
            try:
                return original(*args, **kwargs)
            finally:
                self._making -= 1

        return create_test_db

    def _judge(self, connection: BaseDatabaseWrapper, sql: Any, frame: FrameType) -> None:
        __tracebackhide__ = True
        text = sql if type(sql) is str else _text(sql, connection)
        if text[:4].upper() in CONTROL:
            return
        is_fenced = self._is_for_tests(connection)
        if is_fenced and connection.alias not in self._up:
            self._up.add(connection.alias)
            self._notes.add("up", database=connection.alias)
        access, template = crossings.understood(connection.vendor, shortened(text) if len(text) > LONG else text)
        sites = watching.sites()
        written, read = self._ours(sites.atlas, access.writes), self._ours(sites.atlas, access.reads)
        if self._ours(sites.atlas, access.unclear):
            self._notes.add("unread", text=template)
        if not written and not (read and self._order.unreachable):
            return
        if is_fenced:
            self._refuse(connection, written or read, bool(written), access, template, sites, frame)
        elif tests.current():
            named = f"{connection.alias} ({connection.settings_dict['NAME']})"
            self._notes.add("not a test database", database=named)
            raise Misconfigured(f"{named} is no test database, so it is not fenced: let the test runner make one of its own")

    def _is_for_tests(self, connection: BaseDatabaseWrapper) -> bool:
        """A test runner has put another database in the place of the one that the settings name."""
        return connection.alias in self._names and connection.settings_dict["NAME"] != self._names[connection.alias]

    def _ours(self, atlas: Atlas, tables: frozenset[str]) -> list[str]:
        return sorted(table for table in tables if atlas.tables.get(table) == self._order.context)

    def _refuse(
        self,
        connection: BaseDatabaseWrapper,
        tables: list[str],
        writes: bool,
        access: Access,
        template: str,
        sites: Sites,
        frame: FrameType,
    ) -> None:
        __tracebackhide__ = True
        place = sites.innermost(frame)
        if _is_history(place.site):
            return
        if calls.is_test(place.site):
            if not self._order.strict_tests:
                return self._notes.add("by tests", test=tests.current())
            place = place if place.site.where else place._replace(site=sites.test_code(frame))
        code = crossings.who(sites.atlas, units.current().source(), place.site)
        if code.context == self._order.context:
            return self._called(connection, sites, frame, writes)
        if not code.context and _empties(frame):
            return None
        if not code.context:
            return self._notes.add("nobody", tables=tables, text=template)
        kind = _kind(sites.atlas, place, self._order.context, writes)
        joined = sorted(
            table
            for table in access.reads | access.writes
            if sites.atlas.of_table(table) not in ("", PLATFORM, self._order.context)
        )
        for table in tables:
            self._notes.add(
                "refused",
                key=[kind.value, code.context, self._order.context, code.where, table],
                origin=place.origin,
                file=code.file,
                line=place.line,
                text=template,
                joined=joined,
                test=tests.current() or tests.OUTSIDE,
            )
        raise WouldBeFenced(_sentence(kind, tables, self._order.context, code.where, code.context, place))

    def _called(self, connection: BaseDatabaseWrapper, sites: Sites, frame: FrameType, writes: bool) -> None:
        """It runs on in the context's own code, wherever that is. Who called it from outside may have to call it remotely."""
        found = calls.call(self._order.context, sites, frame)
        if found is not None:
            agreed = found.by_contract or self._order.context in units.claimed(connection)
            told = {"source": found.caller.context, "where": found.caller.where, "what": found.called.where}
            self._notes.add("called", **told, agreed=agreed, writes=writes, test=tests.current())


def install(order: Order) -> None:
    """Watches every connection of this process, those that are open too. Idempotent."""
    if hasattr(BaseDatabaseCreation.create_test_db, "__wrapped__"):
        return
    if not reading.can_read():  # then no statement would be refused, and all would seem clean
        raise Misconfigured(
            "strangler rehearse reads SQL by sqlglot: pip install 'django-strangler[analysis]' where the tests run"
        )
    fence = Fence(order, {alias: connections.settings[alias]["NAME"] for alias in connections})
    BaseDatabaseCreation.create_test_db = fence.making(BaseDatabaseCreation.create_test_db)  # type: ignore[method-assign]
    flushing.is_automatic = False  # what a unit of work notes is looked at, and not stored
    handlers.install()

    def watch(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if fence.guard not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, fence.guard)

    connection_created.connect(watch, dispatch_uid="strangler.rehearse", weak=False)
    for connection in connections.all(initialized_only=True):
        watch(connection=connection)


def _text(sql: Any, connection: BaseDatabaseWrapper) -> str:
    return str(sql.as_string(connection.connection)) if hasattr(sql, "as_string") else str(sql)


def _is_history(site: Site) -> bool:
    return MIGRATIONS in calls.parts(site)[:-1]


def _empties(frame: FrameType | None) -> bool:
    """Whether all tables are emptied, after a ``TransactionTestCase``."""
    while frame is not None and frame.f_globals.get("__name__") != FLUSH:
        frame = frame.f_back
    return frame is not None


def _kind(atlas: Atlas, place: Place, context: str, writes: bool) -> Kind:
    if not writes:
        return Kind.FOREIGN_READ
    cascades = place.origin and atlas.of_model(place.origin) != context
    return Kind.CASCADE if cascades else Kind.FOREIGN_WRITE


def _sentence(kind: Kind, tables: list[str], context: str, where: str, source: str, place: Place) -> str:
    table, at = ", ".join(tables), f"{where}, line {place.line}," if place.line else where
    if kind is Kind.CASCADE:
        said = f"deleting {place.origin} at {at} of {source} changes {table} too, which it can't any more"
        return f"{said} once {context} has moved. Let {context} hear of it: strangler analyze {context}"
    verb = "read" if kind is Kind.FOREIGN_READ else "written"
    said = f"{table} belongs to {context}, and can't be {verb} at {at} of {source} any more once that has moved"
    return f"{said}. Ask the contract of {context} instead: strangler analyze {context}"
