"""Where receipts are chained: one after the other, in the transaction that writes them.

Invariant: the rows in order of their numbers are one chain without a fork, whatever commits, rolls back or dies.

- *Two that end at once*: the lock is taken first and kept to the end of the transaction; only then, in a statement with a
  snapshot of its own, is the newest receipt read. The second waits, and is chained to the first.
- *The first rolls back*: nothing of it is seen, and its number, which is the newest one's plus one, goes to the next.
- *A transaction with one snapshot* (REPEATABLE READ) may read an older newest: ``previous`` is unique, so the database refuses
  the fork, and the operation writes its end again.
- *Somebody who writes past this module* has no number and no hash to give, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connections
from django.utils import timezone

from strangler.domain import chain, wire
from strangler.domain.chain import GENESIS, Head

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('strangler:receipts', 0))"
NEWEST = "SELECT id, hash FROM strangler_receipt ORDER BY id DESC LIMIT 1"
CLOCK = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""

SEALED = (
    "id",
    "operation",
    "context",
    "verb",
    "who",
    "why",
    "from_stage",
    "from_percent",
    "to_stage",
    "to_percent",
    "outcome",
    "verdicts",
    "proxies",
    "steps_ms",
    "pause_ms",
    "error",
)
"""The columns that are hashed, beside ``at``. A new column needs a new form of the content, or old receipts no longer hold."""


class Sealable(Protocol):
    """A receipt, also as a migration knows it."""

    id: int
    at: datetime
    previous: str
    hash: str


def content(receipt: Any) -> Mapping[str, Any]:
    """What is sealed: the columns as JSON holds them, the moment in UTC to the microsecond."""
    moment = receipt.at if timezone.is_aware(receipt.at) else timezone.make_aware(receipt.at)
    said = {name: getattr(receipt, name) for name in SEALED}
    said = {**said, "operation": str(receipt.operation), "at": wire.timestamp(moment.astimezone(UTC))}
    return dict(json.loads(json.dumps(said)))


def head(using: str) -> Head:
    """The newest receipt; number 0 before the first."""
    with connections[using].cursor() as cursor:
        cursor.execute(NEWEST)
        return Head(*(cursor.fetchone() or (0, GENESIS)))


def append(receipt: Sealable, using: str) -> None:
    """Gives the receipt its number, moment and hashes. To be called in the transaction that writes it, before it is written."""
    if connections[using].vendor == "postgresql":  # elsewhere there is one writer at a time
        with connections[using].cursor() as cursor:
            cursor.execute(LOCK)
            cursor.execute(CLOCK)
            receipt.at = datetime.fromisoformat(cursor.fetchone()[0])
    else:
        receipt.at = timezone.now()
    before = head(using)
    receipt.id, receipt.previous = before.id + 1, before.hash
    receipt.hash = chain.seal(receipt.previous, content(receipt))
