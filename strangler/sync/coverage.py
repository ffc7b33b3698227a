"""Coverage: each kind of write is really done on each collection, and the outbox asked if it was captured (P1).

Every write is a statement on the real table, by the code that Django's own ``save``, ``bulk_create``, … run, in a transaction
that is rolled back. Nothing is left but dead row versions and, where an identity column insists, a number of its sequence:

- a row that is there is taken, one that nobody has locked, and put back by the rollback; an empty table gets one made of its
  columns' types. Where neither goes the answer is unknown, which is never green;
- the transaction runs as replica: foreign keys and the project's own triggers stay still, while capture, which is ``ENABLE
  ALWAYS``, must not. Only the cascade of the database needs an ordinary session; its parent row is one made for it;
- signals of models are silent in this process meanwhile;
- a lock is waited for 200 ms at most, and each collection's transaction takes milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db import DatabaseError, models, transaction
from django.db.models import signals
from django.db.models.sql import DeleteQuery

from strangler.errors import Misconfigured, StranglerError
from strangler.sync import collections, ownership, rowmaker
from strangler.sync.collections import Collection
from strangler.sync.database import alias, connection, message, quote, quoted

KINDS = (
    *("save", "bulk_create", "bulk_update", "update", "delete", "cascade", "DB cascade"),
    *("M2M add", "M2M clear", "raw SQL", "COPY", "another program"),
)
SIGNALS = (signals.pre_save, signals.post_save, signals.pre_delete, signals.post_delete, signals.m2m_changed, signals.pre_init)
ENTER = (
    "SET LOCAL session_replication_role = {role}; SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '10s'; "
    "SET LOCAL strangler.origin = ''"
)
LAST = "SELECT coalesce(max(id), 0) FROM strangler_outbox"
NOTED = "SELECT count(DISTINCT stream) FROM strangler_outbox WHERE id > %s AND collection = %s AND key = %s"
WANTED = "SELECT count(*) FROM strangler_subscription WHERE collection = %s"
CASCADES = """
SELECT k.confrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.i),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i)
FROM pg_constraint k
WHERE k.conrelid = to_regclass(%s) AND k.contype = 'f' AND k.confdeltype = 'c' AND k.confrelid <> k.conrelid
ORDER BY k.conname LIMIT 1
"""


class State(StrEnum):
    CAPTURED = "captured"
    MISSED = "missed"
    NONE = "not applicable"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What became of one kind of write on one collection; the reason where it was not simply captured."""

    state: State
    reason: str = ""


@dataclass
class Row:
    """One collection: kind of write → finding."""

    collection: str
    table: str
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def is_covered(self) -> bool:
        return all(finding.state in (State.CAPTURED, State.NONE) for finding in self.findings.values())


class NotApplicable(Exception):
    """There is no such write on this table; the message says why."""


class CantTell(Exception):
    """The write could not be done."""


def check(context: str, using: str | None = None) -> list[Row]:
    """Every kind of write on every collection of the context. Raises ``StranglerError`` where this side may not write it."""
    if connection(using).vendor != "postgresql":
        raise Misconfigured("coverage is proved on PostgreSQL alone; on SQLite: manage.py check --database default")
    held = ownership.get(context, using)
    if not held.here:
        raise StranglerError(
            f"{context} is owned by the {held.owner}: this side may not write it, so there is nothing to capture"
        )
    with silent():
        return [_Probe(collection, using).run() for collection in collections.for_context(context, using)]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """No receiver of a model's signals hears of the writes."""
    kept = [(signal, signal.receivers) for signal in SIGNALS]
    try:
        for signal, _ in kept:
            signal.receivers = []
            signal.sender_receivers_cache.clear()
        yield
    finally:
        for signal, receivers in kept:
            signal.receivers = receivers
            signal.sender_receivers_cache.clear()


class _Probe:
    """The writes on one collection. Each begins with the row there, or absent, as the write needs it, behind a savepoint."""

    def __init__(self, collection: Collection, using: str | None) -> None:
        self.collection, self.using = collection, alias(using)
        self.model: type[models.Model] = apps.get_model(collection.name)
        self.row: dict[str, Any] = {}
        self.key = ""

    def run(self) -> Row:
        found = Row(self.collection.name, self.collection.table)
        try:
            with transaction.atomic(using=self.using), connection(self.using).cursor() as cursor:
                cursor.execute(ENTER.format(role="replica"))
                self.row, self.key = rowmaker.take(cursor, self.collection)
                for kind in KINDS[:-1]:
                    found.findings[kind] = self._find(cursor, kind)
                transaction.set_rollback(True, using=self.using)
            with transaction.atomic(using=self.using), connection(self.using).cursor() as cursor:
                found.findings[KINDS[-1]] = self._find(cursor, KINDS[-1])  # with no row held here that it might want
        except (DatabaseError, rowmaker.NoRow) as error:
            found.findings = {kind: Finding(State.UNKNOWN, message(error)) for kind in KINDS}
        return found

    def _find(self, cursor: Any, kind: str) -> Finding:
        write: Callable[[Any], int] = getattr(self, "_" + kind.lower().replace(" ", "_"))
        try:
            with transaction.atomic(using=self.using):
                try:
                    missed = write(cursor)
                finally:
                    transaction.set_rollback(True, using=self.using)
        except NotApplicable as error:
            return Finding(State.NONE, str(error))
        except Exception as error:  # whatever the project's own fields and managers raise: not done, so not known
            return Finding(State.UNKNOWN, message(error))
        return Finding(State.MISSED, "no pointer of it is in the outbox") if missed else Finding(State.CAPTURED)

    # ---- whether a write was noted -------------------------------------------------------------------------------

    def _noted(self, cursor: Any, write: Callable[[], object], key: str | None = None) -> int:
        """Does the write; how many streams that want to hear of it were not told."""
        cursor.execute(LAST)
        (last,) = cursor.fetchone()
        write()
        cursor.execute(NOTED, [last, self.collection.name, self.key if key is None else key])
        (told,) = cursor.fetchone()
        cursor.execute(WANTED, [self.collection.name])
        (wanted,) = cursor.fetchone()
        if not wanted:
            raise CantTell(f"no stream subscribes to it; run: strangler sync install {self.collection.context}")
        return int(wanted - told)

    def _without(self, cursor: Any) -> None:
        cursor.execute(f"DELETE FROM {self.collection.sql} AS t WHERE {self.collection.key_matches('t')}", [[self.key]])

    def _instance(self) -> models.Model:
        """The row; where the ORM can't read it, as one without the row of its parent model, of the fields of its own table."""
        found = self._query().first()
        if found is None:
            found = self.model()
            for own in self.model._meta.local_concrete_fields:
                setattr(found, own.attname, self.row.get(own.column))
        found._state.db = self.using
        return found

    def _query(self) -> Any:
        names = {column.name for column in self.collection.key}
        fields = {f.attname: f for f in self.model._meta.local_concrete_fields if f.column in names}
        if len(fields) != len(names):
            raise NotApplicable("its key is no field of the model")
        wanted = {name: self.row[f.column] for name, f in fields.items()}
        return self.model._base_manager.using(self.using).filter(**wanted)

    def _free(self) -> models.Field[Any, Any]:
        """A field that may be written although nothing changes."""
        key = {column.name for column in self.collection.key} | {c.name for c in self.collection.columns if c.is_always}
        for found in self.model._meta.local_concrete_fields:
            if found.column not in key and not found.primary_key and not found.generated:
                return found
        raise NotApplicable("it has no column but its key")

    # ---- the kinds -----------------------------------------------------------------------------------------------

    def _save(self, cursor: Any) -> int:
        made = self._instance()
        missed = 0
        if any(True for f in self.model._meta.local_concrete_fields if not f.primary_key and not f.generated):
            missed = self._noted(cursor, lambda: made.save_base(raw=True, using=self.using, force_update=True))
        self._without(cursor)
        return missed + self._noted(cursor, lambda: made.save_base(raw=True, using=self.using, force_insert=True))

    def _bulk_create(self, cursor: Any) -> int:
        if len(self.model._meta.concrete_model._meta.parents):
            raise NotApplicable("Django makes no rows of several tables in bulk")
        made = self._instance()
        self._without(cursor)
        return self._noted(cursor, lambda: self.model._base_manager.using(self.using).bulk_create([made]))

    def _bulk_update(self, cursor: Any) -> int:
        name, made = self._free().name, self._instance()
        return self._noted(cursor, lambda: self.model._base_manager.using(self.using).bulk_update([made], [name]))

    def _update(self, cursor: Any) -> int:
        free = self._free()
        return self._noted(cursor, lambda: self._query().update(**{free.name: models.F(free.attname)}))

    def _delete(self, cursor: Any) -> int:
        """What ``delete()`` runs for a row that it has collected; the rows that hang on it are other lines of the table."""
        if isinstance(self.model._meta.pk, models.CompositePrimaryKey):
            return self._noted(cursor, lambda: self._query()._raw_delete(self.using))
        pk = self._instance().pk
        return self._noted(cursor, lambda: DeleteQuery(self.model).delete_batch([pk], self.using))

    def _cascade(self, cursor: Any) -> int:
        """What ``delete()`` of the parent runs for its children, narrowed to the one row."""
        for found in self.model._meta.local_concrete_fields:
            remote = getattr(found, "remote_field", None)
            if remote is not None and getattr(remote, "on_delete", None) is models.CASCADE:
                parent = self.row.get(found.column) or self._hang(cursor, found.column)
                query = self._query().filter(**{f"{found.attname}__in": [parent]})
                return self._noted(cursor, functools.partial(query._raw_delete, self.using))
        raise NotApplicable("no foreign key of it has on_delete=CASCADE")

    def _hang(self, cursor: Any, name: str) -> Any:
        """Gives the row a parent, which need not be there: foreign keys stay still."""
        (column,) = (column for column in self.collection.columns if column.name == name)
        parent = rowmaker.value(column)
        cursor.execute(
            f"UPDATE {self.collection.sql} AS t SET {quoted(name)} = %s WHERE {self.collection.key_matches('t')}",
            [parent, [self.key]],
        )
        return parent

    def _db_cascade(self, cursor: Any) -> int:
        cursor.execute(CASCADES, [self.collection.ddl])
        found = cursor.fetchone()
        if found is None:
            raise NotApplicable("no foreign key of it has ON DELETE CASCADE in the database")
        parent, columns, referenced = found
        made = rowmaker.another(cursor, parent, referenced)
        pairs = ", ".join(f"{quoted(here)} = %s" for here in columns)
        key_columns = {column.name for column in self.collection.key}
        if key_columns & set(columns):
            raise CantTell("its key is the foreign key")
        cursor.execute(
            f"UPDATE {self.collection.sql} AS t SET {pairs} WHERE {self.collection.key_matches('t')}",
            [*(made[name] for name in referenced), [self.key]],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        gone = " AND ".join(f"{quoted(name)} = %s" for name in referenced)
        return self._noted(
            cursor, lambda: cursor.execute(f"DELETE FROM {parent} WHERE {gone}", [made[name] for name in referenced])
        )

    def _m2m_add(self, cursor: Any) -> int:
        ends, target = self._ends()
        self._without(cursor)
        last = self._last(cursor)
        ends.add(target)
        return self._since(cursor, last)

    def _m2m_clear(self, cursor: Any) -> int:
        ends, _ = self._ends()
        return self._noted(cursor, ends.clear)

    def _ends(self) -> tuple[Any, Any]:
        """The manager of the many-to-many field whose rows are here, for the one end of the row; and the key of its other end."""
        for model in apps.get_models():
            for found in model._meta.local_many_to_many:
                through = found.remote_field.through
                if through is self.model and through._meta.auto_created:
                    here, there = (
                        through._meta.get_field(name()) for name in (found.m2m_field_name, found.m2m_reverse_field_name)
                    )
                    one = model(**{found.m2m_target_field_name(): self.row[here.column]})
                    one._state.db = self.using
                    return getattr(one, found.name).db_manager(self.using), self.row[there.column]
        raise NotApplicable("it is no table that Django made for a many-to-many field")

    def _last(self, cursor: Any) -> int:
        cursor.execute(LAST)
        return int(cursor.fetchone()[0])

    def _since(self, cursor: Any, last: int) -> int:
        """As ``_noted``, of a row whose key the database gives."""
        cursor.execute(
            "SELECT (SELECT count(*) FROM strangler_subscription WHERE collection = %s) "
            "- (SELECT count(DISTINCT stream) FROM strangler_outbox WHERE id > %s AND collection = %s)",
            [self.collection.name, last, self.collection.name],
        )
        return int(cursor.fetchone()[0])

    def _raw_sql(self, cursor: Any) -> int:
        return self._by_statements(cursor)

    def _by_statements(self, cursor: Any) -> int:
        """UPDATE, DELETE and INSERT of the one row."""
        matches = f"WHERE {self.collection.key_matches('t')}"
        free = [c for c in self.collection.columns if not c.is_always]
        column = quoted(free[-1].name)
        listed = ", ".join(quoted(c.name) for c in self.collection.columns)
        self._keep(cursor)
        insert = f"INSERT INTO {self.collection.sql} ({listed}) OVERRIDING SYSTEM VALUE SELECT {listed} FROM strangler_kept"
        missed = self._noted(
            cursor, lambda: cursor.execute(f"UPDATE {self.collection.sql} AS t SET {column} = {column} {matches}", [[self.key]])
        )
        missed += self._noted(cursor, lambda: cursor.execute(f"DELETE FROM {self.collection.sql} AS t {matches}", [[self.key]]))
        return missed + self._noted(cursor, lambda: cursor.execute(insert, []))

    def _keep(self, cursor: Any) -> None:
        """The row, aside, for as long as the savepoint stands."""
        listed = ", ".join(quoted(column.name) for column in self.collection.columns)
        cursor.execute(
            f"CREATE TEMP TABLE strangler_kept ON COMMIT DROP AS SELECT {listed} "
            f"FROM {self.collection.sql} AS t WHERE {self.collection.key_matches('t')}",
            [[self.key]],
        )

    def _copy(self, cursor: Any) -> int:
        listed = ", ".join(quote(column.name) for column in self.collection.columns)
        table = self.collection.ddl
        self._keep(cursor)
        data = rowmaker.copied(cursor, f"COPY (SELECT {listed} FROM strangler_kept) TO STDOUT")
        self._without(cursor)
        return self._noted(cursor, lambda: rowmaker.copied(cursor, f"COPY {table} ({listed}) FROM STDIN", data))

    def _another_program(self, _: Any) -> int:
        """A connection of its own, without Django's ORM and transaction; it reads the outbox itself and rolls back."""
        other = connection(self.using).copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN")
                try:
                    cursor.execute(ENTER.format(role="replica"))
                    self.row, self.key = rowmaker.take(cursor, self.collection)
                    return self._by_statements(cursor)
                finally:
                    cursor.execute("ROLLBACK")
        finally:
            other.close()
