"""The port to a database: what the sync engine needs of it, named by what it means.

Statements are shared where databases differ by an expression only (``Statement``). Where they differ in structure the port has
a method. To add a database, say MySQL: subclass ``Database``, give every abstract method and word, and name the class in
``databases.of``. What an implementation must guarantee:

- *Capture (P1).* Every committed write of a mirrored table, by whatever program, leaves the keys that it touched in
  ``strangler_outbox``, in its own transaction, for each stream that subscribes. (MySQL: row triggers. InnoDB's cascades fire
  none, so foreign keys with actions between mirrored tables are to be refused.)
- *Ids (P6).* Those of pointers are never given twice. (InnoDB before 8.0 forgets its counter with a restart.)
- *Counters (P6, P23).* ``draw`` gives numbers that rise in the order of their commits; ``position`` is the last that was drawn.
- *Snapshot (P6).* All statements in ``snapshot`` see one committed instant, that of the first one.
- *Durable (P7).* When a ``durable`` write has committed, all that it or its transaction can have read is on disk.
- *Origin (P5).* ``enter`` marks the transaction, and nothing but it, for capture and fence, whatever happens. (MySQL: a row that
  only this transaction sees, as in SQLite; a session's variable would outlive a rollback.)
- *Apply (P9).* In ``applying`` foreign keys need not hold and the user's triggers don't fire, but the product's do.
- *Locks (P10, P15).* Shared and exclusive ones last to the transaction's end and exclude each other; what is read in a later
  statement is newer than the lock. (MySQL: rows of a table, ``FOR SHARE`` and ``FOR UPDATE``; ``GET_LOCK`` knows no transaction.)
- *Fence (P15).* A write on a side that is not the owner fails with the SQLSTATE ``SF001``, and an old snapshot never passes it.
- *Identity (P16).* Names this very copy of the data: a restored or failed-over one has another name.
- *Errors.* SQLSTATEs (ISO 9075) for the conditions that are told apart: 22xxx and 23xxx (values and rows that are not taken),
  23505 (unique), 40001 (serialization), 40P01 (deadlock), 42P01 and 42703 (no such table, column), 55P03 (lock not to be had).
- *Wire.* Keys and rows give the wire values of ``domain.wire``, so that the digests of two databases agree.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper

from strangler.domain import wire

if TYPE_CHECKING:
    from strangler.sync.collections import Collection
    from strangler.sync.columns import Column
    from strangler.sync.loose_keys import Key

MARKER, FEED = "marker", "feed"  # the two counters


@dataclass(frozen=True)
class Statement:
    """SQL with words of the port in braces: ``{now}``, or ``{later:%s}`` for one that takes an expression, ``{greatest:a; b}``
    for two; they may be nested. It always runs with parameters, so ``%`` is written ``%%``."""

    text: str


@dataclass(frozen=True)
class Claimed:
    """What a claim found. Not ``locked``: a change of owner is under way. ``is_final``: this transaction sees no later owner."""

    locked: bool
    epoch: int = 0
    owner: str = "none"
    is_final: bool = False


WORD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")


class Database(ABC):
    """The port to one connection's database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @classmethod
    @functools.cache
    def render(cls, statement: str | Statement) -> str:
        """The statement's SQL for this database."""
        if isinstance(statement, str):
            return statement
        text, is_left = statement.text, 1
        while is_left:  # from the inside out
            text, is_left = WORD.subn(cls._word, text)
        return text

    @classmethod
    def _word(cls, found: re.Match[str]) -> str:
        word, expressions = found.groups()
        meaning = getattr(cls, word)
        return str(meaning if expressions is None else meaning(*expressions.split("; ")))

    sessions: ClassVar[str]  # how an operator finds who holds a lock, in words

    digests: ClassVar[ModuleType | None]  # what makes digests in the process; None where the database itself does (``digest``)

    # ---- the words of statements

    now: ClassVar[str]  # the time of this statement, by the database's clock
    for_update: ClassVar[str]  # at the end of a SELECT: nobody changes these rows before the transaction ends
    skip_locked: ClassVar[str]  # the same, without the rows that another has
    numbered: ClassVar[str]  # a condition that is true, and gives this transaction its number (``horizon``)
    oldest_running: ClassVar[str]  # the number of the oldest transaction that this snapshot does not see the end of
    lazily: ClassVar[str]  # a condition that is true, and lets the commit not wait for the disk where that can be chosen
    durably: ClassVar[str]  # a condition that is true, and makes the commit wait for it; see ``durable``

    @staticmethod
    @abstractmethod
    def later(seconds: str) -> str:
        """The moment that is so many seconds from now."""

    @staticmethod
    @abstractmethod
    def since(moment: str) -> str:
        """The seconds from a moment until now."""

    @staticmethod
    @abstractmethod
    def between(start: str, end: str) -> str:
        """The seconds from one moment to another."""

    @staticmethod
    @abstractmethod
    def text(json: str) -> str:
        """A JSON column as text."""

    @staticmethod
    @abstractmethod
    def json(param: str) -> str:
        """A text as a value of a JSON column."""

    @staticmethod
    @abstractmethod
    def json_length(array: str) -> str:
        """How many elements an array in a JSON column has."""

    @staticmethod
    @abstractmethod
    def skip_locked_of(table: str) -> str:
        """``skip_locked``, of one table of a join."""

    @staticmethod
    @abstractmethod
    def integer(param: str) -> str:
        """A parameter that is a whole number or NULL."""

    @staticmethod
    @abstractmethod
    def begins(text: str, start: str) -> str:
        """The text begins so."""

    @staticmethod
    @abstractmethod
    def limit(param: str) -> str:
        """At the end of a SELECT: at most so many rows, all where the parameter is NULL."""

    @staticmethod
    @abstractmethod
    def pointer_bytes(row: str) -> str:
        """About how many bytes a row of the outbox takes."""

    @staticmethod
    @abstractmethod
    def among(param: str) -> str:
        """A comparison, to stand after an expression: it is in the list that is the parameter."""

    @staticmethod
    @abstractmethod
    def each(param: str, name: str = "k") -> str:
        """A table with the one column ``name``: the texts in the list that is the parameter."""

    @staticmethod
    @abstractmethod
    def greatest(*parts: str) -> str: ...

    @staticmethod
    @abstractmethod
    def least(*parts: str) -> str: ...

    @staticmethod
    @abstractmethod
    def position_of(counter: str) -> str:
        """The last number that was drawn from the counter."""

    @staticmethod
    @abstractmethod
    def on_wire(moment: str) -> str:
        """A column that is a moment, as text of RFC 3339 in UTC with six digits and ``Z``."""

    @staticmethod
    @abstractmethod
    def moment(param: str) -> str:
        """The moment that such a text is."""

    @staticmethod
    @abstractmethod
    def same(one: str, other: str) -> str:
        """Both are equal, or both NULL."""

    @staticmethod
    @abstractmethod
    def object_of(name: str, value: str, table: str) -> str:
        """The rows of a table as one JSON object, as text."""

    @staticmethod
    @abstractmethod
    def zipped(columns: str) -> str:
        """``u(a, b)``: a table ``u`` of the text columns ``a`` and ``b``; its parameters are what ``zip`` makes of its rows."""

    @staticmethod
    @abstractmethod
    def array_of(query: str) -> str:
        """The one column of a query as one value; see ``unlisted``."""

    # ---- parameters and results

    @abstractmethod
    def zip(self, table: Sequence[Sequence[str]]) -> list[Any]:
        """The parameters of a ``zipped`` table, from its rows."""

    @abstractmethod
    def unlisted(self, value: Any) -> list[Any]:
        """What ``array_of`` gave."""

    @abstractmethod
    def adapted(self, params: Any) -> Any:
        """Parameters, a sequence or a mapping, as the driver takes them; a list among them is one parameter."""

    # ---- counters

    @abstractmethod
    def draw(self, counter: str, *, lazily: bool = False) -> int:
        """The next number; greater than all before. ``lazily``, outside a transaction: its commit may come to disk later."""

    @abstractmethod
    def position(self, counter: str) -> int:
        """The last number that was drawn."""

    @abstractmethod
    def raise_to(self, counter: str, number: int) -> None:
        """Go on above ``number``, which is greater than the position."""

    @abstractmethod
    def assign_positions(self, cursor: Any, stream: str) -> list[tuple[str, str | None]]:
        """Positions from the counter ``feed`` for pointers that have none, in order of id; (collection, key) of each."""

    @abstractmethod
    def horizon(self) -> tuple[int, int]:
        """The greatest id of the outbox that was drawn so far, and then a transaction number: whoever drew one of those ids has
        a smaller one (P14)."""

    # ---- transactions

    @abstractmethod
    def writing(
        self, *, lock: int | None = None, patience_ms: int | None = None, durable: bool = False
    ) -> AbstractContextManager[Any]:
        """A cursor in a transaction that writes, or in a part of the caller's.

        ``lock``: is taken exclusively first. ``patience_ms``: how long to wait for that one, or for any without it, before
        55P03. ``durable``: the commit waits for the disk (P7).
        """

    @abstractmethod
    def at_once(self) -> AbstractContextManager[Any]:
        """A cursor for a method below that says so: no transaction where the database needs none to write several tables."""

    @abstractmethod
    def snapshot(self, *, by_index: bool = False) -> AbstractContextManager[Any]:
        """A cursor in a transaction of its own that only reads, and sees one instant: that of its first statement (P6).

        Values come as the same text whatever the session's settings. ``by_index``: every plan goes along an index."""

    @abstractmethod
    def durable(self) -> AbstractContextManager[None]:
        """Around a single write outside a transaction: it returns when it is on disk, and all that was visible to it (P7)."""

    @abstractmethod
    def lock_shared(self, cursor: Any, key: int) -> None: ...

    @abstractmethod
    def lock_exclusive(self, cursor: Any, key: int) -> None: ...

    @abstractmethod
    def holders(self, key: int) -> str:
        """Who holds the lock, in words."""

    @abstractmethod
    def identity(self) -> tuple[str, int]:
        """Which copy of the data this is: a name and a number that change with a fail-over or a restore (P16)."""

    # ---- the relay

    @abstractmethod
    def acknowledge(self, cursor: Any, said: Mapping[str, Any]) -> bool:
        """In ``at_once`` or ``writing``: check the token, raise the marker, delete the pointers, keep the round (P6). False: the
        token is another's, and nothing was done. ``said``: stream, token, marker, round, changes, oldest, ids."""

    @abstractmethod
    def open_transactions(self) -> list[str]:
        """Names of those that are open now and may yet write with a snapshot from before (P13)."""

    @abstractmethod
    def still_open(self, transactions: Sequence[str]) -> str:
        """Which of them are not over, in words; '' if all are."""

    @abstractmethod
    def estimate(self, collection: Collection) -> int:
        """About how many rows the table has, partitions included."""

    @abstractmethod
    def give_up(self, said: Mapping[str, Any]) -> bool:
        """At once: the stream is broken, its token rises, its subscriptions and backfills go (P4); False if it was.

        ``said``: stream, reason, token (None: whatever it is), floor (of a reverse stream; a feed's is drawn)."""

    @abstractmethod
    def freeze_subscriptions(self, cursor: Any) -> None:
        """Nobody subscribes before this transaction ends."""

    @abstractmethod
    def rows_of(
        self, cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
    ) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
        """(collection, key) → the row's wire values as JSON text, and its columns that hold a JSON null, for those that exist."""

    @abstractmethod
    def rows_after(
        self, cursor: Any, collection: Collection, last: str | None, limit: int
    ) -> list[tuple[str, str, list[str] | None]]:
        """(key, wire values as JSON text, columns that hold a JSON null) of the next rows in order of the key."""

    @abstractmethod
    def rows_in(
        self, cursor: Any, collection: Collection, tail: str, params: Sequence[Any]
    ) -> list[tuple[str, str, list[str] | None]]:
        """The same, of the rows ``t`` that ``tail`` selects, in its order."""

    # ---- applying (P5, P8, P9)

    @abstractmethod
    def applying(self) -> AbstractContextManager[Any]:
        """A cursor in a durable transaction of its own, in which foreign keys need not hold."""

    @abstractmethod
    def enter(self, cursor: Any, origin: str, mirrored: Sequence[Collection], locks: Sequence[tuple[int, bool]]) -> None:
        """In ``applying``: from now on what this transaction writes is of ``origin``, and users' triggers of these tables do not
        fire. Takes the locks (key, whether exclusively) in their order."""

    @abstractmethod
    def make_durable(self, cursor: Any) -> None:
        """In ``applying``, also without ``enter``: this transaction's commit waits for the disk."""

    @abstractmethod
    def raise_versions(self, cursor: Any, said: Mapping[str, Any]) -> set[str] | None:
        """Store the version of these keys where it is greater than the stored one; the keys where it was, None: all of them.

        ``said``: collection, floor, epoch, token, round, keys, upserts; the keys behind the first ``upserts`` are deletes.
        """

    @abstractmethod
    def upsert(
        self, cursor: Any, collection: Collection, columns: Sequence[Column], records: Sequence[Mapping[str, wire.Json]]
    ) -> None:
        """Insert rows or overwrite those with their keys; of each row these columns. Raises ``DatabaseError`` with an SQLSTATE of
        class 22 or 23 for what is not taken."""

    @abstractmethod
    def leave(self, cursor: Any) -> None:
        """The rest of the transaction writes as anybody does."""

    # ---- seams

    @abstractmethod
    def claim(self, context: str, key: int) -> Claimed | None:
        """Fix the owner of the context for the caller's transaction (P17); None where there is nothing to claim."""

    # ---- tables

    @abstractmethod
    def advice(self) -> list[tuple[str, str]]:
        """What of the database's configuration is in the way, and the remedy; for the system check."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether there is one of the product's tables."""

    @abstractmethod
    def columns(self, bare: Collection) -> Sequence[Column]:
        """The columns of the table, in order; none where there is no such table. ``bare`` has names, but no columns yet."""

    @abstractmethod
    def unique_keys(self, bare: Collection) -> list[tuple[str, ...]]:
        """Sets of columns that identify a row, none nullable, the primary key first."""

    @abstractmethod
    def check_table(self, bare: Collection) -> tuple[str, ...]:
        """The leaves of a partitioned table. Raises ``Misconfigured`` where writes to it can pass by its triggers."""

    @abstractmethod
    def collection(
        self,
        name: str,
        context: str,
        table: str,
        key: tuple[Column, ...],
        columns: tuple[Column, ...],
        partial: bool,
        leaves: tuple[str, ...],
    ) -> Collection:
        """A collection that speaks this database's SQL. Raises ``Misconfigured`` for a key that it can't carry."""

    # ---- capture (P1) and fence (P15)

    @abstractmethod
    def capture_statements(self, collection: Collection) -> list[str]:
        """DDL that puts capture in place, or in its newest form where there is an older one."""

    @abstractmethod
    def is_captured(self, collection: Collection) -> bool:
        """Whether all of it is there, always fires, and is of this version."""

    @abstractmethod
    def is_any_captured(self, collection: Collection) -> bool:
        """Whether there is anything to remove."""

    @abstractmethod
    def uncapture(self, collection: Collection) -> None: ...

    @abstractmethod
    def prune_captures(self) -> None:
        """Remove what is left of tables that are gone or have another name."""

    @abstractmethod
    def uncapture_all(self) -> None: ...

    @abstractmethod
    def fence_preamble(self) -> list[str]:
        """DDL that all fences need, once."""

    @abstractmethod
    def fence_statements(self, collection: Collection, context: str, side: str) -> list[str]: ...

    @abstractmethod
    def is_fenced(self, collection: Collection, context: str, side: str) -> bool: ...

    @abstractmethod
    def is_any_fenced(self) -> bool: ...

    @abstractmethod
    def unfence(self, collection: Collection) -> None: ...

    @abstractmethod
    def unfence_all(self) -> None: ...

    # ---- constraints (P9, P25)

    @abstractmethod
    def crossing_keys(self, own: Sequence[Collection]) -> list[Key]:
        """The foreign keys of which exactly one end is one of these tables."""

    @abstractmethod
    def loosen(self, context: str, key: Key) -> None:
        """Keep the key in ``strangler_loose_key`` and drop its constraint, in one transaction."""

    @abstractmethod
    def tighten(self, table: str, name: str, definition: str) -> None:
        """The constraint again, and checked. Raises ``IntegrityError`` for orphans; then it stands for new rows. Idempotent."""

    @abstractmethod
    def allow_nulls(self, copy: Collection, but: set[str]) -> None:
        """No column of the table demands a value any more, but those, and those that have one of their own accord."""

    @abstractmethod
    def empty(self, mirrored: Sequence[Collection]) -> None:
        """Delete the rows of these tables, and what is known of changes to them; nothing is noted."""

    # ---- ids

    @abstractmethod
    def next_ids(self, collection: Collection) -> dict[str, int]:
        """Column → the first id that was never given, of the columns that the database numbers."""

    @abstractmethod
    def advance_ids(self, collection: Collection, next_ids: Mapping[str, int]) -> None:
        """Go on from these at least; never back."""
