"""Backfill: every row that is there, chunk by chunk in order of the key, in the rounds of the relay (P13, ADR 0016).

A chunk is read in a round's own snapshot, beside the live changes, and carries the round's version. So whatever else is under way
for one of its keys, the newer snapshot wins, and no chunk can overwrite a newer row. It locks no row and writes nothing but the
place that it has reached, with the acknowledgement. Steps of a collection:

``waiting``  until every transaction is over that was open when the backfill was asked for: such a one may write with a snapshot
             from before the subscription, and its trigger would note nothing
``running``  chunk by chunk; keys that the destination does not take get a pointer, and are tried again like any change
``sweeping`` all rows are sent; keys that exist only at the destination are looked for, and deleted there
``done``

That a backfill waits for live changes, is paused or cancelled: ``backfill_pace``.

Interleavings: *two holders*: the acknowledgement checks the token. *A crash before it*: the chunk is sent again, as it is then.
*Asked for anew meanwhile*: what was sent before counts for nothing, because ``started_at`` is another.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections
from django.db.utils import Error

from strangler.errors import StranglerError
from strangler.sync import backfill_pace, batch, collections, databases, shape, wake
from strangler.sync.collections import Collection
from strangler.sync.database import execute, message, port, rows, value
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

BEGIN = Statement("""
INSERT INTO strangler_backfill AS b (stream, collection, state, waits_for, estimate)
VALUES (%s, %s, 'waiting', %s, %s)
ON CONFLICT (stream, collection) DO UPDATE
SET state = 'waiting', waits_for = EXCLUDED.waits_for, estimate = EXCLUDED.estimate, last_key = NULL, sent = 0, swept_at = NULL,
    paused_at = NULL, started_at = {now}, finished_at = NULL
""")
WAITING = Statement("""
SELECT id, {text:waits_for} FROM strangler_backfill WHERE stream = %s AND state = 'waiting' AND paused_at IS NULL
ORDER BY id{skip_locked}
""")
CLAIM = Statement("""
UPDATE strangler_backfill SET swept_at = {now}
WHERE id = (SELECT id FROM strangler_backfill
            WHERE stream = %s AND state = 'sweeping' AND paused_at IS NULL
                  AND coalesce(swept_at < {later:-60}, true)
            ORDER BY id LIMIT 1{skip_locked})
RETURNING id, collection, {on_wire:started_at}
""")
AGAIN = "UPDATE strangler_backfill SET swept_at = NULL WHERE id = %s"
DONE = Statement("""
UPDATE strangler_backfill SET state = 'done', finished_at = {now}
WHERE id = %s AND state = 'sweeping' AND {on_wire:started_at} = %s
""")
FAILED = "UPDATE strangler_stream SET reason = %s WHERE name = %s"
# The chunk that a round may read next; for its snapshot.
NEXT = Statement("""
SELECT id, collection, last_key, {on_wire:started_at}, coalesce({since:{moment:%s}} * 1000, 0)
FROM strangler_backfill WHERE stream = %s AND state = 'running' AND paused_at IS NULL ORDER BY id LIMIT 1
""")
MOVE = Statement("""
UPDATE strangler_backfill
SET last_key = coalesce(%(reached)s, last_key), sent = sent + %(rows)s,
    state = CASE WHEN %(is_last)s THEN 'sweeping' ELSE state END
WHERE id = %(id)s AND state = 'running' AND {on_wire:started_at} = %(started_at)s AND {same:last_key; %(after)s}
RETURNING 1
""")
PROGRESS = Statement("""
SELECT collection, state, sent, estimate, paused_at IS NOT NULL, {between:started_at; coalesce(finished_at, paused_at, {now})}
FROM strangler_backfill WHERE stream = %s ORDER BY id
""")
UNFINISHED = "SELECT EXISTS (SELECT 1 FROM strangler_backfill WHERE stream = %s AND state NOT IN ('done', 'cancelled'))"


@dataclass(frozen=True)
class Progress:
    """How far one collection is: rows sent of about ``estimate``, rows a second, seconds to go if that can be told."""

    collection: str
    state: str
    sent: int
    estimate: int
    rate: float
    eta_s: float | None
    is_paused: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Total:
    """How far all collections of a stream are together. ``state``: running, paused, cancelled or done."""

    state: str
    tables: int
    tables_done: int
    sent: int
    estimate: int
    rate: float
    eta_s: float | None


def start(stream: str, only: list[str] | None = None, using: str | None = None) -> None:
    """Ask for a backfill of the stream's collections, from the beginning. The subscriptions must be committed."""
    known = collections.for_stream(stream, using)
    db = port(using)
    waits_for = json.dumps(db.open_transactions())
    for collection in known.values():
        shape.remember(stream, collection, using, anew=not only or collection.name in only)
    for name in only or known:
        rows(BEGIN, [stream, name, waits_for, db.estimate(known[name])], using)


def unfinished(stream: str, using: str | None = None) -> bool:
    return bool(value(UNFINISHED, [stream], using))


def step(stream: str, using: str | None = None) -> bool:
    """What a backfill needs besides the relay's chunks: a look at what it waits for, a sweep. False when nothing is left of it.

    Several processes may call it; a collection that another is at is left to that. Sets the stream's ``reason`` while it waits.
    """
    look(stream, using)
    sweep(stream, using)
    return unfinished(stream, using)


def look(stream: str, using: str | None = None) -> bool:
    """From ``waiting`` to ``running``, once the transactions that it waits for are over; whether one went on."""
    with port(using).writing() as cursor:
        execute(cursor, WAITING, [stream])
        went_on = [_look(cursor, stream, id_, json.loads(waits_for)) for id_, waits_for in cursor.fetchall()]
    return any(went_on)


def sweep(stream: str, using: str | None = None) -> bool:
    """Find what exists only at the destination, and note it to be deleted; whether there was a collection to be swept.

    It may take as long as a drift check of the collection. Nobody else begins one of the same collection within a minute.
    """
    known = collections.for_stream(stream, using)
    found = rows(CLAIM, [stream], using)
    for id_, name, started_at in found:
        if name in known:
            _sweep(stream, id_, name, started_at, using)
        else:
            rows("DELETE FROM strangler_backfill WHERE id = %s", [id_], using)
            shape.forget(stream, [name], using)
    return bool(found)


_sweeping: set[str] = set()


def sweep_beside(stream: str, using: str | None) -> None:
    """``sweep`` in a thread, for the relay: it takes as long as a drift check, and changes must not queue behind it."""

    def body() -> None:
        try:
            if sweep(stream, using):
                wake.wake(stream)
        except (StranglerError, Error) as error:  # stands on the stream; the next run tries again
            log.warning("backfill.unswept stream=%s error=%s", stream, message(error))
        finally:
            connections.close_all()
            _sweeping.discard(stream)

    if stream not in _sweeping:
        _sweeping.add(stream)
        threading.Thread(target=contextvars.copy_context().run, args=(body,), name=f"sweep-{stream}", daemon=True).start()


@dataclass(frozen=True)
class Chunk:
    """A stretch of a collection that a round carries: the rows after the key ``after`` up to ``reached``."""

    id: int
    collection: str
    started_at: str
    after: str | None
    reached: str | None
    rows: int
    is_last: bool


@dataclass
class Reader:
    """Where the next chunk begins. It runs ahead of what stands in the database, by the chunks that are under way."""

    stream: str
    waits: backfill_pace.Waits = None
    _ahead: Chunk | None = None

    def read(
        self, cursor: Any, made: batch.Batch, origin: batch.Origin, known: Mapping[str, Collection], limit: int
    ) -> Chunk | None:
        """Adds the next chunk to the batch as the cursor's snapshot shows it; None where none is due.

        None either where the oldest live change in the batch has waited for too long.
        """
        oldest = next(iter(made.pointers.values()), None)
        found = execute(cursor, NEXT, [oldest[0].noted_at if oldest else None, self.stream]).fetchone()
        self.waits = None
        if found is None or found[1] not in known:
            return None
        id_, name, after, started_at, lag_ms = found
        self.waits = backfill_pace.too_late(self.stream, float(lag_ms))
        if self.waits:
            return None
        ahead = self._ahead
        if ahead and (ahead.id, ahead.started_at) == (id_, started_at):
            if ahead.is_last:
                return None
            after = ahead.reached
        reached, count, is_last = batch.add(cursor, made, origin, known[name], after, limit)
        self._ahead = Chunk(id_, name, started_at, after, reached, count, is_last)
        return self._ahead

    def move(self, cursor: Any, chunk: Chunk) -> None:
        """In the transaction of the acknowledgement. Where the backfill was stopped or asked for anew, nothing moves."""
        if not execute(cursor, MOVE, asdict(chunk)).fetchone():
            self._ahead = None


def progress(stream: str, using: str | None = None) -> list[Progress]:
    found = rows(PROGRESS, [stream], using)
    made = []
    for collection, state, sent, estimate, is_paused, seconds in found:
        rate = sent / max(float(seconds), 0.001)
        eta = max(0, estimate - sent) / rate if state == "running" and rate else None
        made.append(Progress(collection, state, sent, max(estimate, sent), rate, eta, is_paused, float(seconds)))
    return made


def total(listed: Sequence[Progress]) -> Total | None:
    """Of a stream's collections, which come one after the other; None where there was no backfill."""
    if not listed:
        return None
    states = {each.state for each in listed}
    done = sum(each.state == "done" for each in listed)
    sent, estimate = sum(each.sent for each in listed), sum(each.estimate for each in listed)
    rate = sent / max(*(each.seconds for each in listed), 0.001)
    state = "done" if states == {"done"} else "cancelled" if "cancelled" in states else "running"
    if any(each.is_paused for each in listed):
        state = "paused"
    eta = max(0, estimate - sent) / rate if state == "running" and rate else None
    return Total(state, len(listed), done, sent, estimate, rate, eta)


def _look(cursor: Any, stream: str, id_: int, waits_for: list[str]) -> bool:
    open_ = databases.of(cursor.db).still_open(waits_for)
    if open_:
        reason = f"backfill waits for transactions that were open when it was asked for: {open_}"
        cursor.execute("UPDATE strangler_stream SET reason = %s WHERE name = %s AND reason <> %s", [reason, stream, reason])
        return False
    cursor.execute("UPDATE strangler_backfill SET state = 'running' WHERE id = %s", [id_])
    cursor.execute("UPDATE strangler_stream SET reason = '' WHERE name = %s AND reason <> ''", [stream])
    return True


def _sweep(stream: str, id_: int, name: str, started_at: str, using: str | None) -> None:
    """Of a backfill that was asked for anew meanwhile it ends nothing: that one has a sweep of its own."""
    from strangler.sync import drift

    try:
        report = drift.check(stream, [name], using=using, remember=False)
    except StranglerError as error:
        rows(FAILED, [f"backfill waits to be verified: {error}", stream], using)
        rows(AGAIN, [id_], using)
        raise
    if report.differing:
        drift.repair(report, using=using)
    if report.is_cut:
        rows(AGAIN, [id_], using)
        return  # there is more than it lists; the next sweep goes on
    rows(DONE, [id_, started_at], using)
    rows("UPDATE strangler_stream SET reason = '' WHERE name = %s AND reason <> ''", [stream], using)
