"""``sync coverage`` does each kind of write for real, finds the one that is not captured, and leaves nothing behind."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db.models.signals import post_save

from strangler.errors import StranglerError
from strangler.sync import capture, collections, coverage
from strangler.sync.coverage import State
from strangler.sync.database import rows
from strangler.sync.databases.postgresql.ddl import drop_function
from tests.integration.sync import extra
from tests.integration.sync.bank.models import Code, Odd, Pair, SavingsAccount, Tag, Transfer
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect

pytestmark = pytest.mark.only("postgresql", "the proof of coverage, which is written for its kinds of write")

CAPTURED, NONE, UNKNOWN, MISSED = State.CAPTURED, State.NONE, State.UNKNOWN, State.MISSED


def checked() -> dict[str, dict[str, coverage.Finding]]:
    return {row.collection: row.findings for row in coverage.check(CONTEXT, SOURCE)}


def states(found: dict[str, coverage.Finding], *of: State) -> set[str]:
    return {kind for kind, finding in found.items() if finding.state in of}


@pytest.fixture
def filled(estate):
    account = SavingsAccount.objects.using(SOURCE).create(handle="s", rate="0.01")
    account.tags.add(Tag.objects.using(SOURCE).create(word="w"))
    Transfer.objects.using(SOURCE).create(account=account, amount=1)
    Code.objects.using(SOURCE).create(code="k")
    Pair.objects.using(SOURCE).create(left=1, right="x", day=dt.date(2026, 1, 1))
    Odd.objects.using(SOURCE).create(small=1)
    rows("INSERT INTO bank_reading VALUES (1, 2025, 'x')", using=SOURCE)
    rows('INSERT INTO "we""ird %%s table" VALUES (%s, %s)', [1, "x"], SOURCE)
    estate.forget_pointers()
    return estate


def test_every_kind_of_write_on_every_collection_is_captured(filled):
    heard: list[object] = []
    post_save.connect(lambda **given: heard.append(given), weak=False, dispatch_uid="heard")
    try:
        before = {
            collection.name: filled.table(collection.name, SOURCE) for collection in collections.for_context(CONTEXT, SOURCE)
        }
        found = checked()
        after = {
            collection.name: filled.table(collection.name, SOURCE) for collection in collections.for_context(CONTEXT, SOURCE)
        }
    finally:
        post_save.disconnect(dispatch_uid="heard")
    assert (heard, filled.pointers(), after) == ([], [], before), "nothing is left, and nobody was told"
    assert set(found) == {collection.name for collection in collections.for_context(CONTEXT, SOURCE)}
    by_orm = {"save", "bulk_create", "bulk_update", "update", "delete"}
    assert {name: states(kinds, UNKNOWN, MISSED) for name, kinds in found.items()} == {
        name: by_orm if name == "bank.Weird" else set()
        for name in found  # its columns are beyond Django's ORM, not beyond SQL
    }
    assert states(found["bank.Account"], CAPTURED) >= {"save", "bulk_create", "bulk_update", "update", "delete", "COPY"}
    assert states(found["bank.Account_tags"], CAPTURED) >= {"M2M add", "M2M clear", "cascade", "another program"}
    assert found["bank.SavingsAccount"]["bulk_create"].reason == "Django makes no rows of several tables in bulk"


def test_the_databases_own_cascade(estate):
    foreign = "id int PRIMARY KEY, code text NOT NULL REFERENCES bank_code ON DELETE CASCADE"
    with extra.table(foreign):
        Code.objects.using(SOURCE).create(code="k")
        rows("INSERT INTO bank_extra VALUES (1, 'k')", using=SOURCE)
        assert checked()[extra.NAME]["DB cascade"] == coverage.Finding(CAPTURED)
        drop_function("public.strangler_capture_bank_extra", SOURCE)
        assert checked()[extra.NAME]["DB cascade"].state is MISSED


def test_an_empty_table_gets_a_row_for_the_moment_or_the_answer_is_unknown(estate):
    with extra.table("id int PRIMARY KEY, n int NOT NULL CHECK (n = 42)"):
        found = checked()
        assert states(found["bank.Code"], UNKNOWN, MISSED) == set()
        assert states(found["bank.Account_tags"], UNKNOWN, MISSED) == set()
        assert states(found[extra.NAME], CAPTURED, NONE, MISSED) == set()
        assert "no row of the table is free, and none can be made for it: new row" in found[extra.NAME]["save"].reason
    assert estate.table("bank.Code", SOURCE) == {}


@pytest.mark.parametrize(("event", "missed"), [("insert", {"save", "bulk_create", "raw SQL", "COPY"}), ("update", {"update"})])
def test_a_write_that_is_not_captured_is_found(filled, event, missed):
    rows(f"ALTER TABLE bank_code DISABLE TRIGGER strangler_capture_{event}", using=SOURCE)
    try:
        found = checked()
        assert states(found["bank.Code"], MISSED) >= missed
        assert states(found["bank.Code"], CAPTURED) >= {"delete"}
        assert states(found["bank.Account"], MISSED) == set()
    finally:
        capture.install(collections.for_stream(CONTEXT, SOURCE)["bank.Code"], SOURCE)


def test_a_row_that_somebody_holds_is_left_to_them(filled):
    with closing(holder := connect(SOURCE)):
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM bank_code FOR UPDATE")
        found = checked()["bank.Code"]
        assert states(found, UNKNOWN, MISSED) == set(), "another row is made for it"
        holder.execute("ROLLBACK")


def test_where_this_side_may_not_write_it_says_so(filled):
    with pytest.raises(StranglerError, match="bank is owned by the monolith"):
        coverage.check(CONTEXT, DESTINATION)


def test_the_command_prints_a_matrix_and_ends_with_one_for_what_is_not_green(filled, capsys, monkeypatch):
    from strangler.management import cli

    names = ["bank.Account_tags", "bank.Code", "bank.SavingsAccount"]
    chosen = [collection for collection in collections.for_context(CONTEXT, SOURCE) if collection.name in names]
    monkeypatch.setattr(coverage.collections, "for_context", lambda *_: chosen)
    assert cli.run(["sync", "coverage", CONTEXT]) == 0
    shown = capsys.readouterr().out
    assert "bank.Account_tags" in shown
    assert "– bulk_create: Django makes no rows of several tables in bulk" in shown
    rows("ALTER TABLE bank_code DISABLE TRIGGER strangler_capture_update", using=SOURCE)
    try:
        assert cli.run(["sync", "coverage", CONTEXT, "--json"]) == 1
        assert '"covered": false' in capsys.readouterr().out
        assert cli.run(["sync", "coverage", CONTEXT]) == 1
        assert "✗ bank.Code" in capsys.readouterr().out
    finally:
        capture.install(collections.for_stream(CONTEXT, SOURCE)["bank.Code"], SOURCE)
