"""Where ids go on after a change of owner: the new owner must not give out an id that the old one has given (Cut-over, step
5a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strangler.sync import collections
from strangler.sync.collections import Collection
from strangler.sync.database import connection, quoted

OWNED = """
SELECT a.attname, format('%%I.%%I', n.nspname, s.relname)
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i') AND d.refobjid = to_regclass(%s)
ORDER BY a.attname
"""


def next_ids(context: str, using: str | None = None) -> dict[str, int]:
    """``table.column`` → the first id that was never given here: the greater of the sequence's next value and max + 1."""
    found: dict[str, int] = {}
    with connection(using).cursor() as cursor:
        for collection in collections.for_context(context, using):
            for column, sequence in _sequences(cursor, collection):
                cursor.execute(
                    f"SELECT greatest((SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {sequence}), "
                    f"(SELECT coalesce(max({quoted(column)}), 0) + 1 FROM {collection.sql}))".replace("%%", "%")
                )
                (found[f"{collection.table}.{column}"],) = cursor.fetchone()
    return found


def advance(context: str, next_ids: Mapping[str, int], using: str | None = None) -> None:
    """Go on from ``next_ids`` at least. Never back; unknown names are left alone (the other side may have more tables)."""
    with connection(using).cursor() as cursor:
        for collection in collections.for_context(context, using):
            for column, sequence in _sequences(cursor, collection):
                wanted = next_ids.get(f"{collection.table}.{column}")
                if wanted is None:
                    continue
                cursor.execute(f"SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {sequence}")
                (here,) = cursor.fetchone()
                if int(wanted) > here:
                    cursor.execute("SELECT setval(%s::regclass, %s, false)", [sequence, int(wanted)])


def _sequences(cursor: Any, collection: Collection) -> list[tuple[str, str]]:
    """(column, quoted sequence) of the table's serial and identity columns."""
    cursor.execute(OWNED, [collection.ddl])
    return [(column, sequence) for column, sequence in cursor.fetchall()]
