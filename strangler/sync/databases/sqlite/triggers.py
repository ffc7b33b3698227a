"""Triggers in SQLite's catalogue, which keeps their text. Their names are the file's, not a table's."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from strangler.sync import ddl
from strangler.sync.database import quote

TEXTS = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name IN (SELECT value FROM json_each(%s))"
NAMES = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, %s) = %s ORDER BY name"


def put(names: Sequence[str], statements: Sequence[str]) -> list[str]:
    """DDL that makes exactly these triggers of those that may have these names."""
    return [*(f"DROP TRIGGER IF EXISTS {quote(name)}" for name in names), *statements]


def are_there(connection: BaseDatabaseWrapper, names: Sequence[str], statements: Sequence[str]) -> bool:
    """Whether just these triggers are there. Altering a table changes their text, and making it anew drops them."""
    with connection.cursor() as cursor:
        cursor.execute(TEXTS, [json.dumps(list(names))])
        return sorted(text for (text,) in cursor.fetchall()) == sorted(statements)


def present(connection: BaseDatabaseWrapper, prefix: str) -> list[str]:
    """The quoted names of the triggers that begin so."""
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [len(prefix), prefix])
        return [quote(name) for (name,) in cursor.fetchall()]


def remove(connection: BaseDatabaseWrapper, quoted_names: Sequence[str]) -> None:
    if quoted_names:
        ddl.run([f"DROP TRIGGER IF EXISTS {name}" for name in quoted_names], "removing triggers", using=connection.alias)
