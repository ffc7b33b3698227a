"""Operations in the monolith's database: one open at a time in an estate, each step a compare-and-swap on (step, token).

The holder's lease and all comparisons of time use the database's clock.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connections, transaction

from strangler import conf
from strangler.control import receipts
from strangler.control.errors import Busy
from strangler.control.models import Operation, Receipt
from strangler.control.saga import Running
from strangler.domain.stages import Position, Stage
from strangler.errors import LostLease

LEASE_S = 5.0
SUPERSEDED = "superseded"  # by a break-glass: set aside until the glass is broken

COLUMNS = "id, context, verb, from_stage, from_percent, to_stage, to_percent, step, token, undoing, who, why, error, data"
MINE = "id = %(id)s AND token = %(token)s AND finished_at IS NULL"

MOVE = f"""
    UPDATE strangler_operation
    SET step = %(following)s, data = data || %(data)s::jsonb, undoing = %(undoing)s,
        holder_until = now() + make_interval(secs => %(lease)s)
    WHERE {MINE} AND step = %(step)s
    RETURNING {COLUMNS}
"""
NOTE = f"""
    UPDATE strangler_operation
    SET error = CASE WHEN %(error)s = '' THEN error ELSE %(error)s END, data = data || %(data)s::jsonb
    WHERE {MINE}
    RETURNING {COLUMNS}
"""
TAKE = f"""
    UPDATE strangler_operation
    SET token = token + 1, holder = %(holder)s, holder_until = now() + make_interval(secs => %(lease)s)
    WHERE finished_at IS NULL AND (holder_until IS NULL OR holder_until < now() OR holder = %(dead)s)
    RETURNING {COLUMNS}
"""
SEIZE = f"""
    UPDATE strangler_operation
    SET token = token + 1, holder = %(holder)s, holder_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND finished_at IS NULL AND step = %(step)s
    RETURNING {COLUMNS}
"""
ASIDE = """
    outcome = %(outcome)s AND %(context)s IN (context, '')
    AND NOT EXISTS (SELECT 1 FROM strangler_receipt WHERE strangler_receipt.operation = strangler_operation.id)
"""
LOOK_ASIDE = f"SELECT {COLUMNS} FROM strangler_operation WHERE {ASIDE} FOR UPDATE"
TAKE_UP = f"""
    UPDATE strangler_operation
    SET finished_at = NULL, outcome = '', token = token + 1, holder = '', holder_until = now()
    WHERE {ASIDE}
"""
RENEW = f"UPDATE strangler_operation SET holder_until = now() + make_interval(secs => %(lease)s) WHERE {MINE}"
RELEASE = f"UPDATE strangler_operation SET holder_until = now() WHERE {MINE}"
GUARD = f"SELECT 1 FROM strangler_operation WHERE {MINE} FOR UPDATE"
RELOAD = f"SELECT {COLUMNS} FROM strangler_operation WHERE {MINE}"
FINISH = f"""
    UPDATE strangler_operation
    SET finished_at = now(), outcome = %(outcome)s, data = data || %(data)s::jsonb
    WHERE {MINE} AND step = %(step)s
    RETURNING {COLUMNS}
"""


def _running(row: tuple[Any, ...]) -> Running:
    identity, context, verb, from_stage, from_percent, to_stage, to_percent, step, token, undoing, who, why, error, data = row
    return Running(
        id=str(identity),
        context=context,
        verb=verb,
        at=Position.of(Stage(from_stage), from_percent),
        to=Position.of(Stage(to_stage), to_percent),
        step=step,
        token=token,
        undoing=undoing,
        who=who,
        why=why,
        error=error,
        data=json.loads(data) if isinstance(data, str) else data,
    )


def holder_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that is no more: then its lease need not be waited for."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def open_operation() -> Operation | None:
    return Operation.objects.using(conf.setting("DATABASE")).filter(finished_at__isnull=True).first()


def describe(operation: Operation) -> str:
    """An open operation in one phrase: what, by whom, where it is."""
    way = f"{operation.from_stage} → {operation.to_stage}"
    doing = "undoing, " if operation.undoing else ""
    return f"{operation.verb} {operation.context} ({way}) by {operation.who}, {doing}at step {operation.step}"


@dataclass
class DatabaseLedger:
    """``saga.Ledger`` over PostgreSQL."""

    lease_s: float = LEASE_S
    alias: str = field(default_factory=lambda: str(conf.setting("DATABASE")))

    # ---- begin and take over --------------------------------------------------------------------------------------

    def begin(
        self,
        *,
        context: str,
        verb: str,
        at: Position,
        to: Position,
        step: str,
        who: str,
        why: str,
        data: Mapping[str, Any] | None = None,
    ) -> Running:
        """A new operation, held by us. Raises ``Busy`` that names the one under way."""
        identity = uuid.uuid4()
        try:
            with transaction.atomic(using=self.alias):
                Operation.objects.using(self.alias).create(
                    id=identity,
                    context=context,
                    verb=verb,
                    from_stage=str(at.stage),
                    from_percent=at.percent,
                    to_stage=str(to.stage),
                    to_percent=to.percent,
                    step=step,
                    token=1,
                    holder=holder_name(),
                    who=who,
                    why=why,
                    data=dict(data or {}),
                )
                self._execute(RENEW, {"id": identity, "token": 1, "lease": self.lease_s})
        except IntegrityError as error:
            other = open_operation()
            said = describe(other) if other else "it ended this moment; repeat the command"
            raise Busy(f"{context}: another operation runs in this estate: {said}. See: strangler status") from error
        return Running(str(identity), context, verb, at, to, step, 1, who=who, why=why, data=dict(data or {}))

    def take(self) -> Running | None:
        """The open operation whose holder's lease is over, now ours under a higher token; None where there is none."""
        operation = open_operation()
        if operation is None:
            return None
        dead = operation.holder if _is_dead(operation.holder) else None
        row = self._fetch(TAKE, {"holder": holder_name(), "lease": self.lease_s, "dead": dead})
        return _running(row) if row else None

    def seize(self, operation: Operation) -> Running | None:
        """The operation under a higher token, from a holder that lives; None where it is not at that step any more."""
        said = {"id": operation.id, "step": operation.step, "holder": holder_name(), "lease": self.lease_s}
        row = self._fetch(SEIZE, said)
        return _running(row) if row else None

    # ---- set aside ------------------------------------------------------------------------------------------------

    def set_aside(self, running: Running, outcome: str) -> None:
        """It is over for now, without a receipt: ``end_aside`` writes that, or ``take_up`` goes on with it."""
        self._mine(FINISH, running, outcome=outcome, data="{}")

    def end_aside(self, context: str, outcome: str) -> None:
        """Its receipt; to be called in the transaction that makes it impossible to go on with it."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(LOOK_ASIDE, {"context": context, "outcome": outcome})
            for row in cursor.fetchall():
                receipts.write(_running(row), outcome, using=self.alias)

    def take_up(self) -> bool:
        """What was set aside is open again, held by nobody, as soon as nothing else is. Gives whether there was something."""
        try:
            with transaction.atomic(using=self.alias):
                return bool(self._execute(TAKE_UP, {"context": "", "outcome": SUPERSEDED}))
        except IntegrityError:
            return False  # another one is open: later

    # ---- saga.Ledger ----------------------------------------------------------------------------------------------

    def move(self, running: Running, step: str, data: Mapping[str, Any]) -> Running:
        return self._mine(MOVE, running, following=step, undoing=running.undoing, data=json.dumps(data), lease=self.lease_s)

    def turn_back(self, running: Running, step: str, error: str) -> Running:
        data = json.dumps({"failed_at": running.step})
        return self._mine(MOVE, running, following=step, undoing=True, data=data, lease=self.lease_s)

    def note(self, running: Running, *, error: str = "", data: Mapping[str, Any] | None = None) -> Running:
        return self._mine(NOTE, running, error=error, data=json.dumps(data or {}))

    def reload(self, running: Running) -> Running:
        return self._mine(RELOAD, running)

    def release(self, running: Running) -> None:
        self._execute(RELEASE, {"id": running.id, "token": running.token})

    def finish(self, running: Running, outcome: str, data: Mapping[str, Any]) -> Receipt:
        """The end of the operation and its receipt, in one transaction."""
        with transaction.atomic(using=self.alias):
            finished = self._mine(FINISH, running, outcome=outcome, data=json.dumps(data))
            return receipts.write(finished, outcome, using=self.alias)

    @contextmanager
    def guard(self, running: Running) -> Iterator[None]:
        with transaction.atomic(using=self.alias):
            if self._fetch(GUARD, {"id": running.id, "token": running.token}) is None:
                raise LostLease(f"{running.context}: operation {running.id} was taken over by another process")
            yield

    # ---- SQL ------------------------------------------------------------------------------------------------------

    def _mine(self, sql: str, running: Running, **params: Any) -> Running:
        row = self._fetch(sql, {"id": running.id, "token": running.token, "step": running.step, **params})
        if row is None:
            raise LostLease(f"{running.context}: operation {running.id} was taken over by another process")
        return _running(row)

    def _fetch(self, sql: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, params)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row

    def _execute(self, sql: str, params: Mapping[str, Any]) -> int:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)


class Heartbeat:
    """Renews the lease from a thread of its own while the operation is driven. Ends with the block, or when it was lost."""

    def __init__(self, ledger: DatabaseLedger, running: Running) -> None:
        self._ledger, self._running = ledger, running
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="strangler-lease", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        connection = connections[self._ledger.alias].copy()
        sql = RENEW
        try:
            while not self._stop.wait(self._ledger.lease_s / 4):
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(sql, {"id": self._running.id, "token": self._running.token, "lease": self._ledger.lease_s})
                        if cursor.rowcount == 0:
                            return
                except Exception:  # the database is away: try again until the lease is over by itself
                    connection.close()
        finally:
            connection.close()
