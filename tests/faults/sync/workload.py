"""Writers: every kind of write that there is, in transactions that are short or long, overlap, come late or are rolled back."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
from django.db import connections, transaction
from django.db.utils import Error

from strangler.sync import wake
from tests.faults.sync.journal import Journal, Outcome, Transaction
from tests.integration.sync.bank.models import Account, Code, Odd, Pair, SavingsAccount, Tag, Transfer
from tests.integration.sync.estate import CONTEXT, SOURCE, connect
from tests.integration.sync.people.models import Person

COUNTERS = tuple(f"counter {n}" for n in range(6))
TAGS = range(1, 6)
OWN, SHARED = 6, 20  # keys of a writer's own, and of all together
PUT = "INSERT INTO bank_code VALUES (%s, %s) ON CONFLICT (code) DO UPDATE SET meaning = EXCLUDED.meaning"
MOVE = "UPDATE bank_code SET code = %s WHERE code = %s AND NOT EXISTS (SELECT 1 FROM bank_code WHERE code = %s)"  # a key changes
MERGE = (
    "MERGE INTO bank_code t USING (VALUES (%s, %s)) AS s(code, meaning) ON t.code = s.code "
    "WHEN MATCHED THEN UPDATE SET meaning = s.meaning WHEN NOT MATCHED THEN INSERT VALUES (s.code, s.meaning)"
)
WEIRD = (
    'INSERT INTO "we""ird %%s table" VALUES (%s, %s) ON CONFLICT ("the ""id"" 100%%s") '
    """DO UPDATE SET "it's 5%%" = EXCLUDED."it's 5%%\""""
)
# The tables of the database's own cascade: a raw DELETE of an account takes these along.
CASCADES = {"bank_transfer": "account_id", "bank_account_tags": "account_id", "bank_savingsaccount": "account_ptr_id"}


class RolledBack(Exception):
    """The writer changed its mind."""


def prepare() -> None:
    """Counters, and foreign keys that cascade in the database as Django's ``DB_CASCADE`` makes them."""
    with connections[SOURCE].cursor() as cursor:
        for table, column in CASCADES.items():
            cursor.execute(
                "SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f' "
                "AND confrelid = 'bank_account'::regclass",
                [table],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            cursor.execute(f"ALTER TABLE {table} ADD FOREIGN KEY ({column}) REFERENCES bank_account ON DELETE CASCADE")
    for handle in COUNTERS:
        Account.objects.using(SOURCE).create(handle=handle)
    for number in TAGS:
        Tag.objects.using(SOURCE).create(pk=number, word=f"tag {number}")


class Writer:
    """One connection's statements, all of them from its seed. ``run`` until ``stop``."""

    def __init__(self, name: str, seed: str, journal: Journal, stop: threading.Event) -> None:
        self.name, self.random, self.journal, self.stop = name, random.Random(seed), journal, stop
        self.is_lazy = self.random.random() < 0.3  # synchronous_commit=off
        self.count = 0
        self.now = Transaction("")

    def run(self) -> None:
        while not self.stop.is_set():
            self.count += 1
            self.now = Transaction(f"witness {self.name} {self.count}")
            try:
                self._transaction()
                self.now.outcome = Outcome.LAZY if self.is_lazy else Outcome.ACKNOWLEDGED
                if self.random.random() < 0.7:
                    wake.wake(CONTEXT)
            except RolledBack:
                pass
            except (Error, psycopg.Error):
                self.reconnect()
            self.journal.note(self.name, self.now)
            self.stop.wait(self.random.uniform(0, 0.08))
        self.close()

    def _transaction(self) -> None:
        hold = self.random.choices((0.0, self.random.uniform(0.02, 0.5), self.random.uniform(1, 5)), (80, 15, 5))[0]
        chosen = self.random.choices(self.kinds(), k=self.random.randrange(1, 4))
        if hold < 1:
            chosen.append(self.count_up)
        with self.begin():
            if self.is_lazy:
                self.execute("SET LOCAL synchronous_commit = off")
            self.execute("SET LOCAL lock_timeout = '2s'")
            self.witness()
            for act in chosen:
                act()
                self.now.kinds.append(act.__name__)
            self.stop.wait(hold)
            if self.random.random() < 0.07:
                raise RolledBack
            self.now.outcome = Outcome.UNKNOWN

    # ---- its way to the database --------------------------------------------------------------------------------------

    def begin(self) -> contextlib.AbstractContextManager[Any]:
        raise NotImplementedError

    def execute(self, sql: str, *params: object) -> None:
        raise NotImplementedError

    def copy(self, lines: list[tuple[str, str]]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def reconnect(self) -> None:
        """After an error. The database may be away for a while."""
        self.close()
        self.stop.wait(0.2)

    def kinds(self) -> list[Callable[[], None]]:
        return [self.raw_sql, self.raw_update, self.raw_delete, self.key_change, self.copy_in]

    # ---- what it writes -----------------------------------------------------------------------------------------------

    def own(self) -> str:
        return f"{self.name} {self.random.randrange(OWN)}"

    def shared(self) -> str:
        return f"shared {self.random.randrange(SHARED)}"

    def value(self) -> str:
        return f"{self.count}.{self.random.randrange(10**6)}"

    def effect(self, verb: str, key: str, other: str = "") -> None:
        self.now.effects.append((verb, key, other))

    def witness(self) -> None:
        self.execute("INSERT INTO bank_code VALUES (%s, %s)", self.now.witness, self.name)

    def count_up(self) -> None:
        counter = self.random.choice(COUNTERS)
        self.execute("UPDATE bank_account SET balance = balance + 1 WHERE handle = %s", counter)
        self.now.counts[counter] += 1

    def raw_sql(self) -> None:
        key, value = self.own(), self.value()
        self.execute(self.random.choice((PUT, MERGE)), key, value)
        self.effect("put", key, value)
        self.execute(PUT, self.shared(), value)

    def raw_update(self) -> None:
        key, value = self.own(), self.value()
        self.execute("UPDATE bank_code SET meaning = %s WHERE code = %s", value, key)
        self.effect("change", key, value)

    def raw_delete(self) -> None:
        key = self.own()
        self.execute("DELETE FROM bank_code WHERE code IN (%s, %s)", key, self.shared())
        self.effect("drop", key)

    def key_change(self) -> None:
        key, other = self.own(), self.own()
        if key != other:
            self.execute(MOVE, other, key, other)
            self.effect("move", key, other)

    def copy_in(self) -> None:
        lines = {self.own(): self.value() for _ in range(3)}
        self.execute("DELETE FROM bank_code WHERE code = ANY(%s)", list(lines))
        self.copy(list(lines.items()))
        for key, value in lines.items():
            self.effect("put", key, value)


class Program(Writer):
    """Another program: psycopg, no Django, statements as they are."""

    connection: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def begin(self):
        if self.connection is None:
            self.connection = connect(SOURCE)
        with self.connection.transaction():
            yield

    def execute(self, sql: str, *params: object) -> None:
        assert self.connection
        self.connection.execute(sql, params or None)

    def copy(self, lines: list[tuple[str, str]]) -> None:
        assert self.connection
        with self.connection.cursor().copy("COPY bank_code (code, meaning) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None

    def kinds(self) -> list[Callable[[], None]]:
        return [*super().kinds(), self.another_program]

    def another_program(self) -> None:
        """Partitions and odd names, that Django does not reach."""
        number, year = self.random.randrange(30), self.random.choice((2025, 2026))
        pick = self.random.random()
        if pick < 0.5:
            self.execute(
                "INSERT INTO bank_reading VALUES (%s, %s, %s) ON CONFLICT (id, year) DO UPDATE SET value = EXCLUDED.value",
                number, year, self.value(),
            )  # fmt: skip
        elif pick < 0.7:
            self.execute("DELETE FROM bank_reading WHERE id = %s AND year = %s", number, 4051 - year)
            self.execute("UPDATE bank_reading SET year = 4051 - year WHERE id = %s AND year = %s", number, year)
        elif pick < 0.73:
            self.execute("TRUNCATE bank_reading_2025")
        else:
            self.execute(WEIRD, number, self.value())


class Shop(Writer):
    """A Django project's own code."""

    @contextlib.contextmanager
    def begin(self):
        with transaction.atomic(using=SOURCE):
            yield

    def execute(self, sql: str, *params: object) -> None:
        with connections[SOURCE].cursor() as cursor:
            cursor.execute(sql, params or None)

    def copy(self, lines: list[tuple[str, str]]) -> None:
        with (
            connections[SOURCE].cursor() as cursor,
            cursor.cursor.copy("COPY bank_code (code, meaning) FROM STDIN") as copy,
        ):
            for line in lines:
                copy.write_row(line)

    def close(self) -> None:
        with contextlib.suppress(Error):
            connections[SOURCE].close()

    def kinds(self) -> list[Callable[[], None]]:
        mine = [self.save, self.bulk_create, self.bulk_update, self.update, self.delete, self.cascade, self.db_cascade]
        return [*super().kinds(), *mine, self.m2m_add, self.m2m_clear, self.swap, self.odd, self.copies]

    @property
    def codes(self) -> Any:
        return Code.objects.using(SOURCE)

    def witness(self) -> None:
        if self.random.random() < 0.3:
            self.codes.create(code=self.now.witness, meaning=self.name)
        else:
            super().witness()

    def save(self) -> None:
        key, value = self.own(), self.value()
        Code(code=key, meaning=value).save(using=SOURCE)
        self.effect("put", key, value)

    def bulk_create(self) -> None:
        lines = {self.own(): self.value() for _ in range(3)}
        self.codes.bulk_create(
            [Code(code=key, meaning=value) for key, value in lines.items()],
            update_conflicts=True, unique_fields=["code"], update_fields=["meaning"],
        )  # fmt: skip
        for key, value in lines.items():
            self.effect("put", key, value)

    def bulk_update(self) -> None:
        lines = {self.own(): self.value() for _ in range(3)}
        self.codes.bulk_update([Code(code=key, meaning=value) for key, value in lines.items()], ["meaning"])
        for key, value in lines.items():
            self.effect("change", key, value)

    def update(self) -> None:
        value = self.value()
        self.codes.filter(code__startswith=f"{self.name} ").update(meaning=value)
        for number in range(OWN):
            self.effect("change", f"{self.name} {number}", value)

    def delete(self) -> None:
        key = self.own()
        self.codes.filter(code=key).delete()
        self.effect("drop", key)

    def account(self) -> Account:
        return Account.objects.using(SOURCE).get_or_create(handle=self.shared())[0]

    def family(self) -> Account:
        """An account with children in each of the tables that refer to it."""
        made = self.account()
        for _ in range(self.random.randrange(1, 3)):
            Transfer.objects.using(SOURCE).create(account=made, amount=Decimal(self.random.randrange(1000)) / 100)
        made.tags.add(*self.random.sample(TAGS, 2))
        if not SavingsAccount.objects.using(SOURCE).filter(pk=made.pk).exists():
            child = SavingsAccount(account_ptr=made, rate=Decimal("0.0125"))
            child.save_base(raw=True, using=SOURCE)
        return made

    def cascade(self) -> None:
        self.family()
        Account.objects.using(SOURCE).filter(handle=self.shared()).delete()

    def db_cascade(self) -> None:
        self.family()
        self.execute("DELETE FROM bank_account WHERE handle = %s", self.shared())

    def m2m_add(self) -> None:
        self.account().tags.add(*self.random.sample(TAGS, 3))

    def m2m_clear(self) -> None:
        self.account().tags.clear()

    def swap(self) -> None:
        """Two rows change their unique values."""
        first, second = self.account(), self.account()
        if first.pk != second.pk:
            for account, handle in ((first, f"~{self.value()}"), (second, first.handle), (first, second.handle)):
                Account.objects.using(SOURCE).filter(pk=account.pk).update(handle=handle)

    def odd(self) -> None:
        number = self.random.randrange(30)
        Odd.objects.using(SOURCE).update_or_create(
            pk=number,
            defaults={
                "small": number,
                "ratio": self.random.random(),
                "data": self.random.choice(({"a": [1, None]}, [], None, "x")),
                "raw": self.random.randbytes(8),
                "words": ["ä", '"'],
                "at": dt.datetime.now(dt.UTC),
            },
        )
        Pair.objects.using(SOURCE).update_or_create(
            left=number % 5, right=self.shared(), day=dt.date(2026, 1, 1), defaults={"weight": self.random.random()}
        )

    def copies(self) -> None:
        """A table of another context, of which the service has a copy of some columns."""
        email = f"{self.shared()}@example.com"
        Person.objects.using(SOURCE).update_or_create(email=email, defaults={"password": "never", "note": self.value()})
        if self.random.random() < 0.3:
            Person.objects.using(SOURCE).filter(email=f"{self.shared()}@example.com").delete()


def writers(seed: str, journal: Journal, stop: threading.Event, shops: int = 6, programs: int = 3) -> list[threading.Thread]:
    made = [Shop(f"shop {n}", f"{seed} shop {n}", journal, stop) for n in range(shops)]
    more = [Program(f"program {n}", f"{seed} program {n}", journal, stop) for n in range(programs)]
    return [threading.Thread(target=one.run, name=one.name, daemon=True) for one in (*made, *more)]
