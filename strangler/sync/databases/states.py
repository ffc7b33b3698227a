"""SQLSTATEs (ISO 9075) of drivers' errors, as far as the engine tells conditions apart."""

from __future__ import annotations

import sqlite3

STATES = {
    "SQLITE_CONSTRAINT_UNIQUE": "23505",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "23505",
    "SQLITE_CONSTRAINT_ROWID": "23505",
    "SQLITE_CONSTRAINT_NOTNULL": "23502",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "23503",
    "SQLITE_CONSTRAINT_CHECK": "23514",
    "SQLITE_CONSTRAINT_DATATYPE": "22000",
    "SQLITE_CONSTRAINT": "23000",
    "SQLITE_CONSTRAINT_TRIGGER": "23000",
    "SQLITE_MISMATCH": "22000",
    "SQLITE_TOOBIG": "22001",
    "SQLITE_BUSY_SNAPSHOT": "40001",
    "SQLITE_BUSY": "55P03",
    "SQLITE_BUSY_RECOVERY": "55P03",
    "SQLITE_BUSY_TIMEOUT": "55P03",
    "SQLITE_LOCKED": "55P03",
    "SQLITE_LOCKED_SHAREDCACHE": "55P03",
}
SAYINGS = (("no such table", "42P01"), ("no such column", "42703"), ("has no column named", "42703"))
FENCED = "strangler: "


def sqlstate(error: BaseException) -> str:
    """psycopg 3 and 2 know it; for SQLite it is made from its result code. '' where there is none."""
    known = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if known:
        return str(known)
    return _of_sqlite(error) if isinstance(error, sqlite3.Error) else ""


def _of_sqlite(error: sqlite3.Error) -> str:
    said = str(error)
    if said.startswith(FENCED):
        return "SF001"
    for saying, state in SAYINGS:
        if saying in said:
            return state
    return STATES.get(getattr(error, "sqlite_errorname", ""), "")
