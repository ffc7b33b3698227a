"""From pointers to events: coalesced by key, with the rows as one snapshot shows them; an absent row is a delete (P6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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


def rows_of(
    cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
    """(collection, key) → the row's wire values as JSON text, and its columns that hold a JSON null, for the keys that exist.

    One statement, so one snapshot.
    """
    parts: list[str] = []
    params: list[object] = []
    for name, (collection, keys) in wanted.items():
        nulls = ", ".join(
            f"CASE WHEN {column.at('t')}::text = 'null' THEN {_text(column.name)} END" for column in collection.json_columns
        )
        parts.append(
            f"SELECT %s::text, {collection.key_text('t')}, {collection.row_json('t')}, "
            f"{f'array_remove(ARRAY[{nulls}]::text[], NULL)' if nulls else 'NULL::text[]'} "
            f"FROM {collection.sql} AS t WHERE {collection.key_matches('t')}"
        )
        params += [name, list(keys)]
    cursor.execute(" UNION ALL ".join(parts), params)
    return {(name, key): (text, nulls) for name, key, text, nulls in cursor.fetchall()}


def build(
    cursor: Any,
    stream: str,
    pointers: Iterable[Pointer],
    collections: Mapping[str, Collection],
    *,
    epochs: Mapping[str, int],
    token: int,
    marker: int,
    source: str,
) -> Batch:
    """One event per key among ``pointers``, in their order, resets first. Pointers of unknown collections are left out."""
    batch = Batch()
    wanted: dict[str, tuple[Collection, dict[str, None]]] = {}
    for pointer in pointers:
        collection = collections.get(pointer.collection)
        if collection is None:
            continue
        subject = pointer.collection if pointer.key is None else f"{pointer.collection}/{pointer.key}"
        batch.pointers.setdefault(subject, []).append(pointer)
        if pointer.key is not None:
            wanted.setdefault(pointer.collection, (collection, {}))[1][pointer.key] = None
    rows = rows_of(cursor, wanted) if wanted else {}
    for listed in batch.pointers.values():
        first = listed[0]
        collection = collections[first.collection]
        op, data = Op.RESET, None
        if first.key is not None:
            found = rows.get((first.collection, first.key))
            op, data = (Op.DELETE, None) if found is None else (Op.UPSERT, _row(*found))
            batch.bytes += len(found[0]) if found else 0
        version = Version(epochs.get(collection.context, 0), token, marker)
        noted = wire.timestamp(first.noted_at)
        batch.events.append(
            Event(stream, op, first.collection, first.key, version, data, collection.schema, marker, source, noted)
        )
    batch.events.sort(key=lambda event: event.op is not Op.RESET)
    return batch


def _row(text: str, nulls: list[str] | None) -> dict[str, wire.Json]:
    row: dict[str, wire.Json] = wire.loads(text)
    for name in nulls or ():
        row[name] = wire.JSON_NULL
    return row


def _text(name: str) -> str:
    return "'" + name.replace("'", "''").replace("%", "%%") + "'"
