"""Schema negotiation: two sides whose migrations are not applied at the same moment understand each other, or say why not.

Whoever applies compares what the events bring with its own table (DESIGN section 6, ``strschema``):

- a column that it has no place for is left out, and named in its answer. The sender remembers that, shows it in the status, and
  sends the rows again once this side has another shape (``shape.hear``);
- a column that it demands and the events lack, or another key, can't be made up for. The batch is refused whole: nothing is lost
  or put aside as poison, the stream waits with the reason, and goes on by itself after the migration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from strangler import conf
from strangler.domain.envelope import Event, Op
from strangler.errors import SchemaMismatch
from strangler.sync import collections as known
from strangler.sync.collections import Collection
from strangler.sync.database import quote

Answer = dict[str, dict[str, Any]]


def negotiate(events: Iterable[Event], collections: Mapping[str, Collection]) -> Answer:
    """Collection → ``{"schema", "ignored"}`` of this side, for those in the batch. Raises ``SchemaMismatch``.

    One event stands for all with its ``strschema``; where that is this side's own there is nothing to compare.
    """
    found: Answer = {}
    seen: set[tuple[str, str]] = set()
    for event in events:
        sort = (event.collection, event.schema)
        if event.op is not Op.UPSERT or sort in seen:
            continue
        seen.add(sort)
        here = collections[event.collection]
        ignored = [] if event.schema == here.schema else _compare(event, here)
        listed = found.setdefault(event.collection, {"schema": here.schema, "ignored": []})["ignored"]
        listed += [name for name in ignored if name not in listed]
    return found


def check_keys(events: Iterable[Event], collections: Mapping[str, Collection]) -> None:
    """Raises ``SchemaMismatch`` if the sender names rows by other columns: its deletes would mean other rows here."""
    for name, schema in {(event.collection, event.schema) for event in events}:
        here, key = collections.get(name), schema.partition(":")[2]
        own = here.schema.partition(":")[2] if here else key
        if key and key != own:
            known.forget()
            raise SchemaMismatch(
                f"{name}: the other side names a row by {key}, this side ({conf.side()}) by {own}; "
                "apply the migration of its key on the side that lacks it"
            )


def _compare(event: Event, here: Collection) -> list[str]:
    """The columns that are left out. Raises ``SchemaMismatch`` for one that is demanded."""
    given = event.data or {}
    lacking = [column for column in here.columns if column.is_demanded and column.name not in given]
    if lacking:
        known.forget()  # it may have been dropped a moment ago
        column = lacking[0]
        raise SchemaMismatch(
            f"{here.name}: column {', '.join(c.name for c in lacking)} is NOT NULL without a default on this side "
            f"({conf.side()}), and the other side does not send it; apply the same migrations on both, or until then here: "
            f"ALTER TABLE {here.ddl} ALTER COLUMN {quote(column.name)} DROP NOT NULL"
        )
    own = {column.name for column in here.columns}
    return [name for name in given if name not in own]
