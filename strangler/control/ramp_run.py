"""The row of a context's ramp, and who may move the context: a person or the ramp, never both.

- Every change of the row is a compare-and-swap on its token, so of two ticks, or a tick and a person, one comes too late and does
  nothing. The ramp's operation begins in the transaction that changes the row: no step begins after a hold was answered.
- Operations begin, and ramps start and go on, one after the other (``entry``): an advance by hand and a ramp can't pass each
  other unseen. An advance is refused while a ramp runs; a way back never is, and holds the ramp first.
- ``reason`` of a run that is held or stands aside stays what the person said who did that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from strangler import conf
from strangler.control.errors import Busy
from strangler.control.ledger import describe, open_operation
from strangler.control.models import RampRun
from strangler.control.saga import Running
from strangler.domain import ramp
from strangler.domain.ramp import Run, State
from strangler.errors import LostLease
from strangler.sync.lock import entry_key

ACTIVE = tuple(str(state) for state in State if state.is_active)


def alias() -> str:
    return str(conf.setting("DATABASE"))


# ---- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """The row and what the database's clock said when it was read, in seconds since the epoch."""

    row: RampRun
    now: float

    @property
    def run(self) -> Run:
        row = self.row
        return Run(
            at=row.percent,
            target=row.target,
            state=State(row.state),
            good=tuple(row.good),
            good_since=row.good_since.timestamp() if row.good_since else None,
            seen_at=row.seen_at.timestamp() if row.seen_at else None,
            backs=row.backs,
            risen=row.risen,
            why=row.reason,
        )

    @property
    def who(self) -> str:
        return f"ramp (started by {self.row.who})"


def load(context: str) -> Row | None:
    found = RampRun.objects.using(alias()).annotate(clock=Now()).filter(context=context).first()
    return Row(found, found.clock.timestamp()) if found else None


def active() -> list[str]:
    return list(RampRun.objects.using(alias()).filter(state__in=ACTIVE).order_by("context").values_list("context", flat=True))


def sentence(row: RampRun) -> str:
    """``a ramp by ada (canary 5 % → canary 100 %)``, for whom it stands in the way."""
    return f"a ramp by {row.who} ({ramp.position(row.percent)} → {ramp.position(row.target)})"


# ---- changing -----------------------------------------------------------------------------------------------------


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def fields(run: Run) -> dict[str, Any]:
    return {
        "percent": run.at,
        "state": str(run.state),
        "good": list(run.good),
        "good_since": moment(run.good_since),
        "seen_at": moment(run.seen_at),
        "backs": run.backs,
        "risen": run.risen,
    }


def change(seen: Row, *, within_s: float | None = None, **changes: Any) -> None:
    """The row as ``seen``, changed. Raises ``LostLease`` where somebody else has changed it, or ``within_s`` of that are over."""
    rows = RampRun.objects.using(alias()).filter(context=seen.row.context, token=seen.row.token)
    if within_s is not None:
        rows = rows.annotate(clock=Now()).filter(clock__lte=moment(seen.now + within_s))
    if not rows.update(token=F("token") + 1, **changes):
        raise LostLease(f"{seen.row.context}: the ramp was changed by somebody else just now")


# ---- a person or the ramp -----------------------------------------------------------------------------------------


@contextmanager
def entry(context: str) -> Iterator[None]:
    """A transaction in which nobody else begins to move the context, or lets a ramp move it."""
    with transaction.atomic(using=alias()):
        with connections[alias()].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [entry_key(context)])
        yield


def by_hand(context: str, begin: Callable[[], Running], *, forward: bool) -> Running:
    """Begins a person's operation. Raises ``Busy`` for a way forward while a ramp runs."""
    with entry(context):
        row = RampRun.objects.using(alias()).filter(context=context, state=State.RUNNING).first()
        if row is not None and forward:
            raise Busy(
                f"{context}: {sentence(row)} runs and takes the steps: hold it first: strangler ramp hold {context};"
                " a rollback needs no hold"
            )
        return begin()


def put(context: str, state: State, reason: str, *, out_of: tuple[State, ...]) -> bool:
    """Whether it was in one of these states; from now on it is in the other, and begins nothing that this one does not allow.

    An operation of its own that is under way comes to its end.
    """
    rows = RampRun.objects.using(alias()).filter(context=context, state__in=out_of)
    return bool(rows.update(state=state, reason=reason, next_at=None, token=F("token") + 1))


def operation_of(context: str) -> str:
    """The ramp's own operation that is under way, in a phrase; nothing where there is none."""
    operation = open_operation()
    mine = operation is not None and RampRun.objects.using(alias()).filter(context=context, operation=operation.id).exists()
    return describe(operation) if operation is not None and mine else ""
