"""Runs DDL on tables that are in use: short waits for locks and retries, so that it never queues a site behind itself (P2)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db.utils import OperationalError

from strangler.errors import StranglerError
from strangler.sync.database import connection, port, sqlstate

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"


def run(
    statements: Sequence[str | Callable[[Any], None]],
    what: str,
    *,
    using: str | None = None,
    lock_timeout_ms: int = 200,
    patience_s: float = 30.0,
) -> None:
    """All statements, or functions of a cursor, in one transaction; again while locks are not to be had, ``patience_s`` in all.

    ``what`` names the subject for the message. Raises ``StranglerError`` when the patience is over. Inside a transaction of the
    caller it is tried once, because a failed statement has spoiled that transaction.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with port(using).writing(patience_ms=lock_timeout_ms) as cursor:
                for statement in statements:
                    if callable(statement):
                        statement(cursor)
                    else:
                        cursor.execute(statement)
            return
        except OperationalError as error:
            if sqlstate(error) not in (LOCK_NOT_AVAILABLE, DEADLOCK) or connection(using).in_atomic_block:
                raise
            if time.monotonic() >= deadline:
                raise StranglerError(
                    f"{what}: another transaction kept its lock for {patience_s:.0f} s; "
                    f"end it ({port(using).sessions}) and try again"
                ) from error
            time.sleep(random.uniform(0.02, 0.2))  # between tries others get the lock; jitter keeps two installers apart
