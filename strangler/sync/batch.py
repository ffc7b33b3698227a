"""From pointers to events: coalesced by key, with the rows as one snapshot shows them; an absent row is a delete (P6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strangler.domain import wire
from strangler.domain.envelope import Event, Op, Version
from strangler.sync.collections import Collection
from strangler.sync.outbox import Pointer


@dataclass
class Batch:
    """Events ready to send, and which pointers each subject stands for. ``bytes`` is the size of the rows."""

    events: list[Event] = field(default_factory=list)
    pointers: dict[str, list[Pointer]] = field(default_factory=dict)
    bytes: int = 0

    def resets(self) -> list[str]:
        return [event.collection for event in self.events if event.op is Op.RESET]


class Origin(NamedTuple):
    """What the events of a round have in common."""

    stream: str
    source: str
    epochs: Mapping[str, int]  # context → epoch
    token: int
    marker: int

    def version(self, collection: Collection) -> Version:
        return Version(self.epochs.get(collection.context, 0), self.token, self.marker)


def rows_of(
    cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
    """(collection, key) → the row's wire values as JSON text, and its columns that hold a JSON null, for the keys that exist.

    One statement, so one snapshot.
    """
    parts: list[str] = []
    params: list[object] = []
    for name, (collection, keys) in wanted.items():
        parts.append(f"SELECT %s::text, {_row(collection)} FROM {collection.sql} AS t WHERE {collection.key_matches('t')}")
        params += [name, list(keys)]
    cursor.execute(" UNION ALL ".join(parts), params)
    return {(name, key): (text, nulls) for name, key, text, nulls in cursor.fetchall()}


def rows_after(cursor: Any, collection: Collection, last: str | None, limit: int) -> list[tuple[str, str, list[str] | None]]:
    """(key, row's wire values as JSON text, columns that hold a JSON null) of the next rows in order of the key."""
    order = collection.key_order("t")
    beyond = "" if last is None else f"WHERE ({order}) > ({collection.key_bound()})"
    params = [] if last is None else collection.bound_params(last)
    cursor.execute(f"SELECT {_row(collection)} FROM {collection.sql} AS t {beyond} ORDER BY {order} LIMIT {int(limit)}", params)
    found: list[tuple[str, str, list[str] | None]] = cursor.fetchall()
    return found


def build(cursor: Any, origin: Origin, pointers: Iterable[Pointer], collections: Mapping[str, Collection]) -> Batch:
    """One event per key among ``pointers``, in their order, resets first. Pointers of unknown collections are left out."""
    batch = Batch()
    wanted: dict[str, tuple[Collection, dict[str, None]]] = {}
    for pointer in pointers:
        _, name, key, _, _ = pointer
        subject = name if key is None else f"{name}/{key}"
        listed = batch.pointers.get(subject)
        if listed is not None:
            listed.append(pointer)
        elif name in collections:
            batch.pointers[subject] = [pointer]
            if key is not None:
                wanted.setdefault(name, (collections[name], {}))[1][key] = None
    rows = rows_of(cursor, wanted) if wanted else {}
    common = {name: (origin.version(known), known.schema) for name, known in collections.items()}
    stream, source, _, _, marker = origin
    made = batch.events
    for listed in batch.pointers.values():
        _, name, key, at, _ = listed[0]
        version, schema = common[name]
        op, data = Op.RESET, None
        if key is not None:
            found = rows.get((name, key))
            op = Op.DELETE if found is None else Op.UPSERT
            data = wire.Written(*found) if found else None
            batch.bytes += len(found[0]) if found else 0
        made.append(Event(stream, op, name, key, version, data, schema, marker, source, at))
    made.sort(key=_is_no_reset)
    return batch


def add(batch: Batch, origin: Origin, collection: Collection, rows: Iterable[tuple[str, str, list[str] | None]]) -> None:
    """Rows that no pointer asked for: a backfill's chunk. Those that the batch has already are left out."""
    name, schema, version = collection.name, collection.schema, origin.version(collection)
    for key, text, nulls in rows:
        if f"{name}/{key}" not in batch.pointers:
            batch.bytes += len(text)
            data = wire.Written(text, nulls)
            batch.events.append(Event(origin.stream, Op.UPSERT, name, key, version, data, schema, origin.marker, origin.source))


def _is_no_reset(event: Event) -> bool:
    return event.op is not Op.RESET


def _row(collection: Collection) -> str:
    """SQL: key, wire values as JSON text, names of the columns that hold a JSON null."""
    nulls = ", ".join(
        f"CASE WHEN {column.at('t')}::text = 'null' THEN {_text(column.name)} END" for column in collection.json_columns
    )
    named = f"array_remove(ARRAY[{nulls}]::text[], NULL)" if nulls else "NULL::text[]"
    return f"{collection.key_text('t')}, {collection.row_json('t')}, {named}"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''").replace("%", "%%") + "'"
