"""P13: in the rounds of the relay, no row locks, right under concurrent writes, nothing left that the source does not have."""

from __future__ import annotations

import pytest

from strangler.errors import LostLease
from strangler.sync import backfill, drift, lease, relay
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, act_as, closing, connect, wait_for
from tests.integration.sync.servers import refusing


@pytest.fixture(autouse=True)
def quick_checks(estate, monkeypatch):
    """The sweep at a backfill's end asks the service for digests; here that is a function call."""
    from strangler.sync import client

    monkeypatch.setattr(client, "ServiceClient", lambda context: estate.service)


def run_on() -> None:
    rows("UPDATE strangler_backfill SET state = 'running'", using=SOURCE)


def held_relay(estate) -> relay.Relay:
    return relay.Relay(lease.take(CONTEXT, SOURCE), estate.service, SOURCE)


def finish(estate, stream: str = CONTEXT) -> None:
    def is_done() -> bool:
        more = backfill.step(stream, SOURCE)
        estate.relay(stream)
        return not more

    wait_for(is_done, "the backfill")
    estate.drain(stream)


def test_p13_rows_from_before_the_capture_arrive(estate, monkeypatch):
    monkeypatch.setattr(relay, "FIRST", 7)
    monkeypatch.setattr(relay, "LIMIT", 7)
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:03}") for n in range(30)])
    Account.objects.using(SOURCE).bulk_create([Account(handle=str(n)) for n in range(20)])
    for n in range(1, 21):
        rows("INSERT INTO bank_reading VALUES (%s, %s, 'r')", [n, 2025 + n % 2], SOURCE)
        rows("INSERT INTO bank_pair VALUES (%s, %s, '2026-01-01', 1)", [n % 3, f"r{n}"], SOURCE)
    estate.forget_pointers()
    backfill.start(CONTEXT, using=SOURCE)
    finish(estate)
    estate.assert_equal()
    progress = {one.collection: (one.state, one.sent) for one in backfill.progress(CONTEXT, SOURCE)}
    assert progress["bank.Code"] == ("done", 30)
    assert progress["bank.Reading"] == ("done", 20)
    assert progress["bank.Pair"] == ("done", 20)


@pytest.mark.only("postgresql", "row locks")
def test_p13_takes_no_row_locks(estate):
    """FOR UPDATE on a parent would block every insert of a child."""
    parent = Account.objects.using(SOURCE).create(handle="parent")
    estate.forget_pointers()
    with closing(locker := connect(SOURCE)):
        locker.execute("BEGIN")
        locker.execute("SELECT 1 FROM bank_account WHERE id = %s FOR UPDATE", [parent.pk])
        rows("SET lock_timeout = '200ms'", using=SOURCE)
        try:
            backfill.start(CONTEXT, ["bank.Account"], using=SOURCE)
            run_on()  # the locker is open and so is waited for: not here, it has a test of its own
            estate.relay()
        finally:
            rows("RESET lock_timeout", using=SOURCE)
        assert list(estate.table("bank.Account", DESTINATION)) == [str(parent.pk)]


def test_p13_a_change_during_the_backfill_wins_over_the_chunk(estate):
    """Both are under way at once, and the older one arrives last."""
    Code.objects.using(SOURCE).create(code="k", meaning="old")
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    run_on()
    one = held_relay(estate)
    chunk = one.read()
    Code.objects.using(SOURCE).filter(code="k").update(meaning="new")
    newer = one.read()
    assert [event.data["meaning"] for event in (*chunk.batch.events, *newer.batch.events)] == ["old", "new"]
    assert estate.service.post_changes(newer.batch.events)["applied"] == ["bank.Code/k"]
    assert estate.service.post_changes(chunk.batch.events)["skipped"] == ["bank.Code/k"]
    one.lease.release()
    finish(estate)
    estate.assert_equal("bank.Code")


def test_p13_a_key_that_is_refused_gets_a_pointer_and_the_place_moves_on(estate):
    with refusing("bad", DESTINATION):
        Code.objects.using(SOURCE).bulk_create([Code(code=code) for code in ("a", "bad", "c")])
        estate.forget_pointers()
        backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
        run_on()
        held_relay(estate).round()
        assert estate.pointers() == [("bank.Code", "bad")]
        assert set(estate.table("bank.Code", DESTINATION)) == {"a", "c"}
    rows("UPDATE strangler_stream SET lease_until = NULL", using=SOURCE)
    finish(estate)
    estate.assert_equal("bank.Code")


def test_p13_a_chunk_of_a_backfill_that_was_asked_for_anew_moves_nothing(estate):
    Code.objects.using(SOURCE).create(code="k")
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    run_on()
    one = held_relay(estate)

    def anew(_: object) -> None:
        estate.service.before = lambda _: None
        backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
        run_on()

    estate.service.before = anew
    one.round()
    (progress,) = backfill.progress(CONTEXT, SOURCE)
    assert (progress.state, progress.sent) == ("running", 0)
    one.round()
    (progress,) = backfill.progress(CONTEXT, SOURCE)
    assert (progress.state, progress.sent) == ("sweeping", 1)


def test_p13_a_relay_that_lost_its_lease_moves_nothing(estate):
    Code.objects.using(SOURCE).create(code="k")
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    run_on()
    slow = held_relay(estate)
    seen = slow.read()
    rows("UPDATE strangler_stream SET lease_token = lease_token + 1", using=SOURCE)
    with pytest.raises(LostLease):
        slow._acknowledge(seen, estate.service.post_changes(seen.batch.events))
    (progress,) = backfill.progress(CONTEXT, SOURCE)
    assert (progress.state, progress.sent) == ("running", 0)


@pytest.mark.only("postgresql", "isolation levels")
def test_p13_a_transaction_with_an_older_snapshot_is_waited_for(estate):
    """It fires the trigger, but its snapshot does not show the subscription: what it writes is noted for nobody."""
    rows("DELETE FROM strangler_subscription WHERE stream = %s AND collection = 'bank.Code'", [CONTEXT], SOURCE)
    Code.objects.using(SOURCE).create(code="k", meaning="old")
    with closing(early := connect(SOURCE)):
        early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        early.execute("SELECT count(*) FROM bank_code")
        rows("INSERT INTO strangler_subscription (stream, collection) VALUES (%s, 'bank.Code')", [CONTEXT], SOURCE)
        backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
        early.execute("UPDATE bank_code SET meaning = 'unnoted' WHERE code = 'k'")
        for _ in range(3):
            backfill.step(CONTEXT, SOURCE)
        estate.relay()
        assert f"backend {early.info.backend_pid}" in estate.stream()["reason"]
        early.execute("COMMIT")
    finish(estate)
    estate.assert_equal("bank.Code")
    assert estate.stream()["reason"] == ""


def test_p13_keys_that_exist_only_at_the_destination_are_swept(estate):
    Code.objects.using(SOURCE).create(code="both")
    with closing(stray := connect(DESTINATION)):
        act_as(stray, "stray")
        stray.execute("INSERT INTO bank_code (code) VALUES ('only here'), ('zz')")
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    finish(estate)
    estate.assert_equal("bank.Code")
    assert set(estate.table("bank.Code", DESTINATION)) == {"both"}


def test_p13_the_relay_carries_a_backfill_on_its_own(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(10)])
    estate.forget_pointers()
    backfill.start(CONTEXT, using=SOURCE)
    wait_for(lambda: estate.relay() and not backfill.unfinished(CONTEXT, SOURCE), "the backfill by relay alone")
    estate.drain()
    estate.assert_equal()


def test_p13_continues_where_it_stopped(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:03}") for n in range(25)])
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    run_on()
    one = held_relay(estate)
    one.limit = 10
    one.round()
    one.limit = 10
    one.round()
    (progress,) = backfill.progress(CONTEXT, SOURCE)
    assert (progress.state, progress.sent) == ("running", 20)
    one.lease.release()
    sent = len(estate.service.posted)
    finish(estate)
    assert [event.key for event in estate.service.posted[sent]] == [f"{n:03}" for n in range(20, 25)]
    estate.assert_equal("bank.Code")


def test_p23_no_marker_while_a_backfill_is_under_way(estate):
    Code.objects.using(SOURCE).create(code="k")
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    rows("UPDATE strangler_backfill SET waits_for = '[\"0/0\"]'", using=SOURCE)
    held_relay(estate).round()
    assert estate.stream()["marker"] == 0
    assert value("SELECT count(*) FROM strangler_round", using=SOURCE) == 0


def test_a_round_of_a_backfill_alone_has_no_lag(estate):
    """Else the stream would look quicker the more of a backfill it carries."""
    Code.objects.using(SOURCE).create(code="k")
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    run_on()
    held_relay(estate).round()
    assert rows("SELECT changes, lag_ms FROM strangler_round", using=SOURCE) == [(1, None)]


def test_p13_a_sweep_of_before_does_not_end_a_backfill_that_was_asked_for_anew(estate, monkeypatch):
    """Two workers: one sweeps for long; meanwhile it is asked for anew, and all rows are sent a second time."""
    Code.objects.using(SOURCE).create(code="k")
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    rows("UPDATE strangler_backfill SET state = 'sweeping'", using=SOURCE)
    check = drift.check

    def and_meanwhile(*args, **options):
        report = check(*args, **options)
        backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
        rows("UPDATE strangler_backfill SET state = 'sweeping'", using=SOURCE)
        return report

    monkeypatch.setattr(drift, "check", and_meanwhile)
    backfill.sweep(CONTEXT, SOURCE)
    (progress,) = backfill.progress(CONTEXT, SOURCE)
    assert progress.state == "sweeping"
