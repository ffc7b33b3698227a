"""From pointers to events: coalesced by key, with the rows as one snapshot shows them; an absent row is a delete (P6)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strangler.domain import wire
from strangler.domain.envelope import Event, Op, Version
from strangler.sync import databases
from strangler.sync.collections import Collection
from strangler.sync.outbox import Pointer

BYTES = 4_000_000  # of rows a batch
ROW_BYTES = 48_000_000  # of a row; with a batch's other rows below what a service takes (replica.views.LARGEST)
GROWTH = 16  # each part that is read may be so many times as long as what was read before


@dataclass
class Batch:
    """Events ready to send, and which pointers each subject stands for. ``bytes`` is the size of the rows.

    ``left``: pointers for which there was no room any more. ``too_large``: subjects whose row no batch has room for, and why.
    """

    events: list[Event] = field(default_factory=list)
    pointers: dict[str, list[Pointer]] = field(default_factory=dict)
    bytes: int = 0
    left: list[Pointer] = field(default_factory=list)
    too_large: dict[str, str] = field(default_factory=dict)

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


def build(
    cursor: Any,
    origin: Origin,
    pointers: Iterable[Pointer],
    collections: Mapping[str, Collection],
    row_bytes: float = math.inf,
    room: int | None = None,
) -> Batch:
    """One event per key among ``pointers``, in their order, resets first, until ``room`` bytes (``BYTES``, if none is told) are
    full. Pointers of unknown collections are left out, and rows of more than ``row_bytes``.

    Rows are read in parts that grow, so that a table of large ones does not come into memory whole.
    """
    batch, room = Batch(), room or BYTES
    for pointer in pointers:
        _, name, key, _, _ = pointer
        if name in collections:
            batch.pointers.setdefault(name if key is None else f"{name}/{key}", []).append(pointer)
    common = {name: (origin.version(known), known.schema) for name, known in collections.items()}
    stream, source, _, _, marker = origin
    subjects = list(batch.pointers)
    rows: dict[tuple[str, str], tuple[str, list[str] | None]] = {}
    read = 0
    for n, subject in enumerate(subjects):
        _, name, key, at, _ = batch.pointers[subject][0]
        version, schema = common[name]
        op, data = Op.RESET, None
        if key is not None:
            if n == read:
                read += _part(read, batch.bytes, room)
                rows = databases.of(cursor.db).rows_of(cursor, _wanted(batch, subjects[n:read], collections))
            found = rows.get((name, key))
            op = Op.DELETE if found is None else Op.UPSERT
            if found:
                size = len(found[0])
                if size > row_bytes:
                    batch.too_large[subject] = _too_large(size)
                    continue
                if batch.bytes and batch.bytes + size > room:
                    batch.left = [pointer for left in subjects[n:] for pointer in batch.pointers.pop(left)]
                    break
                batch.bytes += size
                data = wire.Written(*found)
        elif n == read:
            read += 1
        batch.events.append(Event(stream, op, name, key, version, data, schema, marker, source, at))
    batch.events.sort(key=_is_no_reset)
    return batch


def add(
    cursor: Any, batch: Batch, origin: Origin, collection: Collection, after: str | None, limit: int
) -> tuple[str | None, int, bool]:
    """Rows that no pointer asked for: a backfill's chunk, from the key ``after`` on, until ``BYTES`` are full.

    The last key that it has, how many rows, and whether those were all. Keys that the batch has already are left out.
    """
    name, schema, version = collection.name, collection.schema, origin.version(collection)
    stream, source, _, _, marker = origin
    count = 0
    while count < limit:
        part = min(limit - count, _part(count, batch.bytes, BYTES))
        found = databases.of(cursor.db).rows_after(cursor, collection, after, part)
        for key, text, nulls in found:
            if batch.bytes and batch.bytes + len(text) > BYTES:
                return after, count, False
            after, count, subject = key, count + 1, f"{name}/{key}"
            if len(text) > ROW_BYTES:
                batch.too_large[subject] = _too_large(len(text))
            elif subject not in batch.pointers:
                batch.bytes += len(text)
                data = wire.Written(text, nulls)
                batch.events.append(Event(stream, Op.UPSERT, name, key, version, data, schema, marker, source))
        if len(found) < part:
            return after, count, True
    return after, count, False


def _part(read: int, bytes_: int, room: int) -> int:
    """How many rows to read next: few at first, then as many as there will be room for if they are as large as those so far."""
    fitting = (room - bytes_) * read // bytes_ + 1 if bytes_ else GROWTH * max(read, 1)
    return max(1, min(fitting, GROWTH * max(read, 1)))


def _too_large(size: int) -> str:
    return f"the row has {size:,} bytes as JSON; a batch has room for {ROW_BYTES:,}"


def _wanted(
    batch: Batch, subjects: Iterable[str], collections: Mapping[str, Collection]
) -> dict[str, tuple[Collection, dict[str, None]]]:
    wanted: dict[str, tuple[Collection, dict[str, None]]] = {}
    for subject in subjects:
        _, name, key, _, _ = batch.pointers[subject][0]
        if key is not None:
            wanted.setdefault(name, (collections[name], {}))[1][key] = None
    return wanted


def _is_no_reset(event: Event) -> bool:
    return event.op is not Op.RESET
