"""Receipts in real PostgreSQL: nobody changes one, they are one chain, and what is done to them past all rules is found."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor

from strangler.control import audit, engine, publish, receipts
from strangler.control.models import Operation, Receipt
from strangler.domain.chain import GENESIS, Fault
from strangler.management import cli
from tests.integration.control.conftest import SmallEstate

WHO = {"who": "ada", "why": "a test", "tries": 1}


def make(why: str = "") -> Receipt:
    return Receipt.objects.create(
        operation=uuid.uuid4(),
        context="payments",
        verb="advance",
        who="ada",
        why=why,
        from_stage="mirror",
        from_percent=0,
        to_stage="shadow",
        to_percent=0,
        outcome="done",
        steps_ms={"publish": 1.0, "converge": 12.25},
        pause_ms=88.1,
    )


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _each(cursor, statements: list[str]) -> None:
    for statement in statements:
        cursor.execute(statement)


@pytest.fixture
def forger(transactional_db) -> Callable[[str], None]:
    """What the table's owner can do: take the triggers away, and come back as if nothing had been."""

    def forge(statement: str) -> None:
        execute("ALTER TABLE strangler_receipt DISABLE TRIGGER USER")
        execute(statement)
        execute("ALTER TABLE strangler_receipt ENABLE ALWAYS TRIGGER strangler_append_only")
        execute("ALTER TABLE strangler_receipt ENABLE ALWAYS TRIGGER strangler_append_only_truncate")

    return forge


# ---- append-only ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE strangler_receipt SET who = 'eve'",
        "UPDATE strangler_receipt SET hash = hash",
        "DELETE FROM strangler_receipt",
        "TRUNCATE strangler_receipt",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; TRUNCATE strangler_receipt; COMMIT",
        "SET session_replication_role = replica; DELETE FROM strangler_receipt",
        "INSERT INTO strangler_receipt SELECT * FROM strangler_receipt ON CONFLICT (id) DO UPDATE SET who = 'eve'",
    ],
)
def test_the_database_refuses_to_touch_a_receipt(statement: str) -> None:
    make()
    beside = connection.copy()
    try:
        with beside.cursor() as cursor, pytest.raises(DatabaseError, match="strangler_receipt is append-only|permission denied"):
            _each(cursor, statement.split("; "))
    finally:
        beside.close()
    assert Receipt.objects.get().who == "ada"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_with_an_old_snapshot_empties_nothing_that_it_does_not_see() -> None:
    beside = connection.copy()
    try:
        with beside.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM strangler_receipt")
            make()
            with pytest.raises(DatabaseError, match="append-only"):
                cursor.execute("TRUNCATE strangler_receipt")
    finally:
        beside.close()
    assert Receipt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_receipt_that_was_read_can_not_be_saved_or_deleted() -> None:
    receipt = make()
    with pytest.raises(DatabaseError, match="append-only"):
        receipt.save()
    with pytest.raises(DatabaseError, match="append-only"):
        receipt.delete()


@pytest.mark.django_db(transaction=True)
def test_an_empty_table_may_be_truncated_as_every_test_suite_does() -> None:
    execute("TRUNCATE strangler_receipt")


@pytest.mark.django_db(transaction=True)
def test_who_writes_past_the_chain_is_refused() -> None:
    receipt = make()
    fields = {name: getattr(receipt, name) for name in (*audit.COMPARED, "verdicts", "proxies", "steps_ms")}
    with pytest.raises(IntegrityError):
        Receipt.objects.bulk_create([Receipt(operation=uuid.uuid4(), **fields)])
    fork = Receipt(operation=uuid.uuid4(), previous=receipt.previous, hash="f" * 64, id=7, **fields)
    with pytest.raises(IntegrityError):
        Receipt.objects.bulk_create([fork])


@pytest.mark.django_db(transaction=True)
def test_the_migration_chains_what_is_there_and_goes_without_a_trace() -> None:
    """Back to before it, with receipts of then, gaps included; forward; and all the way out."""
    executor = MigrationExecutor(connection)
    executor.migrate([("strangler", "0006_shape")])
    old = executor.loader.project_state(("strangler", "0006_shape")).apps.get_model("strangler", "Receipt")
    for number in (1, 2, 5):
        fields = {"context": "payments", "verb": "advance", "who": "ada", "from_stage": "mirror", "from_percent": 0}
        old.objects.create(
            id=number, operation=uuid.uuid4(), to_stage="shadow", to_percent=0, outcome="done", pause_ms=1e-7, **fields
        )
    try:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes("strangler"))
        assert audit.verify().broken is None
        assert [make("the next").pk, audit.verify().count] == [6, 4]
        MigrationExecutor(connection).migrate([("strangler", None)])
        with connection.cursor() as cursor:
            cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'strangler_append%'")
            assert cursor.fetchall() == []
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes("strangler"))


# ---- one chain ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_receipt_that_was_rolled_back_leaves_neither_gap_nor_fork() -> None:
    first = make()
    with transaction.atomic():
        make("never was")
        transaction.set_rollback(True)
    second = make()
    assert (first.previous, second.previous, second.pk) == (GENESIS, first.hash, first.pk + 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_end_at_once_one_is_chained_to_the_other() -> None:
    """The second begins while the first is not committed, and the first of three is rolled back at last."""
    written, go, threads = threading.Event(), threading.Event(), []

    def roll_back() -> None:
        try:
            with transaction.atomic():
                make("never was")
                written.set()
                go.wait(10)
                transaction.set_rollback(True)
        finally:
            connections.close_all()

    def append(number: int) -> None:
        try:
            make(f"writer {number}")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=roll_back), *(threading.Thread(target=append, args=(number,)) for number in range(6))]
    threads[0].start()
    assert written.wait(10)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(20)
    walked = audit.verify()
    assert (walked.count, walked.broken) == (6, None)
    assert list(Receipt.objects.order_by("id").values_list("id", flat=True)) == list(range(1, 7))


@pytest.mark.django_db(transaction=True)
def test_with_one_snapshot_a_fork_is_refused_by_the_database() -> None:
    """REPEATABLE READ: the newest receipt that it sees is not the newest."""
    make()
    begun, done, refused = threading.Event(), threading.Event(), []

    def append() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT count(*) FROM strangler_receipt")
                begun.set()
                done.wait(10)
                make("on an old snapshot")
        except IntegrityError as error:
            refused.append(str(error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=append)
    thread.start()
    assert begun.wait(10)
    make("meanwhile")
    done.set()
    thread.join(20)
    assert len(refused) == 1
    assert (audit.verify().count, audit.verify().broken) == (2, None)


# ---- what is found ----------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(estate: SmallEstate) -> SmallEstate:
    """Three receipts of the engine, the last one younger than every route table."""
    engine.travel("advance", "payments", to="canary", percent=10, **WHO)
    return estate


def test_the_engine_s_receipts_are_a_chain_and_a_route_table_remembers_it(moved: SmallEstate) -> None:
    walked = audit.verify()
    assert (walked.count, walked.broken) == (3, None)
    table = publish.newest()
    assert table is not None
    assert table.snapshot["receipts"] == {"id": 2, "hash": Receipt.objects.get(id=2).hash}
    assert publish.carried_snapshot(moved.redis)["receipts"]["id"] == 2
    assert publish.redeclare() is False  # a newer receipt alone makes no new table
    with pytest.raises(DatabaseError, match="append-only"):
        Receipt.objects.update(who="eve")


def test_a_changed_receipt_is_told_with_what_it_was(moved: SmallEstate, forger, capsys) -> None:
    forger("UPDATE strangler_receipt SET who = 'eve' WHERE id = 2")
    code, said = ask(capsys, "receipts", "verify")
    assert (code, said["broken"]["id"], said["broken"]["fault"]) == (1, 2, Fault.CHANGED)
    assert said["broken"]["said"] == "receipt 2 was changed: who is 'eve', was 'ada', as its operation says"


def test_a_missing_receipt_is_told(moved: SmallEstate, forger, capsys) -> None:
    forger("DELETE FROM strangler_receipt WHERE id = 2")
    Operation.objects.filter(to_stage="shadow").delete()
    code, said = ask(capsys, "receipts", "verify")
    assert (code, said["broken"]["id"], said["broken"]["fault"]) == (1, 2, Fault.MISSING)


def test_the_last_receipt_cut_off_is_told_by_its_operation(moved: SmallEstate, forger, capsys) -> None:
    forger("DELETE FROM strangler_receipt WHERE id = 3")
    code, said = ask(capsys, "receipts", "verify")
    assert (code, said["broken"]["id"], said["broken"]["fault"]) == (1, 3, Fault.CUT_OFF)
    assert "receipt 3 is cut off: that of advance payments by ada" in said["broken"]["said"]


def test_a_cut_off_end_is_told_by_the_route_table_although_the_operations_went_too(moved: SmallEstate, forger) -> None:
    forger("DELETE FROM strangler_receipt WHERE id > 1")
    Operation.objects.exclude(to_stage="mirror").delete()
    broken = audit.verify().broken
    assert broken is not None
    assert (broken.id, broken.fault) == (2, Fault.CUT_OFF)
    publish.RouteTableVersion.objects.all().delete()
    broken = audit.verify().broken
    assert broken is not None
    assert "in Redis remembers receipt 2" in broken.said


def test_an_export_is_judged_without_the_database_and_remembers_for_it(
    moved: SmallEstate, forger, capsys, tmp_path: Path
) -> None:
    code, out, _ = say(capsys, "receipts", "export")
    file = tmp_path / "receipts.jsonl"
    file.write_text(out)
    assert (code, len(out.splitlines())) == (0, 3)
    head = ask(capsys, "receipts", "verify")[1]["head"]
    assert ask(capsys, "receipts", "verify", "--file", str(file), "--head", head)[0] == 0
    later = say(capsys, "receipts", "export", "--since", "1")[1]
    assert [json.loads(line)["id"] for line in later.splitlines()] == [2, 3]
    assert say(capsys, "receipts", "export", "--since", "2999-01-01")[1] == ""

    forger("UPDATE strangler_receipt SET error = 'none of it' WHERE id = 1")
    code, said = ask(capsys, "receipts", "verify", "--against", str(file))
    assert (code, said["broken"]["said"]) == (1, "receipt 1 was changed: error is 'none of it', was ''")

    file.write_text(out.replace('"who":"ada"', '"who":"eve"', 1))
    assert ask(capsys, "receipts", "verify", "--file", str(file))[1]["broken"]["id"] == 1
    file.write_text("".join(out.splitlines(keepends=True)[:2]))
    code, said = ask(capsys, "receipts", "verify", "--file", str(file), "--head", head)
    assert (code, said["broken"]["fault"], said["broken"]["id"]) == (1, Fault.CUT_OFF, 3)
    file.write_text("".join(out.splitlines(keepends=True)[1:]))
    code, text, _ = say(capsys, "receipts", "verify", "--file", str(file))
    assert (code, "from receipt 2 on" in text) == (0, True)


def test_misuse_is_a_sentence(moved: SmallEstate, capsys, tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_text("{}\n")
    for words, sentence in {
        ("show", "99"): "there is no receipt 99; see: strangler receipts",
        ("verify", "--head", "3"): "a head is NUMBER:HASH",
        ("verify", "--file", str(tmp_path / "rubbish")): "line 1, is not a receipt",
        ("verify", "--file", str(tmp_path / "nothing")): "can not be read",
        ("export", "--since", "yesterday"): "a day (2026-01-31)",
        ("nothing",): "there is no context 'nothing'",
    }.items():
        code, _, err = say(capsys, "receipts", *words)
        assert (code, sentence in err) == (2, True), err


# ---- reading them -----------------------------------------------------------------------------------------------------


def ask(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str, str]:
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_they_are_listed_with_the_newest_last(moved: SmallEstate, capsys) -> None:
    code, out, _ = say(capsys, "receipts", "payments")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["receipt", "1", "2", "3"]
    assert [line.split()[0] for line in say(capsys, "receipts", "--limit", "2")[1].splitlines()] == ["receipt", "2", "3"]
    assert [one["id"] for one in ask(capsys, "receipts")[1]["receipts"]] == [1, 2, 3]


def test_each_has_the_command_that_takes_it_back(moved: SmallEstate, capsys) -> None:
    back = {number: ask(capsys, "receipts", "show", str(number))[1]["inverse"] for number in (1, 2, 3)}
    assert back == {
        1: "strangler rollback payments --to monolith",
        2: "strangler rollback payments --to mirror",
        3: "strangler rollback payments --to shadow",
    }
    assert "payments is canary 10 % by now" in say(capsys, "receipts", "show", "2")[1]
    assert cli.run(back[3].split()[1:]) == 0
    capsys.readouterr()
    said = ask(capsys, "receipts", "show", "4")[1]
    assert said["inverse"] == "strangler advance payments --to canary --percent 10"
    assert cli.run(said["inverse"].split()[1:]) == 0


def test_without_an_inverse_it_says_why(moved: SmallEstate, capsys) -> None:
    held = engine.hold("payments", 0.1, who="ada")
    assert receipts.inverse(held) == receipts.Inverse(reason="a hold moves nothing, and ended by itself")
    undone = make()
    undone.outcome = "undone"
    assert "nothing to take back: it was undone, and payments is mirror as before" in receipts.inverse(undone).reason
    code, out, _ = say(capsys, "receipts", "show", str(held.pk))
    assert code == 0
    assert "no command: a hold moves nothing" in out
