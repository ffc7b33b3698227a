"""The relay: reads pointers and rows in one snapshot, sends them, and forgets the pointers that it has read (P6, P7, P23).

A round, and why each step stands where it stands:

1. Draw the marker ``M`` in a transaction of its own, *then* open the snapshot. So a round with a greater marker has a later
   snapshot, and ``(epoch, token, M)`` orders all rounds of all holders as their snapshots are ordered.
2. One REPEATABLE READ snapshot reads pointers, rows and epochs. A row that is absent in it is deleted.
3. Renew the lease with a durable commit. What a round can have read (also commits of ``synchronous_commit=off`` sessions) is on
   disk before it leaves: a crash of this database can't take back what the destination has (P7).
4. POST. Nothing is locked and no transaction is open meanwhile.
5. In one statement: check the token, raise the marker, delete exactly the pointer ids that were read.

Interleavings: *two relays at once*: the older token's rows are older versions at the destination, and its acknowledgement finds
another token and deletes nothing. *A commit that comes late* has pointers with ids that nobody has read; they are read by the
next round, however small they are. *A crash between POST and delete*: the next round reads the same pointers, draws a greater
marker and sends the rows as they are then. *A crash between read and POST*: nothing happened. *A row that changes after the
snapshot* has a new pointer, which is not among the ids to delete.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db import transaction
from django.db.utils import Error

from strangler.domain.envelope import Event
from strangler.errors import LostLease
from strangler.sync import backfill, batch, collections, lease, marker, outbox, quarantine, wake
from strangler.sync.database import alias, connection, discard_broken, message, rows, snapshot
from strangler.sync.lease import Lease

LIMIT = 1000  # pointers a round
BYTES = 4_000_000  # rows a round; a round that was larger makes the next one smaller
TRIES = 3  # complete rounds in which a key must fail before it is poison (P9)
SPACING_S = 0.1  # from the beginning of one round to the next under steady load: a round costs much the same however full it is
BUDGET_S = 10.0  # a run gives other streams their turn after this; it wakes itself if there is more

SEEN = """
SELECT (SELECT coalesce(json_object_agg(context, epoch), '{}') FROM strangler_ownership)::text,
       ARRAY(SELECT state FROM strangler_backfill WHERE stream = %(stream)s AND state <> 'done'),
       EXISTS (SELECT 1 FROM strangler_quarantine WHERE stream = %(stream)s),
       EXISTS (SELECT 1 FROM strangler_quarantine WHERE stream = %(stream)s AND discarded_at IS NULL),
       (SELECT max(id) FROM strangler_outbox WHERE stream = %(stream)s)
"""
NOTING = {"waiting", "running", "cancelled"}
LAG = "coalesce(greatest(0, extract(epoch FROM clock_timestamp() - %(oldest)s::timestamptz) * 1000), 0)"
ACKNOWLEDGE = """
WITH held AS (
  UPDATE strangler_stream
  SET marker = greatest(marker, %(marker)s), relayed = relayed + %(changes)s, last_round_at = clock_timestamp(),
      lag_ms = CASE WHEN %(changes)s > 0 THEN {lag} WHEN %(marker)s > 0 THEN 0 ELSE lag_ms END,
    last_error = '', failures = 0, retry_at = NULL
  WHERE name = %(stream)s AND lease_token = %(token)s AND {lazily}
  RETURNING 1
), gone AS (
  DELETE FROM strangler_outbox WHERE id = ANY(%(ids)s) AND EXISTS (SELECT 1 FROM held)
), noted AS (
  INSERT INTO strangler_round (stream, round, changes, lag_ms)
  SELECT %(stream)s, %(round)s, %(changes)s, {lag} FROM held WHERE %(changes)s > 0
)
SELECT count(*) FROM held
""".replace("{lag}", LAG).replace("{lazily}", lease.LAZILY)
FORGET_ROUNDS = "DELETE FROM strangler_round WHERE at < clock_timestamp() - interval '10 minutes'"


class Destination(Protocol):
    def post_changes(self, events: list[Event]) -> dict[str, Any]: ...


@dataclass
class Read:
    """What a round saw in its snapshot."""

    marker: int
    pointers: list[outbox.Pointer]
    batch: batch.Batch
    is_whole: bool  # no pointer of the stream was left unread
    backfills: set[str]  # the states of those that are not through
    is_quarantined: bool  # a key is in quarantine, be it discarded
    is_unwell: bool  # one is that nobody has discarded
    newest: int  # the greatest pointer id in sight


@dataclass
class Relay:
    """One holder of one stream, for the time of a run."""

    lease: Lease
    destination: Destination
    using: str | None = None
    limit: int = LIMIT
    failed: dict[str, int] = field(default_factory=dict)
    promised: tuple[int, int] | None = None  # (marker, pointer id): good once no pointer up to that id is left
    is_fed: bool = False  # whether there was a backfill to feed it, as the last round saw it

    def round(self) -> bool:
        """One round; True if there is more to do at once. Raises ``LostLease``, ``ServiceUnavailable``, ``StaleEpoch``."""
        seen = self.read()
        self.is_fed = bool(seen.backfills)
        if not seen.batch.events:
            return self._acknowledge(seen, {})
        self.lease.renew()
        answer = self.destination.post_changes(seen.batch.events)
        return self._acknowledge(seen, answer)

    def read(self) -> Read:
        known = collections.for_stream(self.lease.stream, self.using)
        drawn = marker.draw(self.using)
        with snapshot(self.using) as cursor:
            pointers = outbox.read(cursor, self.lease.stream, self.limit + len(self.failed))
            cursor.execute(SEEN, {"stream": self.lease.stream})
            epochs, backfills, is_quarantined, is_unwell, newest = cursor.fetchone()
            made = batch.build(
                cursor,
                self.lease.stream,
                pointers,
                known,
                epochs=_epochs(epochs),
                token=self.lease.token,
                marker=drawn,
                source="strangler/monolith",
            )
        is_whole = not pointers or pointers[-1].id >= (newest or 0)
        return Read(drawn, pointers, made, is_whole, set(backfills), is_quarantined, is_unwell, newest or 0)

    def _acknowledge(self, seen: Read, answer: dict[str, Any]) -> bool:
        done = {*answer.get("applied", ()), *answer.get("skipped", ())}
        refused = {item["subject"]: str(item.get("reason", "")) for item in (*answer.get("waits", ()), *answer.get("poison", ()))}
        failing = {subject: refused.get(subject, "not acknowledged") for subject in seen.batch.pointers if subject not in done}
        self.failed = {subject: self.failed.get(subject, 0) + seen.is_whole for subject in failing}
        poison = {subject: reason for subject, reason in failing.items() if self.failed[subject] >= TRIES}
        kept = {pointer.id for subject in failing if subject not in poison for pointer in seen.batch.pointers[subject]}
        ids = [pointer.id for pointer in seen.pointers if pointer.id not in kept]
        published = self._publishable(seen, failing)
        changes = len(done)
        is_plain = not (poison or seen.is_quarantined or seen.batch.resets())  # then one statement does it all
        whole = nullcontext() if is_plain else transaction.atomic(using=alias(self.using), durable=True)
        with whole, connection(self.using).cursor() as cursor:
            self._write(cursor, seen, ids, published, changes, poison, done)
        if published:
            marker.publish(self.lease.stream, published)
        for subject in poison:
            del self.failed[subject]
        self._adapt(seen)
        return not seen.is_whole or bool(self.failed) or bool(seen.batch.resets())

    def _write(
        self, cursor: Any, seen: Read, ids: list[int], published: int, changes: int, poison: dict[str, str], done: set[str]
    ) -> None:
        stream = self.lease.stream
        cursor.execute(
            ACKNOWLEDGE,
            {
                "stream": stream,
                "token": self.lease.token,
                "marker": published,
                "round": seen.marker,
                "changes": changes,
                "oldest": min((pointer.noted_at for pointer in seen.pointers), default=None),
                "ids": ids,
            },
        )
        if not cursor.fetchone()[0]:
            raise lease.lost(stream)
        if seen.is_quarantined and done:
            quarantine.cure(cursor, stream, done, [name for name in seen.batch.resets() if name in done])
        if poison:
            quarantine.put(cursor, stream, poison)
        known = collections.for_stream(stream, self.using)
        for name in seen.batch.resets():
            if name in done:
                outbox.note_all(cursor, stream, known[name])

    def _publishable(self, seen: Read, failing: dict[str, str]) -> int:
        """The marker that this round may publish, or 0: every pointer that its snapshot showed is acknowledged (P23).

        Under steady load no round may see everything. Then the marker of one of them is kept as a promise, and kept for good once
        a later round finds nothing left up to the greatest pointer that the promise's snapshot showed.
        """
        if failing or seen.backfills & NOTING or seen.is_unwell or seen.batch.resets():
            self.promised = None
            return 0
        if seen.is_whole:
            self.promised = None
            return seen.marker
        if self.promised and seen.pointers[0].id > self.promised[1]:
            good, self.promised = self.promised[0], (seen.marker, seen.newest)
            return good
        if self.promised is None:
            self.promised = (seen.marker, seen.newest)
        return 0

    def _adapt(self, seen: Read) -> None:
        if seen.batch.bytes > BYTES:
            self.limit = max(1, self.limit // 2)
        elif seen.batch.bytes < BYTES // 4:
            self.limit = min(LIMIT, self.limit * 2)


def run(
    stream: str,
    using: str | None = None,
    destination: Destination | None = None,
    budget_s: float = BUDGET_S,
    *,
    linger: bool = False,
) -> int:
    """Rounds of the stream while there is work; the number of rounds. 0 where another holds it or it is not live.

    ``linger``: stay a moment after the last round for whoever asks next (``wake.linger``).

    What goes wrong is recorded on the stream, which then backs off, and raised as ``StranglerError`` (``LostLease``: another has
    taken over and nothing need be done).
    """
    discard_broken(using)
    rounds, end = 0, time.monotonic() + budget_s
    while True:
        held = lease.take(stream, using)
        if held is None:
            return rounds
        rounds += _hold(held, destination, using, end, linger)
        if time.monotonic() >= end:
            wake.wake(stream)
            return rounds
        if not wake.is_asked(stream):  # after the release: who asked just before it found the key, not the lease
            return rounds


def _hold(held: Lease, destination: Destination | None, using: str | None, end: float, linger: bool) -> int:
    if destination is None:
        from strangler.sync.client import ServiceClient

        destination = ServiceClient(held.context)
    relay, rounds = Relay(held, destination, using), 0
    asked = wake.linger if linger else wake.is_asked
    try:
        while True:
            wake.hold(held.stream)
            began = time.monotonic()
            more = relay.round()
            rounds += 1
            more = (relay.is_fed and backfill.feed(held.stream, using)) or more
            if time.monotonic() >= end or not (more or asked(held.stream)):
                held.release()
                if held.token % 50 == 0:
                    rows(FORGET_ROUNDS, using=using)
                return rounds
            if not more:
                wake.gather(held.stream, began + SPACING_S - time.monotonic())
    except LostLease:
        raise
    except Exception as error:
        give_up(held, error, using)
        raise
    finally:
        wake.leave(held.stream)


def give_up(held: Lease, error: Exception, using: str | None) -> None:
    """Record the failure and free the stream after a back-off. If the database is away too, the lease just runs out."""
    collections.forget()
    discard_broken(using)
    try:
        held.fail(message(error))
    except Error:
        discard_broken(using)


def _epochs(text: str) -> dict[str, int]:
    return {str(name): int(epoch) for name, epoch in json.loads(text).items()}
