"""P8, P9, P10: newer versions only, no order between keys, never against the owner."""

from __future__ import annotations

import pytest

from strangler.domain.envelope import BadEvent, Event, Op, Version
from strangler.errors import StaleEpoch
from strangler.sync import apply, ownership
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code, Transfer
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, is_waiting_for_a_lock, wait_for
from tests.integration.sync.people.models import Person
from tests.integration.sync.servers import acts_as_anybody, hush, shout


def code(key: str, meaning: str | None, version: tuple[int, int, int]) -> Event:
    return Event(CONTEXT, Op.UPSERT, "bank.Code", key, Version(*version), {"code": key, "meaning": meaning})


def gone(key: str, version: tuple[int, int, int]) -> Event:
    return Event(CONTEXT, Op.DELETE, "bank.Code", key, Version(*version))


def reset(version: tuple[int, int, int]) -> Event:
    return Event(CONTEXT, Op.RESET, "bank.Code", None, Version(*version))


def put(*events: Event) -> apply.Outcome:
    return apply.apply(events, using=DESTINATION)


def meanings(estate) -> dict[str, str]:
    return {row.code: row.meaning for row in Code.objects.using(DESTINATION).order_by("code")}


def test_p08_only_a_greater_version_is_applied(estate):
    assert put(code("k", "2", (0, 1, 5))).applied == ["bank.Code/k"]
    for older in ((0, 1, 5), (0, 1, 4), (0, 0, 9)):
        assert put(code("k", "older", older)).skipped == ["bank.Code/k"]
    assert meanings(estate) == {"k": "2"}
    for newer in ((0, 1, 6), (0, 2, 1), (1, 0, 0)):
        assert put(code("k", str(newer), newer)).applied == ["bank.Code/k"]
    assert meanings(estate) == {"k": "(1, 0, 0)"}


def test_p08_a_late_upsert_does_not_raise_the_dead(estate):
    put(code("k", "1", (0, 1, 1)))
    put(gone("k", (0, 1, 3)))
    assert put(code("k", "late", (0, 1, 2))).skipped == ["bank.Code/k"]
    assert meanings(estate) == {}


def test_p08_a_delete_of_a_key_that_never_was_leaves_a_tombstone(estate):
    put(gone("k", (0, 1, 3)))
    assert put(code("k", "late", (0, 1, 2))).skipped == ["bank.Code/k"]
    assert meanings(estate) == {}


def test_p08_deleted_and_inserted_again_is_there(estate):
    put(code("k", "1", (0, 1, 1)))
    put(gone("k", (0, 1, 2)))
    put(code("k", "again", (0, 1, 3)))
    assert meanings(estate) == {"k": "again"}


def test_p08_within_a_batch_the_newest_of_a_key_counts(estate):
    put(code("k", "new", (0, 1, 2)), code("k", "old", (0, 1, 1)), code("other", "x", (0, 1, 1)))
    assert meanings(estate) == {"k": "new", "other": "x"}


@pytest.mark.only("postgresql", "row locks; test_sqlite has the rule for SQLite")
def test_p08_two_batches_at_once_end_with_the_newer(estate, threads):
    """The second waits for the first to commit, and then compares with what that wrote."""
    put(code("k", "0", (0, 1, 1)))
    with closing(blocker := connect(DESTINATION)):
        blocker.execute("BEGIN")
        blocker.execute("SELECT 1 FROM bank_code WHERE code = 'k' FOR UPDATE")
        pids: list[int] = []

        def newer() -> None:
            pids.append(value("SELECT pg_backend_pid()", using=DESTINATION))
            put(code("k", "newer", (0, 2, 9)))

        def older() -> None:
            pids.append(value("SELECT pg_backend_pid()", using=DESTINATION))
            put(code("k", "older", (0, 1, 8)))

        threads.start(newer)
        wait_for(
            lambda: len(pids) == 1 and is_waiting_for_a_lock(DESTINATION, pids[0]), "the newer one, with its version written"
        )
        threads.start(older)
        wait_for(lambda: len(pids) == 2 and is_waiting_for_a_lock(DESTINATION, pids[1]), "the older one, behind it")
        blocker.execute("COMMIT")
    threads.join()
    assert meanings(estate) == {"k": "newer"}


def test_p08_a_batch_is_applied_whole_or_not_at_all(estate):
    def fails(collection: str, key: str, op: str) -> None:
        raise RuntimeError("a receiver fails")

    apply._hooks.append(fails)
    try:
        with pytest.raises(RuntimeError):
            put(code("a", "1", (0, 1, 1)), code("b", "1", (0, 1, 1)))
    finally:
        apply._hooks.remove(fails)
    assert meanings(estate) == {}
    assert put(code("a", "1", (0, 1, 1))).applied == ["bank.Code/a"], "its version was undone with it"


def test_p08_a_reset_deletes_what_is_older_and_holds_back_what_comes_late(estate):
    put(code("old", "1", (0, 1, 1)), code("kept", "1", (0, 1, 5)))
    put(reset((0, 1, 4)), code("new", "1", (0, 1, 4)))
    assert set(meanings(estate)) == {"kept", "new"}
    assert put(code("never seen", "late", (0, 1, 3))).skipped == ["bank.Code/never seen"]
    assert put(reset((0, 1, 2))).skipped == ["bank.Code"]
    assert set(meanings(estate)) == {"kept", "new"}


def test_p09_children_may_come_before_their_parents(estate):
    transfer = "6f1c0e7a-0000-4000-8000-000000000001"
    event = estate.event("bank.Transfer", transfer, (0, 1, 1), {"id": transfer, "account_id": 77, "amount": "1.50"})
    assert put(event).applied == [f"bank.Transfer/{transfer}"]
    assert Transfer.objects.using(DESTINATION).get().account_id == 77


def test_p09_rows_that_swap_a_unique_value_are_applied_together(estate):
    first, second = (Account.objects.using(SOURCE).create(handle=handle) for handle in ("a", "b"))
    estate.relay()
    rows("UPDATE bank_account SET handle = 'tmp' WHERE id = %s", [first.pk], SOURCE)
    rows("UPDATE bank_account SET handle = 'a' WHERE id = %s", [second.pk], SOURCE)
    rows("UPDATE bank_account SET handle = 'b' WHERE id = %s", [first.pk], SOURCE)
    estate.drain()
    estate.assert_equal("bank.Account")
    assert value("SELECT count(*) FROM strangler_quarantine", using=SOURCE) == 0


def test_p09_a_row_whose_place_is_taken_waits_for_the_one_that_leaves_it(estate):
    """The other half of the swap is not in the batch. The rest of the batch is applied, its version is not taken."""
    data = {"balance": "0", "opened_at": "2026-01-01T00:00:00.000000Z", "holder_id": None}
    put(estate.event("bank.Account", "1", (0, 1, 1), {"id": 1, "handle": "a", **data}))
    taker = estate.event("bank.Account", "2", (0, 1, 2), {"id": 2, "handle": "a", **data})
    outcome = put(taker, code("bystander", "1", (0, 1, 2)))
    assert list(outcome.waits) == ["bank.Account/2"]
    assert outcome.applied == ["bank.Code/bystander"]
    leaver = estate.event("bank.Account", "1", (0, 1, 3), {"id": 1, "handle": "free", **data})
    again = estate.event("bank.Account", "2", (0, 1, 3), {"id": 2, "handle": "a", **data})
    assert set(put(leaver, again).applied) == {"bank.Account/1", "bank.Account/2"}


def test_p09_a_split_swap_is_not_poison_to_the_relay(estate):
    """One round reads only one half of it; that key keeps its pointer and goes with the other half."""
    accounts = [Account.objects.using(SOURCE).create(handle=handle) for handle in ("a", "b")]
    estate.relay()
    rows("UPDATE bank_account SET handle = 'tmp' WHERE id = %s", [accounts[1].pk], SOURCE)
    rows("UPDATE bank_account SET handle = 'b' WHERE id = %s", [accounts[0].pk], SOURCE)
    rows("UPDATE bank_account SET handle = 'a' WHERE id = %s", [accounts[1].pk], SOURCE)
    rows(
        "DELETE FROM strangler_outbox WHERE id <> (SELECT max(id) FROM strangler_outbox WHERE key = %s)",
        [str(accounts[0].pk)],
        SOURCE,
    )
    from strangler.sync import lease
    from strangler.sync.relay import Relay

    one = Relay(lease.take(CONTEXT, SOURCE), estate.service, SOURCE)
    one.round()
    assert len(estate.pointers()) == 1, "it waits"
    rows(
        "INSERT INTO strangler_outbox (stream, collection, key) VALUES ('bank', 'bank.Account', %s)",
        [str(accounts[1].pk)],
        SOURCE,
    )
    one.round()
    assert estate.pointers() == []
    estate.assert_equal("bank.Account")


def test_p09_what_the_database_refuses_is_poison_and_nothing_else_suffers(estate):
    events = [code(str(n), "x", (0, 1, 1)) for n in range(20)]
    bad = estate.event(
        "bank.Account", "1", (0, 1, 1), {"id": 1, "handle": None, "balance": "1", "opened_at": None, "holder_id": None}
    )
    outcome = put(*events, bad)
    assert list(outcome.poison) == ["bank.Account/1"]
    assert len(outcome.applied) == 20


def test_p09_no_signals_and_no_user_triggers_but_hooks(estate):
    from django.db.models.signals import post_save

    told: list[tuple[str, str, str]] = []
    signals: list[object] = []

    def hook(collection: str, key: str, op: str) -> None:
        told.append((collection, key, op))
        assert acts_as_anybody(DESTINATION), "a hook writes as anybody does"

    def receiver(**kwargs: object) -> None:
        signals.append(kwargs)

    shout(DESTINATION)
    apply._hooks.append(hook)
    post_save.connect(receiver, sender=Code)
    try:
        put(code("k", "1", (0, 1, 1)))
        put(gone("k", (0, 1, 2)))
        put(gone("k", (0, 1, 1)))
    finally:
        apply._hooks.remove(hook)
        post_save.disconnect(receiver, sender=Code)
        hush(DESTINATION)
    assert told == [("bank.Code", "k", "upsert"), ("bank.Code", "k", "delete")]
    assert signals == []


def test_p10_the_owner_takes_no_changes(estate):
    estate.hand_over("service", 3)
    with pytest.raises(StaleEpoch, match="owned by this side"):
        put(code("k", "1", (9, 1, 1)))


def test_p10_an_older_epoch_is_refused(estate):
    estate.hand_over("none", 4)
    with pytest.raises(StaleEpoch, match="epoch 3"):
        put(code("k", "1", (3, 1, 1)))
    put(code("k", "1", (4, 1, 1)))
    put(code("k", "2", (5, 1, 1)))
    assert meanings(estate) == {"k": "2"}


@pytest.mark.only("postgresql", "row locks; test_sqlite has the rule for SQLite")
def test_p10_a_late_batch_cannot_overwrite_the_new_owner(estate, threads):
    """The batch has read the owner; before it is committed nobody becomes owner. A batch that comes after finds the new one."""
    with closing(blocker := connect(DESTINATION)):
        put(code("k", "0", (0, 1, 1)))
        blocker.execute("BEGIN")
        blocker.execute("SELECT 1 FROM bank_code WHERE code = 'k' FOR UPDATE")
        pids: list[int] = []

        def late() -> None:
            pids.append(value("SELECT pg_backend_pid()", using=DESTINATION))
            put(code("k", "late", (0, 1, 2)))

        threads.start(late)
        wait_for(lambda: pids and is_waiting_for_a_lock(DESTINATION, pids[0]), "the batch in its middle")
        with pytest.raises(ownership.OwnershipBusy):
            ownership.change(CONTEXT, epoch=1, owner="service", operation="cut", lock_timeout_ms=50, tries=2, using=DESTINATION)
        blocker.execute("COMMIT")
    threads.join()
    ownership.change(CONTEXT, epoch=1, owner="service", operation="cut", using=DESTINATION)
    with pytest.raises(StaleEpoch):
        put(code("k", "later still", (0, 1, 3)))
    assert meanings(estate) == {"k": "late"}


def test_a_batch_of_two_streams_is_refused(estate):
    with pytest.raises(BadEvent, match="of one stream"):
        put(code("a", "1", (0, 1, 1)), estate.event("people.Person", "1", (0, 1, 1), {"id": 1}, stream="bank-copies"))


def test_an_unknown_collection_or_a_row_without_its_key_is_poison(estate):
    outcome = put(
        estate.event("bank.Nothing", "1", (0, 1, 1), {"id": 1}),
        estate.event("bank.Code", "k", (0, 1, 1), {"meaning": "no key"}),
        code("good", "1", (0, 1, 1)),
    )
    assert set(outcome.poison) == {"bank.Nothing/1", "bank.Code/k"}
    assert outcome.applied == ["bank.Code/good"]


def test_a_key_that_is_no_value_of_its_type_is_poison(estate):
    outcome = put(Event(CONTEXT, Op.DELETE, "bank.Account", "not a number", Version(0, 1, 1)), code("good", "1", (0, 1, 1)))
    assert list(outcome.poison) == ["bank.Account/not a number"]
    assert outcome.applied == ["bank.Code/good"]


def test_a_partial_read_copy_gets_its_columns_and_no_secrets(estate):
    person = Person.objects.using(SOURCE).create(email="a@example.com", password="secret", note="n")
    estate.relay(f"{CONTEXT}-copies")
    assert rows("SELECT id, email, password, note FROM people_person", using=DESTINATION) == [
        (person.pk, "a@example.com", None, None)
    ]
    assert "secret" not in str(estate.service.posted)


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_what_is_answered_is_on_disk_here_too(estate):
    """The source forgets what is acknowledged; a crash of this side must not take it back."""
    too_early, written_to = 0, []

    def before_the_commit(*_: str) -> None:
        written_to.append(value("SELECT pg_current_wal_insert_lsn()", using=DESTINATION))

    rows("SET synchronous_commit = off", using=DESTINATION)
    apply._hooks.append(before_the_commit)
    try:
        with closing(watcher := connect(DESTINATION)):
            for n in range(30):
                put(code("k", str(n), (0, 1, n + 1)))
                (is_flushed,) = watcher.execute("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", [written_to[-1]]).fetchone()
                too_early += not is_flushed
    finally:
        apply._hooks.remove(before_the_commit)
        rows("RESET synchronous_commit", using=DESTINATION)
    assert too_early == 0
