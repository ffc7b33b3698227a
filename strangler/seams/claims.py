"""Which side a unit of work writes to (P17): fixed for the transaction by the context's advisory lock, taken shared.

A change of owner takes that lock exclusively (P10, P15), so it waits for claimed transactions, and a claim never sees an owner
that changes before its commit. Where the owner is ``none`` a claim gives the lock back: it waits without holding up the hand-over
that it waits for (``databases.port.Database.claim``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError, ProgrammingError

from strangler import conf
from strangler.errors import Fenced
from strangler.seams import rehearsing
from strangler.seams.errors import OutsideTransaction
from strangler.sync import databases
from strangler.sync.database import sqlstate
from strangler.sync.lock import lock_key

READ = "SELECT epoch, owner FROM strangler_ownership WHERE context = %s"
PAUSE_S = 0.005


class Claim(StrEnum):
    """Where a write of the context goes from here."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True)
class Owner:
    """The local ownership row, as read. ``here`` is this side's name."""

    context: str
    epoch: int
    owner: str
    here: str

    @property
    def undecided(self) -> bool:
        return self.owner == "none"

    @property
    def claim(self) -> Claim:
        return Claim.LOCAL if self.owner == self.here else Claim.REMOTE


def timeout_s() -> float:
    """How long a unit of work waits while nobody owns the context: ``STRANGLER_CLAIM_TIMEOUT``, seconds."""
    return float(getattr(settings, "STRANGLER_CLAIM_TIMEOUT", 2.0))


class Busy:
    """The lock is held exclusively, or that is waited for: a change of owner is under way."""


def claim(context: str, *, wait_s: float | None = None) -> Claim:
    """Fix the side for this transaction until its commit or rollback. Call it first, inside ``atomic``.

    Waits while the owner is ``none``, up to ``wait_s`` or ``STRANGLER_CLAIM_TIMEOUT`` (2 s), then raises ``Fenced``. A context
    that is not installed is local. Raises ``OutsideTransaction``.
    """
    connection = _connection()
    if not connection.in_atomic_block:
        raise OutsideTransaction(context)
    return _wait(context, lambda: _locked(connection, context), timeout_s() if wait_s is None else wait_s)


def resolve(context: str) -> Claim:
    """The side as it is now, without a lock; waits while the owner is ``none``. For calls outside a transaction."""
    return _wait(context, lambda: read(context), timeout_s())


def read(context: str) -> Owner | None:
    """The local ownership row, or None where the context is not installed here."""
    connection = _connection()
    if not _installed():
        return None
    try:
        if not connection.in_atomic_block:
            return _select(connection, context)
        with transaction.atomic(using=connection.alias):
            return _select(connection, context)
    except (
        ProgrammingError,
        OperationalError,
    ) as error:  # the tables are not there: before the first migrate, or after an uninstall
        if sqlstate(error) != "42P01":
            raise
        return None


def _wait(context: str, look: Callable[[], Owner | Busy | None], wait_s: float) -> Claim:
    if conf.side() == "service" and context != conf.setting("CONTEXT"):
        return Claim.REMOTE
    if rehearsing.of(context):
        return Claim.LOCAL
    deadline = time.monotonic() + wait_s
    while True:
        found = look()
        if found is None:
            return Claim.LOCAL
        if isinstance(found, Owner) and not found.undecided:
            return found.claim
        if time.monotonic() >= deadline:
            raise Fenced(context, getattr(found, "owner", ""), getattr(found, "epoch", 0))
        time.sleep(PAUSE_S)


def _locked(connection: BaseDatabaseWrapper, context: str) -> Owner | Busy | None:
    """The owner, read under the shared lock (P15), which is kept only if somebody owns."""
    if connection.vendor not in databases.SUPPORTED or not _installed():
        return None
    if (held := _held(connection).get(context)) is not None:
        return held
    claimed = databases.of(connection).claim(context, lock_key(context))
    if claimed is None:
        return None
    if not claimed.locked:
        return Busy()
    found = Owner(context, claimed.epoch, claimed.owner, conf.side())
    if not found.undecided:
        _held(connection)[context] = found
    elif claimed.is_final:
        raise Fenced(context, found.owner, found.epoch)  # this transaction would never see who comes next
    return found


def _held(connection: BaseDatabaseWrapper) -> dict[str, Owner]:
    """What this transaction has claimed. Forgotten with its commit, and with any rollback, which may have given back the lock.

    Django makes a new list of the functions to run on commit exactly then; not where somebody else commits.
    """
    if not connection.commit_on_exit:
        return {}
    known = getattr(connection, "strangler_claims", None)
    if known is None or known[0] is not connection.run_on_commit:
        known = connection.strangler_claims = (connection.run_on_commit, {})  # type: ignore[attr-defined]
    return known[1]  # type: ignore[no-any-return]


def _select(connection: BaseDatabaseWrapper, context: str) -> Owner | None:
    with connection.cursor() as cursor:
        cursor.execute(READ, [context])
        row = cursor.fetchone()
    return Owner(context, row[0], row[1], conf.side()) if row else None


def _connection() -> BaseDatabaseWrapper:
    return connections[conf.setting("DATABASE")]


def _installed() -> bool:
    return apps.is_installed("strangler")
