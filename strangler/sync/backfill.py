"""Backfill: pointers for every row that is there, chunk by chunk, through the outbox like any change (P13).

It reads keys only and locks no row. A row that changes meanwhile has a pointer of its own; whichever pointer is read last, the
relay sends the row as it is then, so no old chunk can overwrite a newer row. Steps of a collection:

``waiting``  until every transaction is over that was open when the backfill was asked for: such a one may write with a snapshot
             from before the subscription, and its trigger would note nothing
``running``  chunk by chunk in order of the key; each chunk and the place that it reached are one transaction
``noted``    all pointers are written; when the stream has carried them, keys that exist only at the destination are swept
``done``

Its pace, and ``paused`` and ``cancelled``, are in ``backfill_pace``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from strangler.errors import StranglerError
from strangler.sync import backfill_pace, collections
from strangler.sync.collections import Collection
from strangler.sync.database import alias, connection, rows, value

BEGIN = """
INSERT INTO strangler_backfill AS b (stream, collection, state, waits_for, estimate)
SELECT %s, %s, 'waiting', %s, greatest(0, c.reltuples)::bigint FROM pg_class c WHERE c.oid = to_regclass(%s)
ON CONFLICT (stream, collection) DO UPDATE
SET state = 'waiting', waits_for = EXCLUDED.waits_for, estimate = EXCLUDED.estimate, last_key = NULL, noted = 0,
    started_at = clock_timestamp(), finished_at = NULL, paused_at = NULL
"""
OPEN_TRANSACTIONS = """
SELECT coalesce(json_agg(l.virtualtransaction), '[]')::text
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid()
      AND a.usesysid IS NOT NULL AND a.datname = current_database()
"""
STILL_OPEN = """
SELECT coalesce(string_agg(DISTINCT pid::text, ', '), '') FROM pg_locks
WHERE locktype = 'virtualxid' AND granted AND virtualtransaction = ANY(%s)
"""
CLAIM = """
SELECT id, collection, state, last_key, waits_for::text, chunk FROM strangler_backfill
WHERE stream = %s AND state NOT IN ('done', 'cancelled') AND paused_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
UNFINISHED = "SELECT EXISTS (SELECT 1 FROM strangler_backfill WHERE stream = %s AND state NOT IN ('done', 'cancelled'))"


@dataclass(frozen=True)
class Progress:
    """How far one collection is: rows noted of about ``estimate``, rows a second, seconds to go if that can be told."""

    collection: str
    state: str
    noted: int
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
    noted: int
    estimate: int
    rate: float
    eta_s: float | None


def start(stream: str, only: list[str] | None = None, using: str | None = None) -> None:
    """Ask for a backfill of the stream's collections, from the beginning. The subscriptions must be committed."""
    known = collections.for_stream(stream, using)
    (waits_for,) = rows(OPEN_TRANSACTIONS, using=using)[0]
    for name in only or known:
        rows(BEGIN, [stream, name, waits_for, known[name].ddl], using)


def unfinished(stream: str, using: str | None = None) -> bool:
    return bool(value(UNFINISHED, [stream], using))


def step(stream: str, using: str | None = None) -> bool:
    """One chunk, or one look at what it waits for; False when nothing of the backfill is left.

    Several processes may call it; a collection that another is at is left to that. Sets the stream's ``reason`` while it waits.
    """
    known = collections.for_stream(stream, using)
    with transaction.atomic(using=alias(using)), connection(using).cursor() as cursor:
        cursor.execute(CLAIM, [stream])
        found = cursor.fetchone()
        if found is None:
            is_left = unfinished(stream, using)
        else:
            is_left = True
            id_, name, state, last_key, waits_for, chunk = found
            if name not in known:
                cursor.execute("DELETE FROM strangler_backfill WHERE id = %s", [id_])
            elif state == "waiting":
                _wait(cursor, stream, id_, json.loads(waits_for))
            elif state == "running":
                _note(cursor, stream, id_, known[name], last_key, chunk or backfill_pace.FIRST)
    if found is None and is_left:
        time.sleep(0.01)  # another process is at it, or it is paused
    elif found is not None and state == "noted" and name in known:
        return _sweep(stream, id_, name, using)
    return is_left


def feed(stream: str, using: str | None = None) -> bool:
    """For the relay, after each round: a step if there is a backfill and the outbox is short. True if a round is worth while."""
    if not unfinished(stream, using) or not backfill_pace.may_go_on(stream, using):
        return False
    before = _noted(stream, using)
    step(stream, using)
    return _noted(stream, using) != before


def progress(stream: str, using: str | None = None) -> list[Progress]:
    found = rows(
        "SELECT collection, state, noted, estimate, paused_at IS NOT NULL, "
        "extract(epoch FROM coalesce(finished_at, paused_at, clock_timestamp()) - started_at) "
        "FROM strangler_backfill WHERE stream = %s ORDER BY id",
        [stream],
        using,
    )
    made = []
    for collection, state, noted, estimate, is_paused, seconds in found:
        rate = noted / max(float(seconds), 0.001)
        eta = max(0, estimate - noted) / rate if state == "running" and rate else None
        made.append(Progress(collection, state, noted, max(estimate, noted), rate, eta, is_paused, float(seconds)))
    return made


def total(listed: Sequence[Progress]) -> Total | None:
    """Of a stream's collections, which come one after the other; None where there was no backfill."""
    if not listed:
        return None
    states = {each.state for each in listed}
    done = sum(each.state == "done" for each in listed)
    noted, estimate = sum(each.noted for each in listed), sum(each.estimate for each in listed)
    rate = noted / max(*(each.seconds for each in listed), 0.001)
    state = "done" if states == {"done"} else "cancelled" if "cancelled" in states else "running"
    if any(each.is_paused for each in listed):
        state = "paused"
    eta = max(0, estimate - noted) / rate if state == "running" and rate else None
    return Total(state, len(listed), done, noted, estimate, rate, eta)


def _wait(cursor: Any, stream: str, id_: int, waits_for: list[str]) -> None:
    cursor.execute(STILL_OPEN, [waits_for])
    (pids,) = cursor.fetchone()
    if pids:
        reason = f"backfill waits for transactions that were open when it was asked for: backend {pids}"
        cursor.execute("UPDATE strangler_stream SET reason = %s WHERE name = %s AND reason <> %s", [reason, stream, reason])
        return
    cursor.execute("UPDATE strangler_backfill SET state = 'running' WHERE id = %s", [id_])
    cursor.execute("UPDATE strangler_stream SET reason = '' WHERE name = %s AND reason <> ''", [stream])


def _note(cursor: Any, stream: str, id_: int, collection: Collection, last_key: str | None, chunk: int) -> None:
    """One chunk of pointers in order of the key, and where it ended."""
    began = time.monotonic()
    order, beyond = collection.key_order("t"), ""
    params: list[object] = [stream, collection.name]
    if last_key is not None:
        beyond = f"WHERE ({order}) > ({collection.key_bound()})"
        params += collection.bound_params(last_key)
    cursor.execute(
        "WITH chunk AS (INSERT INTO strangler_outbox (stream, collection, key, origin) "
        f"SELECT %s, %s, {collection.key_text('t')}, 'backfill' FROM {collection.sql} AS t {beyond} "
        f"ORDER BY {order} LIMIT {chunk} RETURNING id, key) "
        "SELECT (SELECT count(*) FROM chunk), (SELECT key FROM chunk ORDER BY id DESC LIMIT 1)",
        params,
    )
    count, reached = cursor.fetchone()
    following = backfill_pace.next_chunk(chunk, time.monotonic() - began)
    cursor.execute(
        "UPDATE strangler_backfill SET noted = noted + %s, last_key = coalesce(%s, last_key), state = %s, chunk = %s "
        "WHERE id = %s",
        [count, reached, "running" if count == chunk else "noted", following, id_],
    )


def _sweep(stream: str, id_: int, name: str, using: str | None) -> bool:
    """When the stream has carried the pointers: find what exists only at the destination, and note it to be deleted."""
    if value(
        "SELECT EXISTS (SELECT 1 FROM strangler_outbox WHERE stream = %s AND origin = 'backfill' AND collection = %s)",
        [stream, name],
        using,
    ):
        time.sleep(0.005)
        return True
    from strangler.sync import drift

    try:
        report = drift.check(stream, [name], using=using, remember=False)
    except StranglerError as error:
        rows(
            "UPDATE strangler_stream SET reason = %s WHERE name = %s", [f"backfill waits to be verified: {error}", stream], using
        )
        raise
    if report.differing:
        drift.repair(report, using=using)
    rows(
        "UPDATE strangler_backfill SET state = 'done', finished_at = clock_timestamp() WHERE id = %s AND state = 'noted'",
        [id_],
        using,
    )
    rows("UPDATE strangler_stream SET reason = '' WHERE name = %s AND reason <> ''", [stream], using)
    return unfinished(stream, using)


def _noted(stream: str, using: str | None) -> list[tuple[Any, ...]]:
    return rows("SELECT id, state, noted FROM strangler_backfill WHERE stream = %s ORDER BY id", [stream], using)
