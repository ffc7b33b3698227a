"""PostgreSQL behind the port."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.db import transaction

from strangler.domain import wire
from strangler.sync.collections import Collection
from strangler.sync.columns import Column, columns_of, unique_keys
from strangler.sync.database import quote, quoted, rows
from strangler.sync.databases.port import Claimed, Database, Statement
from strangler.sync.databases.postgresql import capture, fence, loose_keys, reading, writing
from strangler.sync.databases.rounds import LAG
from strangler.sync.ddl import run
from strangler.sync.loose_keys import Key
from strangler.sync.mirrorable import check_table

DRAW = "SELECT nextval('strangler_{}_seq')"
# A round that uses a marker flushes it before it sends anything (P7).
DRAW_LAZILY = DRAW + " WHERE set_config('synchronous_commit', 'off', true) = 'off'"
POSITION = "SELECT last_value FROM strangler_{}_seq"
ASSIGN = """
WITH given AS MATERIALIZED (
  SELECT id, nextval('strangler_feed_seq') AS pos
  FROM (SELECT id FROM strangler_outbox WHERE stream = %s AND pos IS NULL ORDER BY id) AS noted
)
UPDATE strangler_outbox o SET pos = given.pos FROM given WHERE o.id = given.id
RETURNING o.collection, o.key
"""
ACKNOWLEDGE = Statement(
    """
WITH held AS (
  UPDATE strangler_stream
  SET marker = {greatest:marker; %(marker)s}, relayed = relayed + %(changes)s, last_round_at = {now},
      lag_ms = coalesce({lag}, CASE WHEN %(marker)s > 0 THEN 0 ELSE lag_ms END),
      last_error = '', failures = 0, retry_at = NULL
  WHERE name = %(stream)s AND lease_token = %(token)s AND {lazily}
  RETURNING 1
), gone AS (
  DELETE FROM strangler_outbox WHERE id {among:%(ids)s} AND EXISTS (SELECT 1 FROM held)
), noted AS (
  INSERT INTO strangler_round (stream, round, changes, lag_ms)
  SELECT %(stream)s, %(round)s, %(changes)s, {lag} FROM held WHERE %(changes)s > 0
)
SELECT count(*) FROM held
""".replace("{lag}", LAG)
)
# The versions of one collection and one round: of ``upserts`` keys, then of those that are deleted. Answers how many were
# greater than the stored ones, and which, unless it is all of them.
RAISE = """
WITH claimed AS (
  INSERT INTO strangler_applied AS a (collection, key, epoch, token, round, deleted_at)
  SELECT %(collection)s, e.key, %(epoch)s, %(token)s, %(round)s, CASE WHEN e.n > %(upserts)s THEN now() END
  FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS e(key, n)
  WHERE NOT EXISTS (SELECT 1 FROM strangler_applied f WHERE f.collection = %(floor)s AND f.key = ''
                    AND (f.epoch, f.token, f.round) > (%(epoch)s, %(token)s, %(round)s))
  ORDER BY e.key
  ON CONFLICT (collection, key) DO UPDATE
  SET epoch = EXCLUDED.epoch, token = EXCLUDED.token, round = EXCLUDED.round, deleted_at = EXCLUDED.deleted_at
  WHERE (a.epoch, a.token, a.round) < (EXCLUDED.epoch, EXCLUDED.token, EXCLUDED.round)
  RETURNING a.key
)
SELECT count(*), CASE WHEN count(*) < %(count)s THEN array_agg(key) END FROM claimed
"""
OPEN_TRANSACTIONS = """
SELECT coalesce(json_agg(l.virtualtransaction), '[]')::text
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid()
      AND a.usesysid IS NOT NULL AND a.datname = current_database()
"""
STILL_OPEN = """
SELECT coalesce(string_agg(DISTINCT pid::text, ', '), '') FROM pg_locks
WHERE locktype = 'virtualxid' AND granted AND virtualtransaction = ANY(%s)
"""
GIVE_UP = """
WITH broke AS (
  UPDATE strangler_stream
  SET state = 'broken', reason = %(reason)s, last_error = '', failures = 0, retry_at = NULL, over_since = NULL,
      lease_token = lease_token + 1, lease_until = NULL, verified_at = NULL, verified_drift = NULL, verified_marker = 0,
      floor = CASE kind WHEN 'feed' THEN nextval('strangler_feed_seq') WHEN 'reverse' THEN %(floor)s ELSE floor END
  WHERE name = %(stream)s AND state <> 'broken' AND lease_token = coalesce(%(token)s, lease_token)
  RETURNING name
), unsubscribed AS (
  DELETE FROM strangler_subscription WHERE stream IN (SELECT name FROM broke)
), forgotten AS (
  DELETE FROM strangler_backfill WHERE stream IN (SELECT name FROM broke)
)
SELECT count(*) FROM broke
"""
# Whatever the project sets for its own sessions: a value whose text depends on settings has the same one on both sides.
SETTINGS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; "
    "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL lc_monetary = 'C'"
)
BY_INDEX = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
ROWS = """
SELECT sum(greatest(c.reltuples, 0)) FROM pg_partition_tree(to_regclass(%s)) AS p JOIN pg_class c ON c.oid = p.relid
WHERE p.isleaf
"""
HORIZON = """
SELECT CASE WHEN is_called THEN last_value ELSE 0 END, pg_current_xact_id()::text::bigint FROM strangler_outbox_id_seq
WHERE set_config('synchronous_commit', 'off', true) = 'off'
"""
IDENTITY = """
SELECT system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
FROM pg_control_system()
"""
HOLDERS = """
SELECT string_agg(DISTINCT pid::text, ', ') FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND ((classid::bigint << 32) | objid::bigint) = %s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OWNED_SEQUENCES = """
SELECT a.attname, format('%%I.%%I', n.nspname, s.relname)
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i') AND d.refobjid = to_regclass(%s)
ORDER BY a.attname
"""
# Durable before it is answered, whatever the default: the source forgets what is acknowledged.
ENTER = (
    "SELECT set_config('session_replication_role', 'replica', true), set_config('strangler.origin', %s, true), "
    "set_config('synchronous_commit', 'on', true), set_config('lc_monetary', 'C', true)"
)
LEAVE = "SELECT set_config('session_replication_role', 'origin', true), set_config('strangler.origin', '', true)"
CLAIM = "SELECT locked, epoch, owner, current_setting('transaction_isolation') FROM strangler_claim(%s, %s)"
CAN_CLAIM = "SELECT to_regprocedure('strangler_claim(text, bigint)') IS NOT NULL"
_able: set[str] = set()
DEMANDING = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
AND attnotnull AND attgenerated = '' AND NOT atthasdef AND attidentity = ''
"""
NEXT = "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {}"


class PostgreSQL(Database):
    digests: ClassVar[ModuleType | None] = None
    sessions = "see pg_stat_activity"
    now = "clock_timestamp()"
    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"
    numbered = "pg_current_xact_id() IS NOT NULL"
    oldest_running = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    lazily = "set_config('synchronous_commit', 'off', true) = 'off'"
    durably = "set_config('synchronous_commit', 'on', true) = 'on'"

    @staticmethod
    def later(seconds: str) -> str:
        return f"clock_timestamp() + {seconds} * interval '1 second'"

    @staticmethod
    def since(moment: str) -> str:
        return f"extract(epoch FROM clock_timestamp() - {moment})"

    @staticmethod
    def between(start: str, end: str) -> str:
        return f"extract(epoch FROM {end} - {start})"

    @staticmethod
    def text(json: str) -> str:
        return f"{json}::text"

    @staticmethod
    def json(param: str) -> str:
        return f"{param}::jsonb"

    @staticmethod
    def json_length(array: str) -> str:
        return f"jsonb_array_length({array})"

    @staticmethod
    def skip_locked_of(table: str) -> str:
        return f" FOR UPDATE OF {table} SKIP LOCKED"

    @staticmethod
    def integer(param: str) -> str:
        return f"{param}::bigint"

    @staticmethod
    def begins(text: str, start: str) -> str:
        return f"starts_with({text}, {start})"

    @staticmethod
    def limit(param: str) -> str:
        return f"LIMIT {param}"

    @staticmethod
    def pointer_bytes(row: str) -> str:
        return f"pg_column_size({row}.*)"

    @staticmethod
    def among(param: str) -> str:
        return f"= ANY({param})"

    @staticmethod
    def each(param: str, name: str = "k") -> str:
        return f"unnest({param}::text[]) AS {name}"

    @staticmethod
    def greatest(*parts: str) -> str:
        return f"greatest({', '.join(parts)})"

    @staticmethod
    def least(*parts: str) -> str:
        return f"least({', '.join(parts)})"

    @staticmethod
    def position_of(counter: str) -> str:
        return f"(SELECT last_value FROM strangler_{counter}_seq)"

    @staticmethod
    def array_of(query: str) -> str:
        return f"ARRAY({query})"

    @staticmethod
    def on_wire(moment: str) -> str:
        return f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

    @staticmethod
    def moment(param: str) -> str:
        return f"{param}::timestamptz"

    @staticmethod
    def same(one: str, other: str) -> str:
        return f"{one} IS NOT DISTINCT FROM {other}"

    @staticmethod
    def object_of(name: str, value: str, table: str) -> str:
        return f"(SELECT coalesce(json_object_agg({name}, {value}), '{{}}') FROM {table})::text"

    @staticmethod
    def zipped(columns: str) -> str:
        return f"unnest({', '.join(['%s::text[]'] * (columns.count(',') + 1))}) AS {columns}"

    def zip(self, table: Sequence[Sequence[str]]) -> list[Any]:
        return list(map(list, zip(*table, strict=True)))

    def unlisted(self, value: Any) -> list[Any]:
        return list(value)

    def adapted(self, params: Any) -> Any:
        return params

    def draw(self, counter: str, *, lazily: bool = False) -> int:
        return int(self._value((DRAW_LAZILY if lazily else DRAW).format(counter)))

    def position(self, counter: str) -> int:
        return int(self._value(POSITION.format(counter)))

    def raise_to(self, counter: str, number: int) -> None:
        self._value(f"SELECT setval('strangler_{counter}_seq', %s)", [number])

    def assign_positions(self, cursor: Any, stream: str) -> list[tuple[str, str | None]]:
        cursor.execute(ASSIGN, [stream])
        return cursor.fetchall()  # type: ignore[no-any-return]

    def horizon(self) -> tuple[int, int]:
        with self.connection.cursor() as cursor:
            cursor.execute(HORIZON)
            greatest, number = cursor.fetchone()
        return greatest, number

    @contextlib.contextmanager
    def writing(self, *, lock: int | None = None, patience_ms: int | None = None, durable: bool = False) -> Iterator[Any]:
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            if patience_ms is not None:
                cursor.execute(f"SET LOCAL lock_timeout = {int(patience_ms)}")
            if lock is not None:
                self.lock_exclusive(cursor, lock)
                cursor.execute("SET LOCAL lock_timeout = 0")
            if durable:
                cursor.execute("SET LOCAL synchronous_commit = on")
            yield cursor

    def at_once(self) -> contextlib.AbstractContextManager[Any]:
        return self.connection.cursor()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def snapshot(self, *, by_index: bool = False) -> Iterator[Any]:
        """What the statistics say of an outbox was true at another moment: now it is full, now empty. Hence ``by_index``."""
        with transaction.atomic(using=self.connection.alias, durable=True), self.connection.cursor() as cursor:
            mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            cursor.execute(f"{mode}; {SETTINGS}{BY_INDEX if by_index else ''}")
            yield cursor

    def durable(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # the statement says so itself: ``durably``

    def lock_shared(self, cursor: Any, key: int) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [key])

    def lock_exclusive(self, cursor: Any, key: int) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])

    def holders(self, key: int) -> str:
        pids = self._value(HOLDERS, [key])
        return f"backend {pids or 'that has just ended'}; see pg_stat_activity for what it does"

    def identity(self) -> tuple[str, int]:
        with self.connection.cursor() as cursor:
            cursor.execute(IDENTITY)
            system, timeline = cursor.fetchone()
        return str(system), int(timeline)

    def acknowledge(self, cursor: Any, said: Mapping[str, Any]) -> bool:
        cursor.execute(self.render(ACKNOWLEDGE), said)
        return bool(cursor.fetchone()[0])

    def give_up(self, said: Mapping[str, Any]) -> bool:
        return bool(self._value(GIVE_UP, said))

    def freeze_subscriptions(self, cursor: Any) -> None:
        cursor.execute("LOCK TABLE strangler_subscription IN SHARE MODE")

    def rows_of(
        self, cursor: Any, wanted: Mapping[str, tuple[Collection, Iterable[str]]]
    ) -> dict[tuple[str, str], tuple[str, list[str] | None]]:
        return reading.rows_of(cursor, wanted)

    def rows_after(
        self, cursor: Any, collection: Collection, last: str | None, limit: int
    ) -> list[tuple[str, str, list[str] | None]]:
        return reading.rows_after(cursor, collection, last, limit)

    def rows_in(
        self, cursor: Any, collection: Collection, tail: str, params: Sequence[Any]
    ) -> list[tuple[str, str, list[str] | None]]:
        return reading.rows_in(cursor, collection, tail, params)

    def open_transactions(self) -> list[str]:
        return list(json.loads(self._value(OPEN_TRANSACTIONS)))

    def still_open(self, transactions: Sequence[str]) -> str:
        pids = self._value(STILL_OPEN, [list(transactions)])
        return f"backend {pids}" if pids else ""

    def estimate(self, collection: Collection) -> int:
        """As the planner knows it; 0 where nothing was analysed yet."""
        return int(self._value(ROWS, [collection.ddl]) or 0)

    @contextlib.contextmanager
    def applying(self) -> Iterator[Any]:
        with transaction.atomic(using=self.connection.alias, durable=True), self.connection.cursor() as cursor:
            yield cursor

    def enter(self, cursor: Any, origin: str, mirrored: Sequence[Collection], locks: Sequence[tuple[int, bool]]) -> None:
        """Settings and locks in one statement."""
        taken = "".join(f", pg_advisory_xact_lock{'' if is_exclusive else '_shared'}({key})" for key, is_exclusive in locks)
        cursor.execute(ENTER + taken, [origin])

    def make_durable(self, cursor: Any) -> None:
        cursor.execute("SET LOCAL synchronous_commit = on")

    def raise_versions(self, cursor: Any, said: Mapping[str, Any]) -> set[str] | None:
        cursor.execute(RAISE, said)
        count, raised = cursor.fetchone()
        return None if count == len(said["keys"]) else set(raised or ())

    def upsert(
        self, cursor: Any, collection: Collection, columns: Sequence[Column], records: Sequence[Mapping[str, wire.Json]]
    ) -> None:
        writing.upsert(cursor, collection, columns, records)

    def leave(self, cursor: Any) -> None:
        cursor.execute(LEAVE)

    def claim(self, context: str, key: int) -> Claimed | None:
        if not self._can_claim():
            return None
        with self.connection.cursor() as cursor:
            cursor.execute(CLAIM, [context, key])
            locked, epoch, owner, isolation = cursor.fetchone()
        if not locked:
            return Claimed(False)
        return None if owner is None else Claimed(True, epoch, owner, isolation != "read committed")

    def _can_claim(self) -> bool:
        """Whether our tables are there: not before the first ``migrate``, when everything is local."""
        if self.connection.alias not in _able and self._value(CAN_CLAIM):
            _able.add(self.connection.alias)
        return self.connection.alias in _able

    def advice(self) -> list[tuple[str, str]]:
        return []

    def has_table(self, name: str) -> bool:
        return bool(self._value("SELECT to_regclass(%s) IS NOT NULL", [name]))

    def columns(self, bare: Collection) -> Sequence[Column]:
        return columns_of(bare.ddl, self.connection.alias)

    def unique_keys(self, bare: Collection) -> list[tuple[str, ...]]:
        return unique_keys(bare.ddl, self.connection.alias)

    def check_table(self, bare: Collection) -> tuple[str, ...]:
        return check_table(bare.name, bare.table, bare.ddl, self.connection.alias)

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
        return Collection(name, context, table, key, columns, partial, leaves)

    def capture_statements(self, collection: Collection) -> list[str]:
        return capture.statements(collection, self.connection.alias)

    def is_captured(self, collection: Collection) -> bool:
        return capture.is_installed(collection, self.connection.alias)

    def is_any_captured(self, collection: Collection) -> bool:
        return bool(
            rows("SELECT 1 FROM pg_proc WHERE proname = %s LIMIT 1", [capture.function_name(collection)], self.connection.alias)
        )

    def uncapture(self, collection: Collection) -> None:
        capture.uninstall(collection, self.connection.alias)

    def prune_captures(self) -> None:
        capture.prune(self.connection.alias)

    def uncapture_all(self) -> None:
        capture.uninstall_all(self.connection.alias)

    def fence_preamble(self) -> list[str]:
        return [fence.function_statement(self.connection.alias)]

    def fence_statements(self, collection: Collection, context: str, side: str) -> list[str]:
        return fence.statements(collection, context, side, self.connection.alias)

    def is_fenced(self, collection: Collection, context: str, side: str) -> bool:
        return fence.is_installed(collection, context, side, self.connection.alias)

    def is_any_fenced(self) -> bool:
        return not fence.unused(self.connection.alias)

    def unfence(self, collection: Collection) -> None:
        fence.uninstall(collection, self.connection.alias)

    def unfence_all(self) -> None:
        fence.uninstall_all(self.connection.alias)

    def crossing_keys(self, own: Sequence[Collection]) -> list[Key]:
        return loose_keys.crossing(own, self.connection.alias)

    def loosen(self, context: str, key: Key) -> None:
        loose_keys.loosen(context, key, self.connection.alias)

    def tighten(self, table: str, name: str, definition: str) -> None:
        loose_keys.tighten(table, name, definition, self.connection.alias)

    def allow_nulls(self, copy: Collection, but: set[str]) -> None:
        demanding = rows(DEMANDING, [copy.ddl], self.connection.alias)
        made = [f"ALTER TABLE {copy.ddl} ALTER COLUMN {quote(name)} DROP NOT NULL" for (name,) in demanding if name not in but]
        if made:
            run(made, f"making room for a partial copy in {copy.table}", using=self.connection.alias)

    def empty(self, mirrored: Sequence[Collection]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(collection.ddl for collection in mirrored)} CASCADE")
            cursor.execute("TRUNCATE strangler_applied")
            cursor.execute("TRUNCATE strangler_outbox")

    def next_ids(self, collection: Collection) -> dict[str, int]:
        found: dict[str, int] = {}
        with self.connection.cursor() as cursor:
            for column, sequence in _sequences(cursor, collection):
                cursor.execute(
                    f"SELECT greatest(({NEXT.format(sequence)}), "
                    f"(SELECT coalesce(max({quoted(column)}), 0) + 1 FROM {collection.sql}))".replace("%%", "%")
                )
                (found[column],) = cursor.fetchone()
        return found

    def advance_ids(self, collection: Collection, next_ids: Mapping[str, int]) -> None:
        with self.connection.cursor() as cursor:
            for column, sequence in _sequences(cursor, collection):
                if column not in next_ids:
                    continue
                cursor.execute(NEXT.format(sequence))
                (here,) = cursor.fetchone()
                if next_ids[column] > here:
                    cursor.execute("SELECT setval(%s::regclass, %s, false)", [sequence, next_ids[column]])

    def _value(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchone()[0]


def _sequences(cursor: Any, collection: Collection) -> list[tuple[str, str]]:
    """(column, quoted sequence) of the table's serial and identity columns."""
    cursor.execute(OWNED_SEQUENCES, [collection.ddl])
    return [(column, sequence) for column, sequence in cursor.fetchall()]
