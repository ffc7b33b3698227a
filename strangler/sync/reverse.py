"""The reverse mirror: pulls a service's feed and applies it here, with the cursor in the same transaction (P11, P24).

Interleavings: *a stale puller* (paused, its lease taken over) finds another token in the transaction in which it wants to
apply, and its rows go with it. *A crash after the apply*: rows and cursor are both committed or both not. *The service deletes
what the cursor has passed*, so that commit is durable (``synchronous_commit`` on) before the next request names it. *A key that
waits for another* keeps the cursor where it is; the next answer is larger and has both. It is poison when the answer was
complete and it still fails.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from strangler.domain.envelope import Event, Op
from strangler.errors import Gone, LostLease
from strangler.sync import broken, collections, databases, lease, marker, quarantine, wake
from strangler.sync.apply import Outcome, apply
from strangler.sync.database import discard_broken, execute, rows, value
from strangler.sync.databases.port import Statement
from strangler.sync.databases.rounds import LAG
from strangler.sync.feed import LIMIT, parse
from strangler.sync.lease import Lease
from strangler.sync.relay import BUDGET_S, FORGET_ROUNDS, give_up

ADVANCE = Statement(
    """
UPDATE strangler_stream
SET cursor = %(next)s, marker = {greatest:marker; %(marker)s}, relayed = relayed + %(changes)s, last_round_at = {now},
    lag_ms = CASE WHEN %(changes)s > 0 THEN coalesce({lag}, 0) WHEN %(marker)s > 0 THEN 0 ELSE lag_ms END,
    last_error = '', failures = 0, retry_at = NULL
WHERE name = %(stream)s AND lease_token = %(token)s
RETURNING 1
""".replace("{lag}", LAG)
)
NOTED = Statement(
    """
INSERT INTO strangler_round (stream, round, changes, lag_ms)
SELECT %(stream)s, %(round)s, %(changes)s, coalesce({lag}, 0) WHERE %(changes)s > 0
""".replace("{lag}", LAG)
)

# The proxies are told nothing while the copy is made anew (P23): the feed is applied, but what it lost is not there yet.
SEEN = """
SELECT count(*) > 0, count(*) > count(discarded_at),
       NOT EXISTS (SELECT 1 FROM strangler_backfill WHERE stream = %(stream)s AND state <> 'done')
FROM strangler_quarantine WHERE stream = %(stream)s
"""


class Feed(Protocol):
    def changes(self, after: int, limit: int) -> dict[str, Any]: ...


@dataclass
class Puller:
    """One holder of one reverse stream, for the time of a run."""

    lease: Lease
    feed: Feed
    using: str | None = None
    limit: int = LIMIT

    def round(self) -> tuple[bool, list[Event]]:
        """One answer applied: whether there is more at once, and its events. Raises ``LostLease``, ``ServiceUnavailable``."""
        self.lease.renew()
        answer = self.feed.changes(self.lease.cursor, self.limit)
        events, until, complete_for = parse(answer)
        moved = {"next": self.lease.cursor, "published": 0, "told": 0}

        def finish(cursor: Any, outcome: Outcome) -> None:
            self._finish(cursor, outcome, events, until, complete_for, moved)

        known = collections.for_stream(self.lease.stream, self.using)
        apply(events, known, using=self.using, finish=finish)
        is_stuck = bool(events) and moved["next"] < until
        self.limit = min(self.limit * 2, 20 * LIMIT) if is_stuck else LIMIT
        self.lease.cursor = moved["next"]
        if moved["told"]:
            marker.publish(self.lease.stream, moved["told"])
        return complete_for is None or is_stuck, events

    def _finish(
        self, cursor: Any, outcome: Outcome, events: list[Event], until: int, complete_for: int | None, moved: dict[str, int]
    ) -> None:
        """The cursor, the marker and the quarantine, in the transaction that applied; the token is checked there."""
        is_last_chance = complete_for is not None or self.limit >= 20 * LIMIT
        stream = self.lease.stream
        databases.of(cursor.db).make_durable(cursor)
        keep = bool(outcome.failing) and not is_last_chance
        cursor.execute(SEEN, {"stream": stream})
        is_quarantined, is_unwell, is_backfilled = cursor.fetchone()
        is_clean = not outcome.failing and not is_unwell
        moved["next"] = self.lease.cursor if keep else until
        moved["published"] = complete_for if complete_for and is_clean else 0
        moved["told"] = moved["published"] if is_backfilled else 0
        said = {
            "stream": stream,
            "token": self.lease.token,
            "next": moved["next"],
            "marker": moved["published"],
            "round": max((event.marker for event in events), default=0),
            "changes": 0 if keep else len(outcome.applied),
            "oldest": min((event.time for event in events if event.time), default=None),
        }
        if not execute(cursor, ADVANCE, said).fetchone():
            raise lease.lost(stream)
        execute(cursor, NOTED, said)
        if is_quarantined and outcome.applied:
            resets = {event.collection for event in events if event.op is Op.RESET}
            quarantine.cure(cursor, stream, outcome.applied, [name for name in outcome.applied if name in resets])
        if outcome.failing and not keep:
            quarantine.put(cursor, stream, outcome.failing)


def run(
    stream: str, using: str | None = None, feed: Feed | None = None, budget_s: float = BUDGET_S, *, linger: bool = False
) -> int:
    """Pulls until there is nothing more; the number of rounds. 0 where another holds the stream or it is not live.

    ``linger``: stay a moment after the last round for whoever asks next (``wake.linger``).

    What goes wrong is recorded on the stream, which then backs off, and raised as ``StranglerError``.
    """
    return len(pull(stream, using, feed, budget_s, linger=linger)[1])


def pull(
    stream: str, using: str | None = None, feed: Feed | None = None, budget_s: float = BUDGET_S, *, linger: bool = False
) -> tuple[list[Event], list[int]]:
    """Like ``run``: the events of all rounds, and how many each of them had."""
    discard_broken(using)
    events: list[Event] = []
    sizes: list[int] = []
    end = time.monotonic() + budget_s
    while True:
        held = lease.take(stream, using)
        if held is None:
            return events, sizes
        _hold(held, feed, using, end, events, sizes, linger)
        if time.monotonic() >= end:
            wake.pass_on(stream)
            return events, sizes
        if not wake.is_asked(stream):
            return events, sizes


def _hold(
    held: Lease, feed: Feed | None, using: str | None, end: float, events: list[Event], sizes: list[int], linger: bool
) -> None:
    if feed is None:
        from strangler.sync.client import ServiceClient

        feed = ServiceClient(held.context)
    puller = Puller(held, feed, using)
    asked = wake.linger if linger else wake.is_asked
    try:
        while True:
            wake.hold(held.stream)
            more, seen = puller.round()
            events += seen
            sizes.append(len(seen))
            if time.monotonic() >= end or not (more or asked(held.stream)):
                held.release()
                if held.token % 50 == 0:
                    rows(FORGET_ROUNDS, using=using)
                return
    except LostLease:
        raise
    except Gone as gone:
        broken.give_up(held.stream, str(gone), using, token=held.token, floor=gone.floor)
        raise
    except Exception as error:
        give_up(held, error, using)
        raise
    finally:
        wake.leave(held.stream)


def published(stream: str, using: str | None = None) -> int:
    """The marker up to which the stream is applied here."""
    return int(value("SELECT marker FROM strangler_stream WHERE name = %s", [stream], using) or 0)
