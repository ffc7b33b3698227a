"""What differs between databases, behind one port (``port.Database``), one package a database."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from strangler.errors import Misconfigured
from strangler.sync.databases.port import Database
from strangler.sync.databases.states import sqlstate

SUPPORTED = ("postgresql", "sqlite")


def of(connection: BaseDatabaseWrapper) -> Database:
    """The port to the connection's database; one object a connection. Raises ``Misconfigured`` for a database that has none."""
    made: Database | None = getattr(connection, "strangler_port", None)
    if made is None:
        made = _implementation(connection.vendor)(connection)
        connection.strangler_port = made  # type: ignore[attr-defined]
    return made


def _implementation(vendor: str) -> type[Database]:
    if vendor == "postgresql":
        from strangler.sync.databases.postgresql import PostgreSQL

        return PostgreSQL
    if vendor == "sqlite":
        from strangler.sync.databases.sqlite import SQLite

        return SQLite
    raise Misconfigured(
        f"strangler mirrors tables of PostgreSQL and SQLite, not of {vendor}; point STRANGLER['DATABASE'] at one of these "
        "(strangler/sync/databases/port.py says what another database has to provide)"
    )


__all__ = ["Database", "of", "sqlstate"]
