"""Who may write a context's tables, as this side knows it: read it, lock it, change it (P10, P15, P16)."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.utils import OperationalError

from strangler import conf
from strangler.errors import Misconfigured, StaleEpoch, StranglerError
from strangler.sync import databases
from strangler.sync.database import execute, port, rows, sqlstate
from strangler.sync.databases.port import Statement
from strangler.sync.ddl import LOCK_NOT_AVAILABLE
from strangler.sync.lock import lock_key

OWNERS = ("monolith", "service", "none")
READ = "SELECT context, side, epoch, owner, operation FROM strangler_ownership WHERE context = %s"
HOLD = Statement(READ + "{for_update}")
SET = Statement(
    "UPDATE strangler_ownership SET epoch = %s, owner = %s, operation = %s, changed_at = {now}, "
    "system_identifier = %s, timeline = %s WHERE context = %s"
)


@dataclass(frozen=True)
class Record:
    """The local ownership row. ``side`` is which side this database is."""

    context: str
    side: str
    epoch: int
    owner: str
    operation: str

    @property
    def here(self) -> bool:
        return self.owner == self.side


class OwnershipBusy(StranglerError):
    """The context's lock was not to be had: a transaction that wrote the context is still open. Nothing was changed."""


def get(context: str, using: str | None = None) -> Record:
    """The local row; a context that is not installed here is the monolith's at epoch 0."""
    found = rows(READ, [context], using)
    return Record(*found[0]) if found else Record(context, conf.side(), 0, "monolith", "")


def lock_shared(cursor: Any, context: str) -> None:
    """Until the transaction's end nobody changes the owner. A statement of its own, so that the next one reads after it."""
    databases.of(cursor.db).lock_shared(cursor, lock_key(context))


def prepare(context: str, side: str, using: str | None = None) -> None:
    """The row, if it isn't there: the monolith owns at epoch 0."""
    system, timeline = identity(using)
    rows(
        "INSERT INTO strangler_ownership (context, side, system_identifier, timeline) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (context) DO NOTHING",
        [context, side, system, timeline],
        using,
    )


def change(
    context: str,
    *,
    epoch: int,
    owner: str,
    operation: str,
    lock_timeout_ms: int = 100,
    tries: int = 5,
    next_ids: Mapping[str, int] | None = None,
    using: str | None = None,
) -> Record:
    """Set owner and epoch under the exclusive lock, and ids to go on from. Idempotent for the same content.

    Raises ``StaleEpoch`` for a lower epoch, or the same one with other content (``none`` to an owner within one operation is
    allowed: that is how a hand-over ends), ``OwnershipBusy`` if the lock is not to be had in ``tries`` of ``lock_timeout_ms``.
    May be called inside a transaction; then it takes effect with that.
    """
    if owner not in OWNERS:
        raise Misconfigured(f"{owner!r} can't own a context; it is one of {', '.join(OWNERS)}")
    for left in reversed(range(tries)):
        try:
            with port(using).writing(lock=lock_key(context), patience_ms=lock_timeout_ms, durable=True) as cursor:
                record = _set(cursor, context, epoch, owner, operation, using)
                if next_ids:
                    from strangler.sync import sequences

                    sequences.advance(context, next_ids, using)
                return record
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            if not left:
                holders = port(using).holders(lock_key(context))
                raise OwnershipBusy(f"{context}: its ownership lock is held by {holders}") from error
        time.sleep(random.uniform(0.005, 0.03))  # let the writers that queued behind us go first
    raise AssertionError("unreachable")


def _set(cursor: Any, context: str, epoch: int, owner: str, operation: str, using: str | None) -> Record:
    execute(cursor, HOLD, [context])
    found = cursor.fetchone()
    if found is None:
        raise Misconfigured(f"{context} is not installed here; run: strangler sync install {context}")
    held = Record(*found)
    wanted = Record(context, held.side, epoch, owner, operation)
    if held == wanted:
        return held
    closes = epoch == held.epoch and held.owner == "none" and operation == held.operation
    if epoch < held.epoch or (epoch == held.epoch and not closes):
        raise StaleEpoch(
            f"{context} is at epoch {held.epoch} (owner {held.owner}, operation {held.operation or '-'}) here; "
            f"epoch {epoch} with owner {owner} (operation {operation or '-'}) is refused"
        )
    system, timeline = identity(using)
    execute(cursor, SET, [epoch, owner, operation, system, timeline, context])
    if owner == "monolith":  # both sides are equal, and what a feed has lost before is nobody's to miss (P4)
        cursor.execute("UPDATE strangler_stream SET floor = 0 WHERE context = %s AND kind = 'feed' AND floor > 0", [context])
    return wanted


def identity(using: str | None = None) -> tuple[str, int]:
    """Which copy of the data this database is: a fail-over or a restore changes one of them (P16)."""
    return port(using).identity()


def guard(using: str | None = None) -> list[str]:
    """Where the database is not the one in which the owner was written, nobody owns until reconciled at a higher epoch (P16).

    Answers the contexts that it closed. Cheap; the periodic task calls it.
    """
    system, timeline = identity(using)
    changed = rows(
        "SELECT context, epoch FROM strangler_ownership "
        "WHERE system_identifier <> '' AND (system_identifier, timeline) <> (%s, %s)",
        [system, timeline],
        using,
    )
    for context, epoch in changed:
        change(context, epoch=epoch + 1, owner="none", operation=f"database changed: {system}/{timeline}", using=using)
    return [context for context, _ in changed]
