"""Which writes were committed together.

Django's cursors see savepoints, as statements: what is rolled back to one did not happen. They don't see the end of a
transaction, which is a call of the driver: each connection tells of its ``_commit``, ``_rollback`` and ``_close``. A transaction
that a test case has opened around a test is none; there the outermost block below it is the transaction, and ``watch_blocks``
sees its end. The idea is that of GitLab's ``prevent_cross_database_modification``, which reads ``BEGIN`` and ``COMMIT`` instead.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic, get_connection

from strangler.analysis.runtime.sites import NOBODY, Site
from strangler.analysis.usage.tally import Seen, Together
from strangler.analysis.usage.units import Unit

MOST = 256  # different writes of one transaction
ATTRIBUTE = "strangler_transaction"
NAME = re.compile(r'"(?:[^"]|"")+"|[^\s;"]+')
MANUAL = object()  # autocommit is off: from one commit to the next


class Transaction:
    """Writes in order, with the stack of each. ``block``: the outermost ``atomic``, ``MANUAL``, or None for a literal BEGIN."""

    __slots__ = ("block", "marks", "unit", "writes")

    def __init__(self, block: object, unit: Unit) -> None:
        self.block, self.unit = block, unit
        self.writes: dict[Seen, tuple[Site, ...]] = {}
        self.marks: dict[str, int] = {}

    def add(self, seen: Seen, stack: Callable[[], tuple[Site, ...]]) -> None:
        """A loop of the same statements is one. Those beyond what there is room for are most likely alike."""
        if seen not in self.writes and len(self.writes) < MOST:
            self.writes[seen] = stack()

    def mark(self, savepoint: str) -> None:
        self.marks.pop(savepoint, None)  # the newest of that name counts
        self.marks[savepoint] = len(self.writes)

    def release(self, savepoint: str) -> int:
        """It and those within are forgotten; how many writes there were. One that is not known was set before the first."""
        if savepoint not in self.marks:
            return 0
        while True:
            name, kept = self.marks.popitem()
            if name == savepoint:
                return kept

    def back_to(self, savepoint: str) -> None:
        is_known = savepoint in self.marks
        kept = self.release(savepoint) if is_known else 0
        for write in list(self.writes)[kept:]:
            del self.writes[write]
        if is_known:
            self.mark(savepoint)  # it can be gone back to again
        else:
            self.marks.clear()


def watch(connection: BaseDatabaseWrapper) -> None:
    """Called for each new connection of the wrapper, which is the same one; idempotent."""
    drop(connection)
    known: Any = connection
    if "_commit" in vars(connection):
        return
    known._commit = _after(known._commit, functools.partial(settle, connection))
    known._rollback = _after(known._rollback, functools.partial(drop, connection))
    known._close = _after(known._close, functools.partial(drop, connection))


def _after(original: Callable[[], Any], then: Callable[[], None]) -> Callable[[], Any]:
    def call() -> Any:
        answer = original()
        then()
        return answer

    return call


def watch_blocks() -> None:
    """For tests, in which a transaction may end without the driver's knowing: it lies in one of the test case's. Idempotent."""
    if not hasattr(Atomic.__exit__, "strangler_original"):
        Atomic.__exit__ = _exit(Atomic.__exit__)  # type: ignore[method-assign]


def _exit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def leave(self: Atomic, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        connection: Any = get_connection(self.using)
        is_kept = exc_type is None and not connection.needs_rollback
        try:
            return original(self, exc_type, exc_value, traceback)
        except BaseException:
            is_kept = False
            raise
        finally:
            current = getattr(connection, ATTRIBUTE, None)
            if current is not None and current.block is self and self not in connection.atomic_blocks:
                (settle if is_kept else drop)(connection)

    leave.strangler_original = original  # type: ignore[attr-defined]
    return leave


def wrote(connection: BaseDatabaseWrapper, unit: Unit, seen: Seen, stack: Callable[[], tuple[Site, ...]]) -> None:
    """A statement that may write has run."""
    current = _current(connection, unit)
    if current is not None:
        current.add(seen, stack)
    elif _is_several(seen.sql):
        _note(unit, {seen: stack()})


def _current(connection: Any, unit: Unit) -> Transaction | None:
    """The open one, made where there is none yet; None where each statement is its own."""
    known: Transaction | None = getattr(connection, ATTRIBUTE, None)
    block = _block(connection)
    if known is not None and (known.block is None or known.block is block):
        return known
    if known is not None:  # its end was not seen
        settle(connection)
    if block is None:
        return None
    connection.strangler_transaction = opened = Transaction(block, unit)
    return opened


def _block(connection: Any) -> object | None:
    if not connection.autocommit and not (connection.in_atomic_block and connection.commit_on_exit):
        return MANUAL
    return next((block for block in connection.atomic_blocks if not block._from_testcase), None)


def control(connection: Any, unit: Unit, sql: str) -> None:
    """A statement that begins or ends a transaction or a savepoint has run."""
    words = [word.strip('"') for word in NAME.findall(sql)]
    verb, known = words[0].upper() if words else "", getattr(connection, ATTRIBUTE, None)
    if verb in ("BEGIN", "START"):
        if connection.autocommit and connection.vendor != "sqlite":  # where Django itself says BEGIN, for an ``atomic`` too
            connection.strangler_transaction = Transaction(None, unit)
    elif known is None:
        return
    elif verb == "SAVEPOINT":
        known.mark(words[-1])
    elif verb == "RELEASE":
        known.release(words[-1])
    elif verb == "ROLLBACK" and "TO" in map(str.upper, words):
        known.back_to(words[-1])
    elif known.block is None and verb in ("COMMIT", "END"):
        settle(connection)
    elif known.block is None and verb in ("ROLLBACK", "ABORT"):
        drop(connection)


def settle(connection: Any) -> None:
    """It is committed."""
    current: Transaction | None = getattr(connection, ATTRIBUTE, None)
    if current is not None:
        drop(connection)
        if len(current.writes) > 1 or any(_is_several(seen.sql) for seen in current.writes):
            _note(current.unit, current.writes)


def drop(connection: Any) -> None:
    connection.strangler_transaction = None


def _is_several(sql: str) -> bool:
    """Whether one statement may write several tables, as WITH and TRUNCATE do."""
    return not sql[:6].upper().startswith(("INSERT", "UPDATE", "DELETE"))


def _note(unit: Unit, writes: dict[Seen, tuple[Site, ...]]) -> None:
    unit.note(Together(frozenset(writes), common(writes.values())))


def common(stacks: Iterable[tuple[Site, ...]]) -> Site:
    """The innermost code that all of them ran in."""
    shared: list[Site] = []
    for level in zip(*stacks, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return shared[-1] if shared else NOBODY
