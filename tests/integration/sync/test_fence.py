"""P15, P16: only the owner's side writes; the owner changes by rules that two processes can't break."""

from __future__ import annotations

import psycopg
import pytest
from django.db import transaction

from strangler.errors import Fenced, StaleEpoch
from strangler.sync import fence, ownership, sequences
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, is_waiting_for_a_lock, wait_for
from tests.integration.sync.servers import name_of


@pytest.mark.only("postgresql", "TRUNCATE, COPY and partitions; test_sqlite has the other writes")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO bank_code (code) VALUES ('x')",
        "UPDATE bank_code SET meaning = 'x'",
        "DELETE FROM bank_code",
        "TRUNCATE bank_code",
        "COPY bank_code (code) FROM STDIN",
        "INSERT INTO bank_reading VALUES (1, 2025, 'x')",
        "INSERT INTO bank_reading_2026 VALUES (1, 2026, 'x')",
        "TRUNCATE bank_reading_2026",
    ],
)
def test_p15_every_kind_of_write_is_refused_on_the_other_side(estate, statement):
    def write() -> None:
        if statement.startswith("COPY"):
            with program.cursor().copy(statement) as copy:
                copy.write_row(("x",))
        else:
            program.execute(statement)

    with closing(program := connect(DESTINATION)), pytest.raises(psycopg.Error) as refused:
        write()
    assert refused.value.sqlstate == "SF001"
    assert "owned by monolith" in str(refused.value)


def test_p15_the_refusal_becomes_fenced_with_owner_and_epoch(estate):
    estate.hand_over("service", 7)
    with pytest.raises(Fenced) as refused, fence.translate():
        Code.objects.using(SOURCE).create(code="x")
    assert (refused.value.context, refused.value.owner, refused.value.epoch) == (CONTEXT, "service", 7)
    Code.objects.using(DESTINATION).create(code="x")


def test_p15_none_may_write_while_nobody_owns(estate):
    estate.hand_over("none", 1)
    for alias in (SOURCE, DESTINATION):
        with pytest.raises(Fenced), fence.translate():
            Code.objects.using(alias).create(code="x")


@pytest.mark.only("postgresql", "settings of a session")
def test_p15_replica_role_does_not_pass_the_fence(estate):
    with (
        closing(program := connect(DESTINATION, session_replication_role="replica")),
        pytest.raises(psycopg.Error, match="owned by"),
    ):
        program.execute("INSERT INTO bank_code (code) VALUES ('x')")


@pytest.mark.only("postgresql", "advisory locks; test_sqlite has the rule for SQLite")
def test_p15_a_writer_that_waited_while_the_owner_changed_is_refused(estate, threads):
    """Its statement began before the change. With lock and owner read in one statement, or STABLE, it would pass."""
    with closing(changer := connect(SOURCE), writer := connect(SOURCE)):
        changer.execute("BEGIN")
        changer.execute("SELECT pg_advisory_xact_lock(%s)", [key()])
        changer.execute("UPDATE strangler_ownership SET owner = 'none', epoch = 1")
        refused: list[str | None] = []

        def write() -> None:
            try:
                writer.execute("INSERT INTO bank_code (code) VALUES ('blind')")
                refused.append(None)
            except psycopg.Error as error:
                refused.append(error.sqlstate)

        threads.start(write)
        wait_for(lambda: is_waiting_for_a_lock(SOURCE, writer.info.backend_pid), "the writer waiting")
        changer.execute("COMMIT")
        threads.join()
    assert refused == ["SF001"]


@pytest.mark.only("postgresql", "isolation levels; test_sqlite has the rule for SQLite")
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_p15_an_old_snapshot_fails_instead_of_passing_blind(estate, isolation):
    with closing(writer := connect(SOURCE)):
        writer.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        writer.execute("SELECT count(*) FROM bank_code")
        ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
        with pytest.raises(psycopg.errors.SerializationFailure):
            writer.execute("INSERT INTO bank_code (code) VALUES ('blind')")


def test_p15_the_change_waits_for_writers_but_not_for_long(estate):
    with closing(writer := connect(SOURCE)):
        writer.execute("BEGIN")
        writer.execute("INSERT INTO bank_code (code) VALUES ('under way')")
        with pytest.raises(ownership.OwnershipBusy, match=name_of(writer)):
            ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", lock_timeout_ms=20, tries=2, using=SOURCE)
        assert ownership.get(CONTEXT, SOURCE).owner == "monolith"
        writer.execute("COMMIT")
    ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
    assert estate.pointers() == [("bank.Code", "under way")], "what was written before the fence is noted"


@pytest.mark.only("postgresql", "advisory locks; test_sqlite has the rule for SQLite")
def test_p15_a_transaction_keeps_the_lock_to_its_end(estate):
    """Else it could write, let the owner change, and commit after the drain."""
    with closing(writer := connect(SOURCE)):
        writer.execute("BEGIN")
        writer.execute("DELETE FROM bank_code WHERE code = 'nothing there'")
        held = value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = %s", [writer.info.backend_pid], SOURCE)
        writer.execute("ROLLBACK")
    assert held == 1


def key() -> int:
    from strangler.sync.lock import lock_key

    return lock_key(CONTEXT)


def change(epoch: int, owner: str, operation: str = "a") -> ownership.Record:
    return ownership.change(CONTEXT, epoch=epoch, owner=owner, operation=operation, using=SOURCE)


def test_p16_epochs_only_rise(estate):
    change(3, "none")
    with pytest.raises(StaleEpoch, match="epoch 3"):
        change(2, "monolith")
    assert ownership.get(CONTEXT, SOURCE).epoch == 3


def test_p16_the_same_content_again_is_no_change(estate):
    assert change(1, "none") == change(1, "none")


def test_p16_the_same_epoch_with_other_content_is_refused(estate):
    change(1, "none", "a")
    with pytest.raises(StaleEpoch):
        change(1, "service", "b")
    change(1, "service", "a")  # how a hand-over ends
    for owner, operation in (("monolith", "a"), ("none", "a"), ("service", "b")):
        with pytest.raises(StaleEpoch):
            change(1, owner, operation)
    assert ownership.get(CONTEXT, SOURCE).owner == "service"


def test_p16_two_that_want_the_same_epoch_get_one_owner(estate, threads):
    change(1, "none", "a")
    outcomes: list[str] = []

    def claim(owner: str, operation: str) -> None:
        try:
            ownership.change(CONTEXT, epoch=2, owner=owner, operation=operation, using=SOURCE)
            outcomes.append(owner)
        except StaleEpoch:
            outcomes.append("refused")

    threads.start(claim, "service", "a")
    threads.start(claim, "monolith", "b")
    threads.join()
    assert sorted(outcomes) in (["refused", "service"], ["monolith", "refused"])


def test_p16_another_database_closes_every_context(estate):
    """A fail-over to a lagging standby, or a restore: the system identifier or the timeline is another one."""
    assert ownership.guard(SOURCE) == []
    rows("UPDATE strangler_ownership SET timeline = timeline - 1", using=SOURCE)
    assert ownership.guard(SOURCE) == [CONTEXT]
    held = ownership.get(CONTEXT, SOURCE)
    assert (held.owner, held.epoch) == ("none", 1)
    with pytest.raises(Fenced), fence.translate():
        Code.objects.using(SOURCE).create(code="x")
    change(2, "monolith", "reconciled")
    Code.objects.using(SOURCE).create(code="x")
    assert ownership.guard(SOURCE) == []


def test_p16_a_change_inside_a_transaction_goes_with_it(estate):
    with transaction.atomic(using=SOURCE):
        change(1, "service")
        transaction.set_rollback(True, using=SOURCE)
    assert ownership.get(CONTEXT, SOURCE).owner == "monolith"


def test_ids_go_on_where_the_other_side_stopped(estate):
    made = Account.objects.using(SOURCE).create(handle="a")
    rows(
        "INSERT INTO bank_account (id, handle, balance, opened_at) VALUES (%s, 'by hand', 0, '2026-01-01 00:00:00')",
        [made.pk + 50],
        SOURCE,
    )
    handed = sequences.next_ids(CONTEXT, SOURCE)
    assert handed["bank_account.id"] == made.pk + 51
    ownership.change(CONTEXT, epoch=1, owner="service", operation="a", next_ids=handed, using=DESTINATION)
    assert Account.objects.using(DESTINATION).create(handle="b").pk == made.pk + 51
    sequences.advance(CONTEXT, {"bank_account.id": 1}, DESTINATION)
    assert Account.objects.using(DESTINATION).create(handle="c").pk == made.pk + 52, "never back"


@pytest.mark.only("postgresql", "settings of a session")
def test_p05_an_origin_that_is_over_does_not_open_the_fence(estate):
    """The session applied something before; its setting reads '' since, not NULL."""
    with closing(program := connect(DESTINATION)):
        with program.transaction():
            program.execute("SELECT set_config('strangler.origin', 'bank', true)")
            program.execute("INSERT INTO bank_code (code) VALUES ('applied')")
        with pytest.raises(psycopg.Error, match="owned by monolith"):
            program.execute("INSERT INTO bank_code (code) VALUES ('own write')")
