"""Foreign keys between contexts as constraints of the database: dropped before the cut, kept as text, restored on the way back
(P25).

What ``on_delete`` means for them meanwhile is ``strangler.seams.loose``.
"""

from __future__ import annotations

from dataclasses import dataclass

from strangler.sync import collections
from strangler.sync.database import port, rows


@dataclass(frozen=True)
class Key:
    """A foreign key that crosses the context's border. ``table`` and ``parent`` are quoted names."""

    table: str
    name: str
    definition: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.table.rpartition('.')[2]}.{', '.join(self.columns)} -> {self.parent}".replace('"', "")


def crossing(context: str, using: str | None = None) -> list[Key]:
    """The constraints that stand now."""
    return port(using).crossing_keys(collections.for_context(context, using))


def tight(context: str, using: str | None = None) -> list[str]:
    """What still has to be dropped, in words."""
    return [key.label for key in crossing(context, using)]


def loose(context: str, using: str | None = None) -> list[str]:
    """What ``restore`` would bring back, in words."""
    return [key.label for key in _kept(context, using)]


def drop(context: str, using: str | None = None) -> list[str]:
    """Make them loose: the definition is kept in the transaction that drops the constraint. Idempotent; the names dropped."""
    found = crossing(context, using)
    for key in found:
        port(using).loosen(context, key)
    return [key.name for key in found]


def orphans(context: str, using: str | None = None) -> dict[str, int]:
    """Rows of crossing keys, tight or loose, whose parent is not there: label → count, only where there are some."""
    found: dict[str, int] = {}
    for key in [*crossing(context, using), *_kept(context, using)]:
        joined = " AND ".join(f"p.{there} = c.{here}" for here, there in zip(key.columns, key.parent_columns, strict=True))
        given = " AND ".join(f"c.{column} IS NOT NULL" for column in key.columns)
        count = rows(
            f"SELECT count(*) FROM {key.table} c WHERE {given} AND NOT EXISTS (SELECT 1 FROM {key.parent} p WHERE {joined})",
            using=using,
        )[0][0]
        if count:
            found[key.label] = count
    return found


def restore(context: str, using: str | None = None) -> list[str]:
    """Back as they were: NOT VALID first, which takes a short lock, then validated, which blocks no writes. The names restored.

    Idempotent. An orphan makes the validation fail; the constraint then stands for new rows, and the error names it.
    """
    kept = rows('SELECT id, "table", name, definition FROM strangler_loose_key WHERE context = %s ORDER BY id', [context], using)
    for id_, table, name, definition in kept:
        port(using).tighten(table, name, definition)
        rows("DELETE FROM strangler_loose_key WHERE id = %s", [id_], using)
    return [name for _, _, name, _ in kept]


def _kept(context: str, using: str | None) -> list[Key]:
    """The loose ones, read back from the fixed form of a definition."""
    made = []
    for table, name, definition in rows(
        'SELECT "table", name, definition FROM strangler_loose_key WHERE context = %s', [context], using
    ):
        # as pg_get_constraintdef writes it: FOREIGN KEY (a, b) REFERENCES parent(x, y) …
        child, _, rest = definition.removeprefix("FOREIGN KEY (").partition(") REFERENCES ")
        parent, _, tail = rest.partition("(")
        made.append(Key(table, name, definition, parent, tuple(child.split(", ")), tuple(tail.partition(")")[0].split(", "))))
    return made
