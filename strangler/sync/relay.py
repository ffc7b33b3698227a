"""The relay: reads pointers and rows in one snapshot, sends them, and forgets the pointers that it has read (P6, P7, P14, P23).

A round, and why each step stands where it stands:

1. Draw the marker ``M`` in a transaction of its own, *then* open the snapshot. So a round with a greater marker has a later
   snapshot, and ``(epoch, token, M)`` orders all rounds of all holders as their snapshots are ordered.
2. One REPEATABLE READ snapshot reads pointers, rows and epochs. A row that is absent in it is deleted. Where there is room, the
   next chunk of a backfill is read in it too (P13).
3. Renew the lease with a durable commit. What a round can have read (also commits of ``synchronous_commit=off`` sessions) is on
   disk before it leaves: a crash of this database can't take back what the destination has (P7). Nor a marker that is published
   (P23), also by a round without changes: a position below it would come again.
4. POST. Nothing is locked and no transaction is open for it. Meanwhile the next round may be read, so several are under way.
5. In one statement: check the token, raise the marker, delete exactly the pointer ids that were read.

Rounds are strung together to *sweeps*: the first begins at the floor (P14), each goes on where the former ended, and the last one
reaches the greatest pointer that the first one's snapshot showed. A commit that comes late, with smaller ids, belongs to the next
sweep. When all rounds of a sweep are acknowledged, so is everything that its first snapshot showed: then that round's marker is
published, and the floor rises.

Interleavings: *two relays at once*: the older token's rows are older versions at the destination, and its acknowledgement finds
another token and deletes nothing. *Two rounds of one relay at once*: each has its own pointers; of a key that is in both the
greater marker wins, in whatever order they arrive; they are acknowledged in their order. *A commit that comes late* has pointers
with ids that nobody has read; they are read by the next sweep, however small they are. *A crash between POST and delete*: the
next round reads the same pointers, draws a greater marker and sends the rows as they are then. *A crash between read and POST*:
nothing happened. *A row that changes after the snapshot* has a new pointer, which is not among the ids to delete.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.utils import Error

from strangler.domain.envelope import Event
from strangler.errors import LostLease
from strangler.sync import backfill, backfill_pace, batch, collections, lease, marker, outbox, quarantine, shape, wake
from strangler.sync.backfill import Chunk
from strangler.sync.database import discard_broken, execute, message, port, rows, snapshot
from strangler.sync.databases.port import Statement
from strangler.sync.garbage import uncollected
from strangler.sync.lease import Lease
from strangler.sync.outbox import Pointer

FIRST, LIMIT = 500, 8000  # changes in the first round of a run, and in any
ANSWER_S = 0.5  # a destination that takes longer than this for a round gets a smaller one next
UNDER_WAY = 2  # rounds that are sent and not acknowledged yet, while the next one is read
TRIES = 3  # sweeps in which a key must fail before it is poison (P9)
SPACING_S = 0.1  # from the beginning of one round to the next under steady load: a round costs much the same however full it is
BUDGET_S = 10.0  # a run gives other streams their turn after this; it wakes itself if there is more

SEEN = Statement("""
SELECT {object_of:context; epoch; strangler_ownership},
       {array_of:SELECT state FROM strangler_backfill WHERE stream = %(stream)s AND state <> 'done'},
       EXISTS (SELECT 1 FROM strangler_quarantine WHERE stream = %(stream)s),
       EXISTS (SELECT 1 FROM strangler_quarantine WHERE stream = %(stream)s AND discarded_at IS NULL),
       (SELECT coalesce(max(id), 0) FROM strangler_outbox WHERE stream = %(stream)s),
       {oldest_running}
""")
FORGET_ROUNDS = Statement("DELETE FROM strangler_round WHERE at < {later:-600}")


class Destination(Protocol):
    """Called from several threads at once."""

    def post_changes(self, events: list[Event]) -> dict[str, Any]: ...


@dataclass
class Sweep:
    """Rounds from the floor to the greatest pointer that the first of them saw."""

    marker: int  # of the first round
    end: int  # that greatest pointer
    floor: int  # what the floor becomes when all is acknowledged
    reached: int  # the greatest pointer that was read
    failing: dict[str, str] = field(default_factory=dict)  # subject → reason
    is_clean: bool = True
    is_full: bool = True  # no round was under way when it began, so it sees every pointer that is there


@dataclass
class Read:
    """What a round saw in its snapshot."""

    marker: int
    pointers: list[Pointer]
    batch: batch.Batch
    sweep: Sweep
    is_whole: bool  # the sweep ends with it
    backfills: set[str]  # the states of those that are not through
    is_quarantined: bool  # a key is in quarantine, be it discarded
    is_unwell: bool  # one is that nobody has discarded
    chunk: Chunk | None

    @property
    def has_more(self) -> bool:
        """Whether the next round could be read at once."""
        return not self.is_whole or (self.chunk is not None and not self.chunk.is_last)


@dataclass
class Relay:
    """One holder of one stream, for the time of a run."""

    lease: Lease
    destination: Destination
    using: str | None = None
    limit: int = FIRST
    failed: dict[str, int] = field(default_factory=dict)  # subject → sweeps in which it failed, one after the other
    backfills: set[str] = field(default_factory=set)  # the states of those that are not through, as the last round saw them
    _floor: outbox.Floor = field(default_factory=outbox.Floor)
    _sweep: Sweep | None = None
    _under_way: deque[tuple[Read, Future[tuple[dict[str, Any], float]]]] = field(default_factory=deque)
    _sent: set[int] = field(default_factory=set)  # pointers of rounds that are under way
    _kept: dict[str, set[int]] = field(default_factory=dict)  # subject → pointers that an acknowledgement left, because it failed
    _posting: ThreadPoolExecutor | None = None

    def __post_init__(self) -> None:
        self._filling = backfill.Reader(self.lease.stream)

    def round(self) -> bool:
        """One round from reading to acknowledgement; True if there is more to do at once.

        Raises ``LostLease``, ``ServiceUnavailable``, ``StaleEpoch``.
        """
        has_more = self.push()
        return self.land_all() or has_more

    def push(self) -> bool:
        """One round read and sent, and acknowledged unless the next one can be read at once. True if there is more to do."""
        seen = self.read()
        while len(self._under_way) >= UNDER_WAY:
            self.land()
        has_more = seen.has_more
        self.lease.renew()
        if has_more and seen.batch.events:
            self._under_way.append((seen, self._pool().submit(copy_context().run, self._post, seen.batch.events)))
            self._sent.update(pointer.id for pointer in seen.pointers)
            return True
        answer = self._post(seen.batch.events) if seen.batch.events else ({}, 0.0)
        has_more = self.land_all() or has_more
        return self._acknowledge(seen, *answer) or has_more

    def land(self) -> bool:
        """Wait for the oldest round that is under way, and acknowledge it; True if there is more to do."""
        seen, answer = self._under_way.popleft()
        has_more = self._acknowledge(seen, *answer.result())
        self._sent.difference_update(pointer.id for pointer in seen.pointers)
        return has_more

    def land_all(self) -> bool:
        """The same for all of them."""
        has_more = False
        while self._under_way:
            has_more |= self.land()
        return has_more

    def close(self) -> None:
        """Waits for what is under way, and takes no notice of it: a next round sends it again."""
        if self._posting:
            self._posting.shutdown()

    def _pool(self) -> ThreadPoolExecutor:
        if self._posting is None:
            self._posting = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix=f"post-{self.lease.stream}")
        return self._posting

    def _post(self, events: list[Event]) -> tuple[dict[str, Any], float]:
        """The answer, and the seconds that it took."""
        began = time.monotonic()
        return self.destination.post_changes(events), time.monotonic() - began

    def read(self) -> Read:
        stream = self.lease.stream
        db, known = port(self.using), shape.current(stream, self.using)
        if self._sweep is None:
            self._floor.note(self.using)
        drawn = marker.draw(self.using)
        with uncollected(), snapshot(self.using, by_index=True) as cursor:
            after = self._sweep.reached if self._sweep else self._floor.at
            # A new sweep sees again what failed and what is under way.
            limit = self.limit + (0 if self._sweep else len(self.failed) + len(self._sent))
            found = outbox.read(cursor, stream, limit, after)
            shape.refuse_strangers(cursor, stream, {pointer.collection for pointer in found} - set(known))
            seen = execute(cursor, SEEN, {"stream": stream}).fetchone()
            epochs, listed, is_quarantined, is_unwell, newest, oldest_running = seen
            backfills = db.unlisted(listed)
            if self._sweep is None:
                self._sweep = Sweep(drawn, newest, self._floor.reached(oldest_running), after, is_full=not self._sent)
            pointers = [pointer for pointer in found if pointer.id not in self._sent] if self._sent else found
            origin = batch.Origin(stream, "strangler/monolith", _epochs(epochs), self.lease.token, drawn)
            # What waits for another row is tried together with it, however large the two are.
            room = batch.ROW_BYTES if self.failed else batch.BYTES
            made = batch.build(cursor, origin, pointers, known, batch.ROW_BYTES, room)
            places = self.limit - len(made.events)
            is_due = "running" in backfills and places > 0 and not made.left
            chunk = self._filling.read(cursor, made, origin, known, places) if is_due else None
        sweep = self._sweep
        if made.left:
            left = {pointer.id for pointer in made.left}
            pointers = [pointer for pointer in pointers if pointer.id not in left]
            sweep.reached = min(left) - 1
        else:
            sweep.reached = found[-1].id if found else sweep.reached
        is_whole = not made.left and (len(found) < limit or sweep.reached >= sweep.end)
        if is_whole:
            self._sweep = None
        self.backfills = set(backfills)
        return Read(drawn, pointers, made, sweep, is_whole, self.backfills, is_quarantined, is_unwell, chunk)

    def _acknowledge(self, seen: Read, answer: dict[str, Any], seconds: float = 0.0) -> bool:
        sweep, pointers = seen.sweep, seen.batch.pointers
        shape.hear(self.lease.stream, answer.get("schemas") or {}, self.using)
        done = {*answer.get("applied", ()), *answer.get("skipped", ())}
        failing = dict(seen.batch.too_large)
        if len(done) < len(seen.batch.events):
            failing |= _failing(seen.batch.events, answer, done)
        ids = {pointer.id for pointer in seen.pointers}
        for subject in failing.keys() & pointers.keys():
            kept = {pointer.id for pointer in pointers[subject]}
            self._kept.setdefault(subject, set()).update(kept)
            ids -= kept
        sweep.failing.update(failing)
        for subject in self._kept.keys() & done:  # by a newer snapshot than that in which it failed
            ids |= self._kept.pop(subject)
            sweep.failing.pop(subject, None)
        resets = seen.batch.resets()
        sweep.is_clean &= not (failing or resets or seen.is_unwell or seen.backfills - {"sweeping"})
        poison = self._judge(sweep) if seen.is_whole else {}
        for subject in poison:
            ids |= self._kept.pop(subject, set())
        is_good = seen.is_whole and sweep.is_clean and not self.failed and not self._kept
        published = sweep.marker if is_good else 0
        unnoted = [subject for subject in failing if subject not in pointers]
        is_plain = not (poison or seen.is_quarantined or resets or unnoted or seen.chunk)  # then one statement does it all
        with port(self.using).at_once() if is_plain else port(self.using).writing() as cursor:
            self._write(cursor, seen, list(ids), published, len(done))
            if not is_plain:
                self._tidy(cursor, seen, done, resets, unnoted, poison)
        if published:
            marker.publish(self.lease.stream, published)
        if seen.is_whole:
            self._floor.at = max(self._floor.at, min([sweep.floor, *(min(kept) - 1 for kept in self._kept.values())]))
        self._adapt(seen, seconds)
        return not seen.is_whole or bool(self.failed) or bool(resets) or bool(unnoted)

    def _judge(self, sweep: Sweep) -> dict[str, str]:
        """At the end of a sweep: which of its failing subjects are poison now, and why. The others are tried in the next one."""
        if sweep.is_full:  # what it has not seen is gone: discarded, or the stream was given up
            self._kept = {subject: kept for subject, kept in self._kept.items() if subject in sweep.failing}
        counts = {subject: self.failed.get(subject, 0) + 1 for subject in sweep.failing}
        untried = {subject: count for subject, count in self.failed.items() if subject in self._kept}
        self.failed = {subject: count for subject, count in {**untried, **counts}.items() if count < TRIES}
        return {subject: reason for subject, reason in sweep.failing.items() if counts[subject] >= TRIES}

    def _write(self, cursor: Any, seen: Read, ids: list[int], published: int, changes: int) -> None:
        stream = self.lease.stream
        said = {
            "stream": stream,
            "token": self.lease.token,
            "marker": published,
            "round": seen.marker,
            "changes": changes,
            "oldest": min((pointer.noted_at for pointer in seen.pointers), default=None),
            "ids": ids,
        }
        if not port(self.using).acknowledge(cursor, said):
            raise lease.lost(stream)

    def _tidy(
        self, cursor: Any, seen: Read, done: set[str], resets: list[str], unnoted: list[str], poison: dict[str, str]
    ) -> None:
        """What is rare, in the transaction of the acknowledgement."""
        stream = self.lease.stream
        if seen.is_quarantined and done:
            quarantine.cure(cursor, stream, done, [name for name in resets if name in done])
        if poison:
            quarantine.put(cursor, stream, poison)
        known = collections.for_stream(stream, self.using)
        for name in resets:
            if name in done:
                outbox.note_all(cursor, stream, known[name])
        if seen.chunk:
            outbox.note(stream, seen.chunk.collection, [_split(subject)[1] for subject in unnoted], self.using)
            self._filling.move(cursor, seen.chunk)

    @property
    def waits(self) -> backfill_pace.Waits:
        """Whether the last round left a chunk out for the live changes."""
        return self._filling.waits if "running" in self.backfills else None

    def _adapt(self, seen: Read, seconds: float) -> None:
        if seconds > ANSWER_S:
            self.limit = max(FIRST // 8, self.limit // 2)
        elif seconds < ANSWER_S / 2 and len(seen.batch.events) >= self.limit // 2:
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
            wake.pass_on(stream)
            return rounds
        if not wake.is_asked(stream):  # after the release: who asked just before it found the key, not the lease
            return rounds


def _hold(held: Lease, destination: Destination | None, using: str | None, end: float, linger: bool) -> int:
    if destination is None:
        from strangler.sync.transport import destination_of

        destination = destination_of(held.context)
    relay, rounds = Relay(held, destination, using, FIRST), 0
    asked = wake.linger if linger else wake.is_asked
    try:
        while True:
            wake.hold(held.stream)
            began = time.monotonic()
            more = relay.push()
            rounds += 1
            more = ("waiting" in relay.backfills and backfill.look(held.stream, using)) or more
            more = backfill_pace.say(held.stream, relay.waits, using) or more
            if "sweeping" in relay.backfills:
                backfill.sweep_beside(held.stream, using)
            if time.monotonic() >= end or not (more or asked(held.stream)):
                relay.land_all()
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
        relay.close()
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


def _failing(events: Iterable[Event], answer: dict[str, Any], done: set[str]) -> dict[str, str]:
    """Subject → reason of what was sent and is not done."""
    refused = {item["subject"]: str(item.get("reason", "")) for item in (*answer.get("waits", ()), *answer.get("poison", ()))}
    subjects = [event.subject for event in events]
    return {subject: refused.get(subject, "not acknowledged") for subject in subjects if subject not in done}


def _split(subject: str) -> tuple[str, str]:
    collection, _, key = subject.partition("/")
    return collection, key
