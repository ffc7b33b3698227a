"""SQLite behind the port.

One writer at a time is what SQLite has instead of locks: ``BEGIN IMMEDIATE`` takes the file's write lock, and with it every lock
that the protocol knows, exclusively. So each rule that wants a shared lock (P10, P15) gets a stronger one, and two that may go
side by side elsewhere go one after the other. In WAL mode readers see the last commit from before their first statement, which
is the snapshot of P6, and wait for nobody; in the other modes it is a snapshot as well, and writers wait for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.db import transaction
from django.db.utils import OperationalError

from strangler.domain import wire
from strangler.sync.collections import Collection
from strangler.sync.columns import Column
from strangler.sync.database import execute, quote, quoted
from strangler.sync.databases.port import FEED, Claimed, Database, Statement
from strangler.sync.databases.rounds import LAG
from strangler.sync.databases.sqlite import capture, digests, fence, loose_keys, schema, triggers
from strangler.sync.databases.sqlite import columns as catalogue
from strangler.sync.databases.sqlite.columns import StoredCollection
from strangler.sync.databases.states import sqlstate
from strangler.sync.ddl import run
from strangler.sync.loose_keys import Key

STAMP = "'%%Y-%%m-%%d %%H:%%M:%%f'"
ASSIGN = """
UPDATE strangler_outbox SET pos = (SELECT value FROM strangler_counter WHERE name = 'feed') + given.n
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM strangler_outbox WHERE stream = %s AND pos IS NULL) AS given
WHERE strangler_outbox.id = given.id
RETURNING collection, key
"""
OWNER = "SELECT epoch, owner FROM strangler_ownership WHERE context = %s"
USERS_TRIGGERS = """
SELECT name, sql FROM sqlite_master
WHERE type = 'trigger' AND substr(name, 1, 10) <> 'strangler_' AND tbl_name IN (SELECT value FROM json_each(%s))
"""
DEMANDING = """
SELECT name FROM pragma_table_xinfo(%s) WHERE "notnull" = 1 AND dflt_value IS NULL AND hidden = 0 AND pk = 0
"""
HOLD = Statement(
    """
UPDATE strangler_stream
SET marker = {greatest:marker; %(marker)s}, relayed = relayed + %(changes)s, last_round_at = {now},
    lag_ms = coalesce({lag}, CASE WHEN %(marker)s > 0 THEN 0 ELSE lag_ms END), last_error = '', failures = 0, retry_at = NULL
WHERE name = %(stream)s AND lease_token = %(token)s
RETURNING 1
""".replace("{lag}", LAG)
)
GONE = Statement("DELETE FROM strangler_outbox WHERE id {among:%(ids)s}")
NOTED = Statement(
    """
INSERT INTO strangler_round (stream, round, changes, lag_ms)
SELECT %(stream)s, %(round)s, %(changes)s, {lag} WHERE %(changes)s > 0
""".replace("{lag}", LAG)
)
RAISE = Statement("""
INSERT INTO strangler_applied AS a (collection, key, epoch, token, round, deleted_at)
SELECT %(collection)s, e.value, %(epoch)s, %(token)s, %(round)s, CASE WHEN e.key >= %(upserts)s THEN {now} END
FROM json_each(%(keys)s) AS e
WHERE NOT EXISTS (SELECT 1 FROM strangler_applied f WHERE f.collection = %(floor)s AND f.key = ''
                  AND (f.epoch, f.token, f.round) > (%(epoch)s, %(token)s, %(round)s))
ON CONFLICT (collection, key) DO UPDATE
SET epoch = excluded.epoch, token = excluded.token, round = excluded.round, deleted_at = excluded.deleted_at
WHERE (a.epoch, a.token, a.round) < (excluded.epoch, excluded.token, excluded.round)
RETURNING key
""")
GIVE_UP = Statement("""
UPDATE strangler_stream
SET state = 'broken', reason = %(reason)s, last_error = '', failures = 0, retry_at = NULL, over_since = NULL,
    lease_token = lease_token + 1, lease_until = NULL, verified_at = NULL, verified_drift = NULL, verified_marker = 0,
    floor = CASE kind WHEN 'reverse' THEN %(floor)s ELSE floor END
WHERE name = %(stream)s AND state <> 'broken' AND lease_token = coalesce(%(token)s, lease_token)
RETURNING kind
""")
FULL = 2  # PRAGMA synchronous: each commit is on disk


class SQLite(Database):
    digests: ClassVar[ModuleType | None] = digests
    sessions = "any program that has the file open; SQLite does not tell which"
    now = f"strftime({STAMP}, 'now')"
    for_update = ""
    skip_locked = ""
    numbered = "1"
    oldest_running = "0"
    lazily = "1"
    durably = "1"

    @staticmethod
    def later(seconds: str) -> str:
        return f"strftime({STAMP}, 'now', ({seconds}) || ' seconds')"

    @staticmethod
    def since(moment: str) -> str:
        return f"((julianday('now') - julianday({moment})) * 86400.0)"

    @staticmethod
    def between(start: str, end: str) -> str:
        return f"((julianday({end}) - julianday({start})) * 86400.0)"

    @staticmethod
    def text(json: str) -> str:
        return json

    @staticmethod
    def json(param: str) -> str:
        return param

    @staticmethod
    def json_length(array: str) -> str:
        return f"json_array_length({array})"

    @staticmethod
    def skip_locked_of(table: str) -> str:
        return ""

    @staticmethod
    def integer(param: str) -> str:
        return f"CAST({param} AS INTEGER)"

    @staticmethod
    def begins(text: str, start: str) -> str:
        return f"instr({text}, {start}) = 1"

    @staticmethod
    def limit(param: str) -> str:
        return f"LIMIT coalesce({param}, -1)"

    @staticmethod
    def pointer_bytes(row: str) -> str:
        return f"(length({row}.stream) + length({row}.collection) + coalesce(length({row}.key), 0) + 60)"

    @staticmethod
    def among(param: str) -> str:
        return f"IN (SELECT value FROM json_each({param}))"

    @staticmethod
    def each(param: str, name: str = "k") -> str:
        return f"(SELECT value AS {name} FROM json_each({param}))"

    @staticmethod
    def greatest(*parts: str) -> str:
        return f"max({', '.join(parts)})"

    @staticmethod
    def least(*parts: str) -> str:
        return f"min({', '.join(parts)})"

    @staticmethod
    def position_of(counter: str) -> str:
        return f"(SELECT value FROM strangler_counter WHERE name = '{counter}')"

    @staticmethod
    def array_of(query: str) -> str:
        return f"(SELECT json_group_array(one) FROM (SELECT NULL AS one WHERE 0 UNION ALL SELECT * FROM ({query})))"

    @staticmethod
    def on_wire(moment: str) -> str:
        fraction = f"substr(substr({moment}, 21) || '000000', 1, 6)"
        return f"substr({moment}, 1, 10) || 'T' || substr({moment}, 12, 8) || '.' || {fraction} || 'Z'"

    @staticmethod
    def moment(param: str) -> str:
        return param  # SQLite's functions of time take RFC 3339

    @staticmethod
    def same(one: str, other: str) -> str:
        return f"{one} IS {other}"

    @staticmethod
    def object_of(name: str, value: str, table: str) -> str:
        return f"(SELECT json_group_object({name}, {value}) FROM {table})"

    @staticmethod
    def zipped(columns: str) -> str:
        name, _, listed = columns.rstrip(")").partition("(")
        parts = ", ".join(f"json_extract(value, '$[{n}]') AS {column.strip()}" for n, column in enumerate(listed.split(",")))
        return f"(SELECT {parts} FROM json_each(%s)) AS {name}"

    def zip(self, table: Sequence[Sequence[str]]) -> list[Any]:
        return [list(map(list, table))]

    def unlisted(self, value: Any) -> list[Any]:
        return list(json.loads(value))

    def adapted(self, params: Any) -> Any:
        if isinstance(params, Mapping):
            return {name: _adapted(value) for name, value in params.items()}
        return [_adapted(value) for value in params]

    # A counter is a row: it rises in the order of the commits, for there is one writer, and what was drawn in a transaction that
    # is rolled back was seen by nobody.

    def draw(self, counter: str, *, lazily: bool = False) -> int:
        return int(self._value("UPDATE strangler_counter SET value = value + 1 WHERE name = %s RETURNING value", [counter]))

    def position(self, counter: str) -> int:
        return int(self._value("SELECT value FROM strangler_counter WHERE name = %s", [counter]))

    def raise_to(self, counter: str, number: int) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("UPDATE strangler_counter SET value = %s WHERE name = %s", [number, counter])

    def assign_positions(self, cursor: Any, stream: str) -> list[tuple[str, str | None]]:
        cursor.execute(ASSIGN, [stream])
        given: list[tuple[str, str | None]] = cursor.fetchall()
        if given:
            cursor.execute("UPDATE strangler_counter SET value = value + %s WHERE name = 'feed'", [len(given)])
        return given

    def horizon(self) -> tuple[int, int]:
        """One writer: what was drawn and can be seen is committed, and what comes is greater."""
        return int(self._value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'strangler_outbox'")), 0

    @contextlib.contextmanager
    def writing(self, *, lock: int | None = None, patience_ms: int | None = None, durable: bool = False) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._patience(patience_ms))
            if self.connection.in_atomic_block:
                stack.enter_context(transaction.atomic(using=self.connection.alias))
            else:
                if durable:
                    stack.enter_context(self.durable())
                stack.enter_context(self._begin("IMMEDIATE"))
            cursor = stack.enter_context(self.connection.cursor())
            if lock is not None:
                self.lock_exclusive(cursor, lock)
            yield cursor

    def at_once(self) -> contextlib.AbstractContextManager[Any]:
        return self.writing()

    @contextlib.contextmanager
    def snapshot(self, *, by_index: bool = False) -> Iterator[Any]:
        with self._begin("DEFERRED"), self.connection.cursor() as cursor:
            yield cursor

    @contextlib.contextmanager
    def _begin(self, mode: str) -> Iterator[None]:
        """A transaction of this mode, whatever the settings say."""
        self.connection.ensure_connection()
        usual = self.connection.transaction_mode  # type: ignore[attr-defined]
        self.connection.transaction_mode = mode  # type: ignore[attr-defined]
        block = transaction.atomic(using=self.connection.alias, durable=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(block)
            finally:
                self.connection.transaction_mode = usual  # type: ignore[attr-defined]
            yield

    @contextlib.contextmanager
    def durable(self) -> Iterator[None]:
        """With ``synchronous = NORMAL`` a commit in WAL mode is not on disk before the next checkpoint."""
        with self._pragma("synchronous", max(FULL, int(self._value("PRAGMA synchronous")))):
            yield

    def _patience(self, ms: int | None) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if ms is None else self._pragma("busy_timeout", ms)

    @contextlib.contextmanager
    def _pragma(self, name: str, value: int) -> Iterator[None]:
        usual = int(self._value(f"PRAGMA {name}"))
        if usual == value:
            yield
            return
        self._set(name, value)
        try:
            yield
        finally:
            self._set(name, usual)

    def _set(self, name: str, value: int) -> None:
        if self.connection.connection is not None:  # else the next one has the usual value anyhow
            self.connection.connection.execute(f"PRAGMA {name} = {int(value)}")

    def lock_shared(self, cursor: Any, key: int) -> None:
        self.lock_exclusive(cursor, key)

    def lock_exclusive(self, cursor: Any, key: int) -> None:
        """The write lock, which ``writing`` has already; in a transaction of the caller's this takes it."""
        cursor.execute("UPDATE strangler_counter SET value = value WHERE name = 'marker'")

    def holders(self, key: int) -> str:
        return "a connection that has written and not yet committed (SQLite does not tell which)"

    def identity(self) -> tuple[str, int]:
        """The file's inode: a copy that was put in its place has another one."""
        return (str(os.stat(self._file).st_ino) if self._file else ""), 0

    def acknowledge(self, cursor: Any, said: Mapping[str, Any]) -> bool:
        if not execute(cursor, HOLD, said).fetchall():
            return False
        execute(cursor, GONE, {"ids": list(said["ids"])})
        execute(cursor, NOTED, said)
        return True

    def give_up(self, said: Mapping[str, Any]) -> bool:
        with self.writing() as cursor:
            found = execute(cursor, GIVE_UP, said).fetchall()
            for (kind,) in found:
                for table in ("subscription", "backfill"):
                    cursor.execute(f"DELETE FROM strangler_{table} WHERE stream = %s", [said["stream"]])
                if kind == "feed":
                    cursor.execute("UPDATE strangler_stream SET floor = %s WHERE name = %s", [self.draw(FEED), said["stream"]])
        return bool(found)

    def freeze_subscriptions(self, cursor: Any) -> None:
        """The write lock does."""

    def rows_of(
        self, cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
    ) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
        found: dict[tuple[str, str], tuple[str, list[str] | None]] = {}
        for name, (collection, keys) in wanted.items():
            where = f"WHERE {collection.key_matches('t')}"
            for key, text, nulls in _select(cursor, collection, where, [collection.keys_param(keys)]):
                found[name, key] = text, nulls
        return found

    def rows_after(
        self, cursor: Any, collection: Collection, last: str | None, limit: int
    ) -> list[tuple[str, str, list[str] | None]]:
        order = collection.key_order("t")
        beyond = "" if last is None else f"WHERE ({order}) > ({collection.key_bound()})"
        params = [] if last is None else collection.bound_params(last)
        return _select(cursor, collection, f"{beyond} ORDER BY {order} LIMIT {int(limit)}", params)

    def rows_in(
        self, cursor: Any, collection: Collection, tail: str, params: Sequence[Any]
    ) -> list[tuple[str, str, list[str] | None]]:
        return _select(cursor, collection, tail, params)

    def open_transactions(self) -> list[str]:
        """None: a transaction that began before the subscription, and had written, was over when that was committed; one that
        had only read can't write any more."""
        return []

    def still_open(self, transactions: Sequence[str]) -> str:
        return ""

    def estimate(self, collection: Collection) -> int:
        return int(self._value(f"SELECT count(*) FROM {collection.ddl}"))

    @contextlib.contextmanager
    def applying(self) -> Iterator[Any]:
        """Within a transaction ``PRAGMA foreign_keys`` would do nothing, so it is set before."""
        with (
            self._pragma("foreign_keys", 0),
            self.durable(),
            self._begin("IMMEDIATE"),
            self.connection.cursor() as cursor,
        ):
            self._suspended: list[str] = []
            yield cursor
            self.leave(cursor)

    def make_durable(self, cursor: Any) -> None:
        """``applying`` is."""

    def enter(self, cursor: Any, origin: str, mirrored: Sequence[Collection], locks: Sequence[tuple[int, bool]]) -> None:
        """The origin is a row, which a rollback takes along. Users' triggers are dropped and made again in this transaction, in
        which alone they are absent; they fire in the file's every session, whatever that sets."""
        cursor.execute("INSERT INTO strangler_origin (origin) VALUES (%s)", [origin])
        cursor.execute(USERS_TRIGGERS, [json.dumps([collection.table for collection in mirrored])])
        for name, text in cursor.fetchall():
            cursor.execute(f"DROP TRIGGER {quote(name)}")
            self._suspended.append(text)

    def raise_versions(self, cursor: Any, said: Mapping[str, Any]) -> set[str] | None:
        raised = {key for (key,) in execute(cursor, RAISE, said).fetchall()}
        return None if len(raised) == len(said["keys"]) else raised

    def upsert(
        self, cursor: Any, collection: Collection, columns: Sequence[Column], records: Sequence[Mapping[str, wire.Json]]
    ) -> None:
        assert isinstance(collection, StoredCollection)
        key = {column.name for column in collection.key}
        names = ", ".join(quoted(column.name) for column in columns)
        changes = ", ".join(f"{quoted(c.name)} = excluded.{quoted(c.name)}" for c in columns if c.name not in key)
        cursor.executemany(
            f"INSERT INTO {collection.sql} ({names}) VALUES ({', '.join(['%s'] * len(columns))}) "
            f"ON CONFLICT ({', '.join(quoted(column.name) for column in collection.key)}) "
            + (f"DO UPDATE SET {changes}" if changes else "DO NOTHING"),
            [collection.stored_row(record, columns) for record in records],
        )

    def leave(self, cursor: Any) -> None:
        cursor.execute("DELETE FROM strangler_origin")
        while self._suspended:
            cursor.execute(self._suspended.pop())

    def claim(self, context: str, key: int) -> Claimed | None:
        """A claim must not wait with the write lock in its hand, which is what the change of owner waits for; and a transaction
        that has read sees no later owner. So another connection looks first, and this one takes the lock once somebody owns."""
        held = self._beside(context)
        if held is None:
            return None
        if held[1] == "none":
            return Claimed(True, held[0], held[1], is_final=self.connection.transaction_mode not in (None, "DEFERRED"))  # type: ignore[attr-defined]
        with self.connection.cursor() as cursor:
            try:
                self.lock_exclusive(cursor, key)
            except OperationalError as error:
                if sqlstate(error.__cause__ or error) != "55P03":
                    raise
                return Claimed(False)
            cursor.execute(OWNER, [context])
            found = cursor.fetchone()
        return None if found is None else Claimed(True, found[0], found[1], is_final=True)

    def _beside(self, context: str) -> tuple[int, str] | None:
        """Epoch and owner as the last commit has them; nothing is read in the caller's transaction."""
        if not self._file:  # in memory: nobody else can change it
            with self.connection.cursor() as cursor:
                cursor.execute(OWNER, [context])
                return cursor.fetchone()  # type: ignore[no-any-return]
        with contextlib.closing(sqlite3.connect(self._file)) as other:
            try:
                return other.execute(OWNER.replace("%s", "?"), [context]).fetchone()  # type: ignore[no-any-return]
            except sqlite3.OperationalError as error:
                if sqlstate(error) != "42P01":
                    raise
                return None  # before the first ``migrate`` everything is local

    @functools.cached_property
    def _file(self) -> str:
        """By a pragma that reads nothing from the file, and so begins no snapshot."""
        with self.connection.cursor() as cursor:
            cursor.execute("PRAGMA database_list")
            return next((str(file) for _, name, file in cursor.fetchall() if name == "main"), "")

    def advice(self) -> list[tuple[str, str]]:
        mode = self._value("PRAGMA journal_mode")
        if mode in ("wal", "memory"):
            return []
        name = self.connection.settings_dict["NAME"]
        said = f"the SQLite database {name} is in journal mode {mode}: relay and writers wait for each other"
        return [(said, "Run once, in that database: PRAGMA journal_mode = WAL")]

    def has_table(self, name: str) -> bool:
        return bool(self._value("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = %s", [name]))

    def columns(self, bare: Collection) -> Sequence[Column]:
        return catalogue.columns_of(self.connection, bare.table, bare.name)

    def unique_keys(self, bare: Collection) -> list[tuple[str, ...]]:
        return catalogue.unique_keys(self.connection, bare.table)

    def check_table(self, bare: Collection) -> tuple[str, ...]:
        return ()

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
        return StoredCollection(name, context, table, key, columns, partial, leaves)

    def capture_statements(self, collection: Collection) -> list[str]:
        return triggers.put(capture.names(collection.table), capture.statements(self.connection, collection))

    def is_captured(self, collection: Collection) -> bool:
        return triggers.are_there(
            self.connection, capture.names(collection.table), capture.statements(self.connection, collection)
        )

    def is_any_captured(self, collection: Collection) -> bool:
        return any(quote(name) in triggers.present(self.connection, capture.PREFIX) for name in capture.names(collection.table))

    def uncapture(self, collection: Collection) -> None:
        triggers.remove(self.connection, [quote(name) for name in capture.names(collection.table)])

    def prune_captures(self) -> None:
        """A trigger goes with its table."""

    def uncapture_all(self) -> None:
        triggers.remove(self.connection, triggers.present(self.connection, capture.PREFIX))

    def fence_preamble(self) -> list[str]:
        return []

    def fence_statements(self, collection: Collection, context: str, side: str) -> list[str]:
        return triggers.put(fence.names(collection.table), fence.statements(collection, context, side))

    def is_fenced(self, collection: Collection, context: str, side: str) -> bool:
        return triggers.are_there(self.connection, fence.names(collection.table), fence.statements(collection, context, side))

    def is_any_fenced(self) -> bool:
        return bool(triggers.present(self.connection, fence.PREFIX))

    def unfence(self, collection: Collection) -> None:
        triggers.remove(self.connection, [quote(name) for name in fence.names(collection.table)])

    def unfence_all(self) -> None:
        triggers.remove(self.connection, triggers.present(self.connection, fence.PREFIX))

    def crossing_keys(self, own: Sequence[Collection]) -> list[Key]:
        return loose_keys.crossing(own, self.connection.alias)

    def loosen(self, context: str, key: Key) -> None:
        loose_keys.loosen(context, key, self.connection.alias)

    def tighten(self, table: str, name: str, definition: str) -> None:
        loose_keys.tighten(table, name, definition, self.connection.alias)

    def allow_nulls(self, copy: Collection, but: set[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(DEMANDING, [copy.table])
            demanding = {name for (name,) in cursor.fetchall()} - but
        if demanding:
            run(
                [lambda cursor: self._without_not_null(cursor, copy.table, demanding)],
                f"making room in {copy.table}",
                using=self.connection.alias,
            )

    def _without_not_null(self, cursor: Any, table: str, columns: set[str]) -> None:
        sql = loose_keys.text(cursor, table)
        for column in columns:
            sql = schema.without_not_null(sql, column)
        schema.rewrite(cursor, table, sql)

    def empty(self, mirrored: Sequence[Collection]) -> None:
        with self.connection.cursor() as cursor:
            for collection in mirrored:
                cursor.execute(f"DELETE FROM {collection.ddl}")
            cursor.execute("DELETE FROM strangler_applied")
            cursor.execute("DELETE FROM strangler_outbox")

    def next_ids(self, collection: Collection) -> dict[str, int]:
        column = self._numbered(collection)
        if column is None:
            return {}
        given = self._value("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = %s), 0)", [collection.table])
        there = self._value(f"SELECT coalesce(max({quote(column)}), 0) FROM {collection.ddl}")
        return {column: max(int(given), int(there)) + 1}

    def advance_ids(self, collection: Collection, next_ids: Mapping[str, int]) -> None:
        column = self._numbered(collection)
        if column is None or column not in next_ids:
            return
        with self.connection.cursor() as cursor:
            cursor.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, %s) WHERE name = %s", [next_ids[column] - 1, collection.table]
            )
            if not cursor.rowcount:
                cursor.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [collection.table, next_ids[column] - 1]
                )

    def _numbered(self, collection: Collection) -> str | None:
        """The AUTOINCREMENT column: without that word SQLite gives the id of a deleted row again, and there is nothing to set."""
        found = self._value(
            "SELECT (SELECT x.name FROM pragma_table_xinfo(m.name) x WHERE x.pk = 1) FROM sqlite_master m "
            "WHERE m.type = 'table' AND m.name = %s AND m.sql LIKE '%%AUTOINCREMENT%%'",
            [collection.table],
        )
        return None if found is None else str(found)

    def _value(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            found = cursor.fetchall()
        return found[0][0] if found else None


def _adapted(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    if isinstance(value, dt.datetime):
        return str(value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value)
    return value


def _select(cursor: Any, collection: Collection, tail: str, params: Sequence[Any]) -> list[tuple[str, str, list[str] | None]]:
    """(key, wire values as JSON text, columns that hold a JSON null)."""
    assert isinstance(collection, StoredCollection)
    execute(cursor, f"SELECT {collection.key_text('t')}, {collection.stored} FROM {collection.sql} AS t {tail}", params)
    return [(key, *_written(collection.wire_row(stored))) for key, *stored in cursor.fetchall()]


def _written(row: dict[str, wire.Json]) -> tuple[str, list[str] | None]:
    nulls = [name for name, value in row.items() if value is wire.JSON_NULL]
    return wire.dumps({**row, **dict.fromkeys(nulls)} if nulls else row), nulls or None
