"""What is of another kind in SQLite: row triggers, one writer, no session's settings, no ALTER for constraints."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from django.db import connections, models, transaction
from django.db.utils import OperationalError

from strangler.errors import Fenced, Misconfigured
from strangler.seams import claims
from strangler.sync import apply, capture, collections, databases, feed, fence, install, lease, ownership
from strangler.sync.database import port, rows, value
from tests.integration.sync.bank.models import Account, Code, Odd, Transfer
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, wait_for
from tests.integration.sync.servers import SQLiteProgram
from tests.integration.sync.test_apply import code, meanings, put

pytestmark = pytest.mark.only("sqlite", "what is of another kind in SQLite")


@pytest.fixture
def program(estate):
    with closing(opened := connect(SOURCE)):
        yield opened


@pytest.fixture
def accounts(estate) -> tuple[Account, Account]:
    made = tuple(Account.objects.using(SOURCE).create(handle=handle) for handle in ("a", "b"))
    estate.drain()
    return made  # type: ignore[return-value]


# ---- receipts

RECEIPT = (
    "{insert} INTO strangler_receipt (operation, context, verb, who, why, from_stage, from_percent, to_stage, to_percent, "
    "outcome, verdicts, proxies, steps_ms, error, previous, hash) "
    "VALUES ('{operation}', 'bank', 'hold', 'ada', '', 'live', 0, 'live', 0, 'done', '[]', '{{}}', '{{}}', '', 'a', '{hash}')"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE strangler_receipt SET who = 'eve'",
        "DELETE FROM strangler_receipt",
        RECEIPT.format(insert="REPLACE", operation="2", hash="c"),
    ],
)
def test_the_database_refuses_to_touch_a_receipt(estate, program, statement):
    program.execute("BEGIN")
    program.execute(RECEIPT.format(insert="INSERT", operation="1", hash="b"))
    with pytest.raises(sqlite3.IntegrityError, match="strangler_receipt is append-only"):
        program.execute(statement)
    assert program.execute("SELECT hash FROM strangler_receipt").fetchall() == [("b",)]
    program.execute("ROLLBACK")


# ---- capture


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO bank_account (id, handle, balance, opened_at) VALUES (77, 'a', 0, '2026-01-01')",
        "REPLACE INTO bank_account (handle, balance, opened_at) VALUES ('a', 0, '2026-01-01')",
        "UPDATE OR REPLACE bank_account SET handle = 'a' WHERE handle = 'b'",
    ],
)
def test_p01_a_row_that_is_replaced_by_one_of_another_key_is_noted(estate, accounts, program, statement, recursive):
    """SQLite deletes it without firing a DELETE trigger, unless the writer has recursive triggers."""
    program.execute(f"PRAGMA recursive_triggers = {recursive}")
    program.execute(statement)
    assert ("bank.Account", str(accounts[0].pk)) in estate.pointers()
    estate.drain()
    estate.assert_equal("bank.Account")


def test_p01_an_insert_that_replaces_nothing_is_noted_once(estate, accounts, program):
    program.execute("INSERT INTO bank_account (id, handle, balance, opened_at) VALUES (88, 'c', 0, '2026-01-01')")
    program.execute("UPDATE bank_account SET handle = 'd' WHERE id = 88")
    assert estate.pointers() == [("bank.Account", "88")] * 2


def test_p01_a_delete_of_everything_notes_each_row(estate, accounts, program):
    program.execute("DELETE FROM bank_account")
    assert sorted(estate.pointers()) == sorted(("bank.Account", str(account.pk)) for account in accounts)


def test_p01_cascades_of_the_database_are_noted(estate, program):
    rows("CREATE TABLE bank_up (id integer PRIMARY KEY)", using=SOURCE)
    rows(
        "CREATE TABLE bank_down (id integer PRIMARY KEY, up integer REFERENCES bank_up ON DELETE CASCADE ON UPDATE CASCADE)",
        using=SOURCE,
    )
    down = collections.describe("bank.Down", CONTEXT, "bank_down", ("id",), using=SOURCE)
    rows("INSERT INTO strangler_subscription (stream, collection) VALUES ('bank', 'bank.Down')", using=SOURCE)
    try:
        assert capture.install(down, SOURCE)
        for statement in ("INSERT INTO bank_up VALUES (1)", "INSERT INTO bank_down VALUES (5, 1)"):
            program.execute(statement)
        estate.forget_pointers()
        program.execute("UPDATE bank_up SET id = 2")
        program.execute("DELETE FROM bank_up")
        assert estate.pointers() == [("bank.Down", "5")] * 2
    finally:
        rows("DELETE FROM strangler_subscription WHERE collection = 'bank.Down'", using=SOURCE)
        for table in ("bank_down", "bank_up"):
            rows(f"DROP TABLE {table}", using=SOURCE)


def test_p01_names_of_a_sessions_own_do_not_get_in_between(estate, program):
    program.execute("CREATE TEMP TABLE strangler_outbox (stream, collection, key, origin)")
    program.execute("CREATE TEMP TABLE strangler_origin (origin)")
    program.execute("INSERT INTO temp.strangler_origin VALUES ('bank')")
    program.execute("INSERT INTO bank_code (code) VALUES ('hostile names')")
    assert estate.pointers() == [("bank.Code", "hostile names")]


def test_p06_the_id_of_a_pointer_is_never_given_again(estate):
    """Else a relay that deletes by id what it has read could delete what it has not."""
    Code.objects.using(SOURCE).create(code="a")
    first = value("SELECT max(id) FROM strangler_outbox", using=SOURCE)
    estate.forget_pointers()
    Code.objects.using(SOURCE).create(code="b")
    assert value("SELECT min(id) FROM strangler_outbox", using=SOURCE) > first


# ---- origin


def test_p05_an_origin_goes_with_the_transaction_that_set_it(estate, program):
    with pytest.raises(OperationalError, match="no such table"):
        _apply_and_fail()
    with closing(killed := connect(SOURCE)):
        killed.execute("BEGIN IMMEDIATE")
        killed.execute("INSERT INTO strangler_origin VALUES ('bank')")
    with port(SOURCE).applying() as cursor:
        port(SOURCE).enter(cursor, CONTEXT, [], [])
    program.execute("INSERT INTO bank_code (code) VALUES ('ordinary')")
    assert estate.pointers() == [("bank.Code", "ordinary")]


def _apply_and_fail() -> None:
    with port(SOURCE).applying() as cursor:
        port(SOURCE).enter(cursor, CONTEXT, [], [])
        cursor.execute("SELECT * FROM not_there")


def test_p09_foreign_keys_are_looked_at_again_after_an_apply(estate):
    put(estate.event("bank.Transfer", "6f1c0e7a-0000-4000-8000-000000000001", (0, 1, 1), {
        "id": "6f1c0e7a-0000-4000-8000-000000000001", "account_id": 77, "amount": "1.50",
    }))  # fmt: skip
    assert Transfer.objects.using(DESTINATION).get().account_id == 77
    assert value("PRAGMA foreign_keys", using=DESTINATION) == 1


# ---- durability


@pytest.mark.parametrize("what", ["renew", "feed", "apply"])
def test_p07_what_others_rely_on_is_on_disk(estate, what):
    """With ``synchronous = NORMAL``, as here, a commit in WAL mode is not on disk until the next checkpoint."""
    alias = SOURCE if what == "renew" else DESTINATION
    held = lease.take(CONTEXT, SOURCE)
    assert held
    assert value("PRAGMA synchronous", using=alias) == 1
    seen: list[str] = []
    connections[alias].connection.set_trace_callback(seen.append)
    try:
        if what == "renew":
            held.renew()
        elif what == "feed":
            feed.read(CONTEXT, 0, using=DESTINATION)
        else:
            put(code("k", "1", (0, 1, 1)))
    finally:
        connections[alias].connection.set_trace_callback(None)
    full, normal = seen.index("PRAGMA synchronous = 2"), seen.index("PRAGMA synchronous = 1")
    writes = [n for n, statement in enumerate(seen) if statement.lstrip().startswith(("UPDATE", "INSERT", "DELETE", "COMMIT"))]
    assert full < writes[0]
    assert writes[-1] < normal


# ---- fence and ownership


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO bank_code (code) VALUES ('x')",
        "INSERT OR IGNORE INTO bank_code (code) VALUES ('x')",
        "INSERT OR REPLACE INTO bank_code (code) VALUES ('there')",
        "INSERT INTO bank_code (code) VALUES ('there') ON CONFLICT (code) DO UPDATE SET meaning = 'x'",
        "UPDATE bank_code SET meaning = 'x'",
        "UPDATE OR IGNORE bank_code SET meaning = 'x'",
        "DELETE FROM bank_code",
    ],
)
def test_p15_every_kind_of_write_is_refused_on_the_other_side(estate, statement):
    put(code("there", "1", (0, 1, 1)))
    with closing(program := connect(DESTINATION)), pytest.raises(sqlite3.IntegrityError, match="owned by the other side"):
        program.execute(statement)
    assert meanings(estate) == {"there": "1"}


def test_p15_an_old_snapshot_fails_instead_of_passing_blind(estate, program):
    program.execute("BEGIN")
    program.execute("SELECT count(*) FROM bank_code").fetchall()
    ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        program.execute("INSERT INTO bank_code (code) VALUES ('blind')")


def test_p15_a_writer_that_waited_while_the_owner_changed_is_refused(estate, threads):
    refused: list[str] = []
    began = threading.Event()

    def write() -> None:
        with closing(writer := connect(SOURCE)):
            began.set()
            try:
                writer.execute("INSERT INTO bank_code (code) VALUES ('blind')")
            except sqlite3.IntegrityError as error:
                refused.append(str(error))

    with closing(changer := connect(SOURCE)), changer.transaction():
        changer.execute("UPDATE strangler_ownership SET owner = 'none', epoch = 1")
        threads.start(write)
        assert began.wait(10)
    threads.join()
    assert len(refused) == 1


def test_p10_nobody_becomes_owner_while_a_batch_is_in_its_middle(estate):
    outcomes: list[str] = []

    def meanwhile(*_: str) -> None:
        def change() -> None:
            try:
                ownership.change(
                    CONTEXT, epoch=1, owner="service", operation="cut", lock_timeout_ms=20, tries=2, using=DESTINATION
                )
            except ownership.OwnershipBusy as busy:
                outcomes.append(str(busy))
            finally:
                connections.close_all()

        other = threading.Thread(target=change)
        other.start()
        other.join(10)

    apply._hooks.append(meanwhile)
    try:
        put(code("k", "late", (0, 1, 2)))
    finally:
        apply._hooks.remove(meanwhile)
    assert len(outcomes) == 1
    ownership.change(CONTEXT, epoch=1, owner="service", operation="cut", using=DESTINATION)
    with pytest.raises(Exception, match="owned by this side"):
        put(code("k", "later still", (0, 1, 3)))
    assert meanings(estate) == {"k": "late"}


def test_p16_a_file_that_was_put_in_its_place_is_another_database(estate, tmp_path):
    copy = tmp_path / "restored.sqlite3"
    with closing(program := connect(SOURCE)):
        program.execute("VACUUM INTO ?", [str(copy)])
    here = port(SOURCE).identity()
    other = connections[SOURCE].copy(alias="restored")
    other.settings_dict = {**other.settings_dict, "NAME": str(copy)}
    try:
        assert databases.of(other).identity() != here
        assert port(SOURCE).identity() == here
    finally:
        other.close()


# ---- claims


def test_p17_a_claim_fixes_the_owner_to_the_transactions_end(estate):
    with transaction.atomic(using=SOURCE):
        assert claims.claim(CONTEXT) is claims.Claim.LOCAL
        outcomes: list[str] = []

        def change() -> None:
            try:
                ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", lock_timeout_ms=20, tries=2, using=SOURCE)
            except ownership.OwnershipBusy:
                outcomes.append("busy")
            finally:
                connections.close_all()

        other = threading.Thread(target=change)
        other.start()
        other.join(10)
        Code.objects.using(SOURCE).create(code="claimed")
    assert outcomes == ["busy"]


def test_p17_a_claim_waits_for_an_owner_without_holding_up_the_hand_over(estate, threads):
    ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
    found: list[claims.Claim] = []

    def unit() -> None:
        with transaction.atomic(using=SOURCE):
            found.append(claims.claim(CONTEXT, wait_s=20))

    threads.start(unit)
    ownership.change(CONTEXT, epoch=1, owner="service", operation="cut", tries=50, using=SOURCE)
    threads.join()
    assert found == [claims.Claim.REMOTE]


def test_p17_a_claim_with_the_write_lock_in_its_hand_does_not_wait(estate):
    ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
    connections[SOURCE].ensure_connection()
    connections[SOURCE].transaction_mode = "IMMEDIATE"
    try:
        with pytest.raises(Fenced), transaction.atomic(using=SOURCE):
            claims.claim(CONTEXT, wait_s=60)
    finally:
        connections[SOURCE].transaction_mode = None


# ---- tables


@pytest.mark.parametrize(
    ("column", "literal"),
    [
        ("at", "'2026-01-01 00:00:00'"),
        ("at", "'2026-01-01 00:00:00.5'"),
        ("day", "'9999-12-31'"),
        ("clock", "'12:00:00'"),
        ("span", "0"),
        ("span", "-86400000000"),
        ("ratio", "5e-324"),
        ("ratio", "-9e999"),
        ("ratio", "1e21"),
        ("price", "0.1 + 0.2"),
        ("price", "-1"),
        ("data", "'null'"),
        ("data", '\'{"x":1.10,"y":123456789012345678901234567890.5}\''),
        ("raw", "x''"),
        ("raw", "x'00ff'"),
        ('"Täxt"', "''"),
        ("address", "'10.0.0.1'"),
        ("token", "'0000000000000000000000000000000a'"),
        ('"select"', "1"),
    ],
)
def test_values_at_the_edge_arrive_as_they_were(estate, column, literal):
    rows(f'INSERT INTO "Odd Table" ({column}) VALUES ({literal})', using=SOURCE)
    estate.drain()
    read = f'SELECT "The Id", typeof({column}), CAST({column} AS text) FROM "Odd Table"'
    if column == "price":  # fifteen digits, as Django reads it
        read = read.replace(f"CAST({column} AS text)", f"round({column}, 14)")
    if column == "raw":
        read = read.replace("CAST(raw AS text)", "hex(raw)")
    if column == "at":  # as Django writes it
        read = read.replace(f"CAST({column} AS text)", f"julianday({column})")
    assert rows(read, using=SOURCE) == rows(read, using=DESTINATION)
    estate.assert_equal("bank.Odd")


def test_a_value_that_is_none_of_its_column_is_poison_and_not_changed(estate, program):
    """Any column of SQLite holds anything. Nobody is stopped by it, and nobody gets something else."""
    program.execute("INSERT INTO \"Odd Table\" (small, \"Täxt\") VALUES ('many', x'00')")
    Code.objects.using(SOURCE).create(code="good")
    wait_for(lambda: estate.drain() or rows("SELECT 1 FROM strangler_quarantine", using=SOURCE), "the quarantine")
    assert list(estate.table("bank.Code", DESTINATION)) == ["good"]
    assert Odd.objects.using(DESTINATION).count() == 0


@pytest.mark.parametrize("declared", ["decimal", "real"])
def test_a_key_that_sqlite_rounds_is_refused_by_name(estate, declared):
    rows(f"CREATE TABLE bank_rounded (price {declared} NOT NULL PRIMARY KEY)", using=SOURCE)
    try:
        with pytest.raises(Misconfigured, match=r"bank_rounded of bank\.Rounded can't be mirrored by its key: price"):
            collections.describe("bank.Rounded", CONTEXT, "bank_rounded", ("price",), using=SOURCE)
    finally:
        rows("DROP TABLE bank_rounded", using=SOURCE)


def test_p02_a_table_that_a_migration_made_anew_is_found_and_captured_again(estate):
    """Django alters a table of SQLite by making another one; the triggers go with the old one."""
    with connections[SOURCE].schema_editor() as editor:
        editor.alter_field(Code, Code._meta.get_field("meaning"), _like(Code, models.TextField(null=True, default="x")))
        editor._remake_table(Code)
    assert install.missing(CONTEXT, SOURCE) == ["bank_code is not captured", "bank_code is not fenced"]
    install.install(CONTEXT, using=SOURCE)
    assert install.missing(CONTEXT, SOURCE) == []
    Code.objects.using(SOURCE).create(code="after")
    assert estate.pointers() == [("bank.Code", "after")]


def _like(model: type[models.Model], field: models.Field) -> models.Field:
    field.set_attributes_from_name("meaning")
    field.model = model
    return field


def test_p13_a_backfill_waits_for_no_transaction(estate, program):
    """One that is open and has read can't write any more once the subscription is there; one that has written kept it waiting."""
    assert isinstance(program, SQLiteProgram)
    program.execute("BEGIN")
    program.execute("SELECT count(*) FROM bank_code").fetchall()
    rows("INSERT INTO strangler_subscription (stream, collection) VALUES ('late', 'bank.Code')", using=SOURCE)
    try:
        assert port(SOURCE).open_transactions() == []
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            program.execute("INSERT INTO bank_code (code) VALUES ('unnoted')")
    finally:
        program.execute("ROLLBACK")
        rows("DELETE FROM strangler_subscription WHERE stream = 'late'", using=SOURCE)


def test_a_file_that_is_not_in_wal_mode_is_found_by_the_system_check(estate):
    from strangler.sync.checks import check_tables

    assert check_tables(databases=[SOURCE]) == []
    rows("PRAGMA journal_mode = DELETE", using=SOURCE)
    try:
        (found,) = check_tables(databases=[SOURCE])
        assert (found.id, found.hint) == ("strangler.W032", "Run once, in that database: PRAGMA journal_mode = WAL")
    finally:
        rows("PRAGMA journal_mode = WAL", using=SOURCE)


def test_another_database_is_answered_by_one_sentence():
    class Other:
        vendor = "mysql"

    with pytest.raises(Misconfigured, match="of PostgreSQL and SQLite, not of mysql"):
        databases.of(Other())


def test_a_lock_that_is_not_to_be_had_is_told_from_other_errors(estate, program):
    program.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError) as refused, port(SOURCE).writing(patience_ms=10):
        pass
    program.execute("ROLLBACK")
    assert databases.sqlstate(refused.value.__cause__) == "55P03"
    assert value("PRAGMA busy_timeout", using=SOURCE) > 10, "the patience was for that transaction alone"


def test_the_refusal_names_owner_and_epoch_within_a_transaction(estate):
    estate.hand_over("service", 7)
    with pytest.raises(Fenced) as refused, fence.translate(), transaction.atomic(using=SOURCE):
        Code.objects.using(SOURCE).create(code="x")
    assert (refused.value.owner, refused.value.epoch) == ("service", 7)
