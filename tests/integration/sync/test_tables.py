"""Any table of any Django project: each kind of column, key and name travels without loss."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from decimal import Decimal

import pytest
from django.db import models
from django.db.utils import DatabaseError

from strangler.errors import Misconfigured
from strangler.sync import collections, drift
from strangler.sync.database import connection, rows
from tests.integration.sync.bank.models import Account, Odd, Pair, SavingsAccount, Tag
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect

FULL = {
    "small": -7,
    "ratio": 1e-7,
    "price": Decimal("12345678901234567890.0123456789"),
    "yes": False,
    "text": "ä\n\"q\" 'a' %s \\ \U0001f600",
    "day": dt.date(1, 1, 1),
    "at": dt.datetime(2026, 10, 25, 0, 30, 0, 1, dt.UTC),
    "clock": dt.time(23, 59, 59, 999999),
    "span": dt.timedelta(days=-1, microseconds=1),
    "token": uuid.UUID(int=1),
    "raw": b"\x00\xff" * 60,
    "data": {"n": None, "big": 2**70, "exact": 1.10, "ä": ["x", {}]},
    "words": ["a", None, 'b"c', ""],
    "prices": [Decimal("1.10"), Decimal("-0.01")],
    "address": "2001:db8::1",
}
SMALLER = {"price": Decimal("12345.0123456789"), "words": None, "prices": None}  # what SQLite has room for


def test_every_kind_of_column_arrives_as_it_was(estate):
    full = FULL if connection(SOURCE).vendor == "postgresql" else {**FULL, **SMALLER}
    made = Odd.objects.using(SOURCE).create(**full)
    if connection(SOURCE).vendor == "postgresql":
        rows(
            'UPDATE "Odd Table" SET during = \'["2026-01-01 00:00+00","2027-01-01 00:00+00")\' WHERE "The Id" = %s',
            [made.pk],
            SOURCE,
        )
    Odd.objects.using(SOURCE).create()
    estate.drain()
    estate.assert_equal("bank.Odd")
    for alias in (SOURCE, DESTINATION):
        read = Odd.objects.using(alias).get(pk=made.pk)
        found = {name: bytes(value) if name == "raw" else value for name, value in ((n, getattr(read, n)) for n in full)}
        assert found == full
        assert read.doubled == -14, "generated columns are left out, and generated again"


@pytest.mark.only("postgresql", "these values; test_sqlite has those of SQLite")
@pytest.mark.parametrize(
    ("column", "literal"),
    [
        ("at", "'infinity'"),
        ("at", "'4714-11-24 00:00:00+00 BC'"),
        ("at", "'294276-12-31 23:59:59.999999+00'"),
        ("day", "'-infinity'"),
        ("ratio", "'NaN'"),
        ("ratio", "'-Infinity'"),
        ("ratio", "'5e-324'"),
        ("price", "'NaN'"),
        ("data", "'null'::jsonb"),
        ("data", '\'{"x": 1.10, "y": 123456789012345678901234567890.5}\''),
        ("span", "'1 year 2 mons'"),
        ("words", "'{}'"),
        ("words", "'{{a,b},{c,d}}'"),
        ("during", "'empty'"),
        ("during", "'[2026-01-01 00:00:00+00,infinity)'"),
        ("day", "'0044-03-15 BC'"),
        ("raw", "''"),
        ('"Täxt"', "''"),
    ],
)
def test_values_at_the_edge_arrive_as_they_were(estate, column, literal):
    rows(f'INSERT INTO "Odd Table" ({column}) VALUES ({literal})', using=SOURCE)
    estate.drain()
    read = f'SELECT "The Id", {column}::text FROM "Odd Table"'
    assert rows(read, using=SOURCE) == rows(read, using=DESTINATION)
    assert drift.check(CONTEXT, ["bank.Odd"], using=SOURCE, client=estate.service).differing == []


def test_composite_keys_many_to_many_and_inheritance(estate):
    Pair.objects.using(SOURCE).bulk_create(
        [Pair(left=1, right=text, day=dt.date(2026, 1, 2), weight=0.5) for text in ("a", 'b"/c', "")]
    )
    savings = SavingsAccount.objects.using(SOURCE).create(handle="s", rate=Decimal("0.0125"))
    savings.tags.add(Tag.objects.using(SOURCE).create(word="w"))
    estate.drain()
    estate.assert_equal()
    Pair.objects.using(SOURCE).filter(right="").delete()
    savings.tags.clear()
    estate.drain()
    estate.assert_equal()
    assert len(estate.table("bank.Pair", DESTINATION)) == 2
    assert SavingsAccount.objects.using(DESTINATION).get().rate == Decimal("0.0125")


@pytest.mark.only("postgresql", "settings of a session")
def test_keys_do_not_depend_on_the_sessions_settings(estate):
    with closing(abroad := connect(SOURCE, timezone="'Asia/Tokyo'", datestyle="'SQL, DMY'", bytea_output="'escape'")):
        abroad.execute("INSERT INTO bank_pair VALUES (1, 'x', '2026-02-01', 1)")
    assert estate.pointers() == [("bank.Pair", '[1, "x", "2026-02-01"]')]
    estate.drain()
    estate.assert_equal("bank.Pair")


def test_names_that_need_quoting(estate):
    with closing(program := connect(SOURCE)):
        program.execute("INSERT INTO \"we\"\"ird %s table\" VALUES (1, 'a'), (2, 'b')")
        program.execute('UPDATE "we""ird %s table" SET "it\'s 5%" = \'c\' WHERE "the ""id"" 100%s" = 2')
    estate.drain()
    estate.assert_equal("bank.Weird")
    assert len(estate.table("bank.Weird", DESTINATION)) == 2
    assert drift.check(CONTEXT, ["bank.Weird"], using=SOURCE, client=estate.service).rows_checked == 2


def test_a_table_without_a_key_is_refused_by_name(estate):
    rows("CREATE TABLE bank_keyless (a int, b int UNIQUE)", using=SOURCE)
    try:
        with pytest.raises(Misconfigured, match=r"bank_keyless of bank\.Keyless has no primary key"):
            collections.describe("bank.Keyless", CONTEXT, "bank_keyless", ("a",), using=SOURCE)
    finally:
        rows("DROP TABLE bank_keyless", using=SOURCE)
    with pytest.raises(Misconfigured, match="does not exist; run manage.py migrate"):
        collections.describe("bank.Nowhere", CONTEXT, "bank_nowhere", ("id",), using=SOURCE)


def test_a_unique_index_serves_where_the_model_says_so(estate):
    rows("CREATE TABLE bank_natural (a text NOT NULL, b int)", using=SOURCE)
    rows("CREATE UNIQUE INDEX natural_a ON bank_natural (a)", using=SOURCE)
    try:
        found = collections.describe("bank.Natural", CONTEXT, "bank_natural", ("a",), using=SOURCE)
        assert [column.name for column in found.key] == ["a"]
    finally:
        rows("DROP TABLE bank_natural", using=SOURCE)


def test_proxies_have_no_table_of_their_own_and_m2m_tables_do(estate):
    names = [collection.name for collection in collections.for_context(CONTEXT, SOURCE)]
    assert "bank.Account_tags" in names
    assert "bank.SavingsAccount" in names
    assert all(not issubclass(model, models.Model) or not model._meta.proxy for model in collections.own_models(CONTEXT))


def test_a_column_that_was_dropped_meanwhile_is_noticed(estate):
    rows("ALTER TABLE bank_tag ADD COLUMN extra int", using=SOURCE)
    collections.forget()
    try:
        Tag.objects.using(SOURCE).create(word="with the column")
        collections.for_context(CONTEXT, SOURCE)
        rows("ALTER TABLE bank_tag DROP COLUMN extra", using=SOURCE)
        with pytest.raises(Exception, match="extra"):
            estate.relay()
        rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
        estate.drain()
        estate.assert_equal("bank.Tag")
    finally:
        with contextlib.suppress(DatabaseError):  # it is gone
            rows("ALTER TABLE bank_tag DROP COLUMN extra", using=SOURCE)
        collections.forget()


def test_accounts_with_large_decimals_keep_every_digit(estate):
    Account.objects.using(SOURCE).create(handle="rich", balance=Decimal("999999999999.99"))
    estate.drain()
    assert Account.objects.using(DESTINATION).get().balance == Decimal("999999999999.99")
