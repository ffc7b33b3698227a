"""Where ids go on after a change of owner: the new owner must not give out an id that the old one has given (Cut-over, step
5a)."""

from __future__ import annotations

from collections.abc import Mapping

from strangler.sync import collections
from strangler.sync.database import port


def next_ids(context: str, using: str | None = None) -> dict[str, int]:
    """``table.column`` → the first id that was never given here: the greater of the sequence's next value and max + 1."""
    return {
        f"{collection.table}.{column}": first
        for collection in collections.for_context(context, using)
        for column, first in port(using).next_ids(collection).items()
    }


def advance(context: str, next_ids: Mapping[str, int], using: str | None = None) -> None:
    """Go on from ``next_ids`` at least. Never back; unknown names are left alone (the other side may have more tables)."""
    for collection in collections.for_context(context, using):
        prefix = f"{collection.table}."
        mine = {name.removeprefix(prefix): int(first) for name, first in next_ids.items() if name.startswith(prefix)}
        if mine:
            port(using).advance_ids(collection, mine)
