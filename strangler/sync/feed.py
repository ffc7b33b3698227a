"""The feed: what a service answers to ``GET /_strangler/changes`` (P11).

A cursor over ids would lose commits: an id is drawn when the row is written and seen when it commits, so a smaller one may appear
after a greater one was read. Here positions are given to *committed* pointers, by the reader, under an exclusive lock: whoever
reads next can only give greater ones. Interleavings that it stands:

- *Two readers*: the second waits for the lock and reads in statements of its own snapshot, after the first has committed.
- *A write that commits while we read*: without a position it is simply in the next answer; with the row read after its pointer
  the row may be newer than the event's pointer, and its own pointer comes next and says the same.
- *A crash after an answer*: the positions were durable before it left (P7: the transaction writes, and commits with
  ``synchronous_commit`` on), so no other row can ever come under a position that the puller has passed.
- *An outbox over its budget* (P4): what was lost had positions below the feed's floor, and whoever is behind it is told so, also
  after the feed was opened again. The row of the stream is locked first, so an answer is from wholly before the break or refused.
- *The puller's cursor*: positions up to ``after`` are deleted, so a puller must have ``after`` on disk before it asks.
"""

from __future__ import annotations

from typing import Any

from strangler.domain import wire
from strangler.domain.envelope import BadEvent, Event, from_dict, to_json
from strangler.errors import Gone, StranglerError
from strangler.sync import batch, collections, outbox
from strangler.sync.database import execute, port
from strangler.sync.databases.port import FEED, MARKER, Database, Statement
from strangler.sync.lock import feed_key
from strangler.sync.outbox import Pointer

LIMIT = 1000
READ = Statement("""
SELECT id, collection, key, {on_wire:noted_at}, pos FROM strangler_outbox WHERE stream = %s AND pos > %s ORDER BY pos LIMIT %s
""")
# Also the write that makes the commit flush, and with it all that this transaction has seen (P7).
TOUCH = Statement("""
UPDATE strangler_stream SET last_round_at = {now}, cursor = {greatest:cursor; %s} WHERE name = %s
RETURNING state, floor
""")


def read(context: str, after: int, limit: int = LIMIT, using: str | None = None) -> str:
    """JSON ``{"events", "next", "marker"}``: the changes after position ``after``, coalesced by key; deletes those up to it.

    ``next`` is the position to ask after. ``marker`` is null while there is more, else the marker that the answer is complete
    for.
    """
    limit = max(1, min(limit, 20 * LIMIT))
    known = {collection.name: collection for collection in collections.for_context(context, using)}
    db = port(using)
    with db.writing(durable=True) as cursor:
        db.lock_exclusive(cursor, feed_key(context))
        marker = db.draw(MARKER)
        cursor.execute("SELECT context, epoch FROM strangler_ownership")
        epochs = dict(cursor.fetchall())
        _check(context, after, *(execute(cursor, TOUCH, [after, context]).fetchone() or ("off", 0)))
        _catch_up_with(db, cursor, context, after)
        cursor.execute("DELETE FROM strangler_outbox WHERE stream = %s AND pos <= %s", [context, after])
        _assign(db, cursor, context, known)
        pointers = list(map(Pointer._make, execute(cursor, READ, [context, after, limit]).fetchall()))
        origin = batch.Origin(context, "strangler/service", epochs, token=0, marker=marker)
        # A puller whose keys wait for others asks for more, and gets it in bytes too: rows that swap a value must come together.
        made = batch.build(cursor, origin, pointers, known, room=batch.BYTES * max(1, limit // LIMIT))
    until = pointers[-1].pos if pointers else after
    if made.left:  # what is larger than an answer comes in the next one
        until = min(pointer.pos or 0 for pointer in made.left) - 1
    complete_for = marker if len(pointers) < limit and not made.left else None
    return f'{{"events":{to_json(made.events)},"next":{until},"marker":{wire.dumps(complete_for)}}}'


def _check(context: str, after: int, state: str, floor: int) -> None:
    """Raises ``Gone`` for a puller that would miss what was lost, or while nothing is captured (P4)."""
    if state in ("broken", "paused"):
        raise Gone(
            f"the outbox of the {context} service was over its budget, and its capture was removed; "
            f"on the service run: strangler sync install {context}; then on the monolith: strangler sync backfill {context}",
            floor,
        )
    if after < floor:
        raise Gone(
            f"the {context} service has lost changes that its feed did not get rid of in time; "
            f"on the monolith run: strangler sync backfill {context}",
            floor,
        )


def _catch_up_with(db: Database, cursor: Any, stream: str, after: int) -> None:
    """A puller that is further than any position given here remembers an earlier life of this database: go on from there."""
    if after > db.position(FEED):
        db.raise_to(FEED, after)
        cursor.execute("UPDATE strangler_outbox SET pos = NULL WHERE stream = %s AND pos IS NOT NULL", [stream])


def _assign(db: Database, cursor: Any, stream: str, known: dict[str, collections.Collection]) -> None:
    """Positions for what has none; after a reset every row that is there is noted again and gets one too."""
    resets = {collection for collection, key in db.assign_positions(cursor, stream) if key is None and collection in known}
    for name in sorted(resets):
        outbox.note_all(cursor, stream, known[name])
    if resets:
        db.assign_positions(cursor, stream)


def parse(answer: object) -> tuple[list[Event], int, int | None]:
    """For who asks: the events, where to go on, and the marker that the answer is complete for. Raises ``StranglerError``."""
    try:
        events = [from_dict(event) for event in answer["events"]]  # type: ignore[index]
        until, complete_for = answer["next"], answer["marker"]  # type: ignore[index]
        return events, int(until), None if complete_for is None else int(complete_for)
    except (BadEvent, KeyError, TypeError, ValueError) as error:
        raise StranglerError(f"the feed's answer is not of the contract: {error!r}; see: strangler conform") from error
