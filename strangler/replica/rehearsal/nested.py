"""A transaction one level below Django's: what a handler begins in it is a savepoint, what it commits is released, nothing stays.

A handler that runs in ``atomic()`` behaves otherwise than by itself: ``durable`` blocks are refused, ``commit()`` is forbidden,
an error in a block without a savepoint spoils all that follows. So Django is left to believe that the connection is in
autocommit, and what it asks of the driver is answered with savepoints. Interleavings and ways out that it stands:

- *A handler that commits*, by ``commit()``, by an ``atomic`` block, by autocommit: deferred constraints are checked, as a commit
  would; then the savepoint is released. ``on_commit`` functions are counted and dropped.
- *A statement that fails in autocommit* has a savepoint of its own and takes nothing else with it.
- *A handler that writes COMMIT, or PREPARE TRANSACTION, itself* is refused before it is sent. Were it sent all the same (by a
  cursor of the driver's), the deferred trigger on the outbox rolls everything back (``migrations.0010_rehearsal``), and what
  follows is in a transaction of the driver's again, which is rolled back here.
- *A handler that closes its connection* is not heeded: the next one would be a free one.
- *The process is killed*: the server rolls back what it was connected for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error, NotSupportedError

from strangler.sync.database import sqlstate

LOCK_MS, STATEMENT_MS, IDLE_MS, ALL_MS = 200, 5_000, 5_000, 10_000
LIMITS = {"lock_timeout": LOCK_MS, "statement_timeout": STATEMENT_MS, "idle_in_transaction_session_timeout": IDLE_MS}
"""Shorter than the second after which PostgreSQL looks for a deadlock: of a rehearsal and an apply, the rehearsal gives way."""
BUSY = ("55P03", "40P01", "57014", "25P04")
ENDS = re.compile(r"\s*(commit|end|abort|rollback(?!\s+to\b)|begin|start\s+transaction|prepare\s+transaction|discard)\b", re.I)
CONTROL = re.compile(r"\s*(savepoint|release|rollback)\b", re.I)
CHECKED = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.conname) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.condeferrable AND c.contype IN ('f', 'u', 'p', 'x') AND n.nspname = ANY(current_schemas(false))
"""
OVERRIDDEN = (
    "_set_autocommit",
    "_commit",
    "_rollback",
    "run_and_clear_commit_hooks",
    "close",
    "close_if_health_check_failed",
    "close_if_unusable_or_obsolete",
)


class Nested:
    """``with Nested(connection) as nested:`` everything on the connection is rolled back at the end of the block.

    ``busy``: another transaction held what the handler needed, or it took too long. ``dropped``: ``on_commit`` functions.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection, self.busy, self.dropped = connection, False, 0
        self._open: list[str] = []
        self._number = 0
        self._checked: str | None = None

    def __enter__(self) -> Nested:
        connection = self.connection
        connection.close_if_unusable_or_obsolete()
        connection.ensure_connection()
        connection._set_autocommit(False)  # the driver's; Django goes on believing in autocommit
        try:
            with connection.cursor() as cursor:
                limits = {**LIMITS, **({"transaction_timeout": ALL_MS} if connection.pg_version >= 170000 else {})}
                cursor.execute("SELECT " + ", ".join(f"set_config('{name}', '{ms}', true)" for name, ms in limits.items()))
        except BaseException:
            connection.close()
            raise
        for name in OVERRIDDEN:
            setattr(connection, name, getattr(self, name))
        self._wrapper = connection.execute_wrapper(self._execute)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._wrapper.__exit__(None, None, None)
        for name in OVERRIDDEN:
            delattr(self.connection, name)
        self.connection.run_on_commit, self.connection.in_atomic_block = [], False
        self.connection.savepoint_ids, self.connection.atomic_blocks, self.connection.needs_rollback = [], [], False
        try:
            if self.connection.connection is not None:
                self.connection.connection.rollback()
        finally:
            self.connection.close()  # not used again: nothing that the session has set is left

    # ---- savepoints of our own ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """What is done in the block is undone after it, in the same transaction."""
        name = self._savepoint()
        try:
            yield
        finally:
            self._open = self._open[: self._open.index(name)]
            self._run(f"ROLLBACK TO SAVEPOINT {name}")

    def _savepoint(self) -> str:
        self._number += 1
        name = f"strangler_{self._number}"
        self._run(f"SAVEPOINT {name}")
        self._open.append(name)
        return name

    def _run(self, sql: str) -> None:
        """Past Django's cursor, which would count it as the handler's."""
        with self.connection.wrap_database_errors, self.connection.connection.cursor() as cursor:
            cursor.execute(sql)

    # ---- in the place of the connection's own -----------------------------------------------------------------------

    def _set_autocommit(self, autocommit: bool) -> None:
        if not autocommit:
            self._savepoint()
        elif self._is_begun:
            self._release()

    def _commit(self) -> None:
        """Outside of a transaction there is nothing to commit. After one, the next begins, as in the driver."""
        if self._is_begun:
            self._check()
            self._release()
            self._savepoint()

    def _rollback(self) -> None:
        if self._is_begun:
            self._run(f"ROLLBACK TO SAVEPOINT {self._open[-1]}")

    @property
    def _is_begun(self) -> bool:
        return len(self._open) > 1  # the first is not the handler's

    def _release(self) -> None:
        self._run(f"RELEASE SAVEPOINT {self._open.pop()}")

    def run_and_clear_commit_hooks(self) -> None:
        self.dropped += len(self.connection.run_on_commit)
        self.connection.run_on_commit = []
        self.connection.run_commit_hooks_on_set_autocommit_on = False

    def close(self) -> None:
        """Not now."""

    close_if_health_check_failed = close_if_unusable_or_obsolete = close

    def _check(self) -> None:
        """Deferred constraints, as a commit checks them. All by name: the one that keeps a rehearsal from committing waits."""
        if self._checked is None:
            with self.connection.wrap_database_errors, self.connection.connection.cursor() as cursor:
                cursor.execute(CHECKED)
                self._checked = ", ".join(name for (name,) in cursor.fetchall())
        if self._checked:
            self._run(f"SET CONSTRAINTS {self._checked} IMMEDIATE")
            self._run(f"SET CONSTRAINTS {self._checked} DEFERRED")

    # ---- every statement of the handler -------------------------------------------------------------------------------

    def _execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = sql if isinstance(sql, str) else str(sql)
        if ENDS.match(text):
            raise NotSupportedError(f"a rehearsal never commits: {text.split(None, 1)[0].upper()} is refused")
        alone = self._open and not self.connection.in_atomic_block and self.connection.autocommit and not CONTROL.match(text)
        name = self._savepoint() if alone else ""
        try:
            result = execute(sql, params, many, context)
            if name:
                self._check()
        except Error as error:
            self.busy = self.busy or sqlstate(error) in BUSY
            if name:
                self._rollback()
                self._release()
            raise
        if name:
            self._release()
        return result
