"""P6, P7: one snapshot, versions that order rounds, exact deletes, nothing shipped that a crash can take back."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction
from django.db.utils import OperationalError

from strangler.errors import LostLease, ServiceUnavailable
from strangler.sync import lease, marker, outbox, relay
from strangler.sync.database import rows, value
from strangler.sync.relay import Relay
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, Direct, closing, connect, expire, wait_for
from tests.integration.sync.people.models import Person


def held_relay(estate, destination: Direct | None = None) -> Relay:
    taken = lease.take(CONTEXT, SOURCE)
    assert taken
    return Relay(taken, destination or estate.service, SOURCE)


def quarantine_of(stream: str) -> list[tuple[str, str]]:
    found = rows("SELECT collection, key FROM strangler_quarantine WHERE stream = %s ORDER BY 1, 2", [stream], SOURCE)
    return [(collection, key) for collection, key in found]


def test_p06_rows_travel_and_absent_rows_are_deletes(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code="a"), Code(code="b")])
    estate.relay()
    Code.objects.using(SOURCE).filter(code="a").delete()
    Code.objects.using(SOURCE).filter(code="b").update(meaning="changed")
    estate.relay()
    estate.assert_equal()
    assert list(estate.table("bank.Code", DESTINATION)) == ["b"]
    assert estate.pointers() == []


def test_p06_changes_of_one_key_are_coalesced(estate):
    for meaning in "abc":
        Code.objects.using(SOURCE).update_or_create(code="k", defaults={"meaning": meaning})
    estate.relay()
    (posted,) = estate.service.posted
    assert [(event.key, event.data["meaning"]) for event in posted] == [("k", "c")]


def test_p06_only_one_holds_a_stream(estate):
    first = lease.take(CONTEXT, SOURCE)
    assert first
    assert lease.take(CONTEXT, SOURCE) is None
    first.release()
    second = lease.take(CONTEXT, SOURCE)
    assert second
    assert second.token > first.token


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p06_a_commit_that_comes_late_is_not_lost(estate):
    """Its pointer has a smaller id than one that was read and deleted before it was visible."""
    with closing(late := connect(SOURCE)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_code (code) VALUES ('late')")
        Code.objects.using(SOURCE).create(code="early")
        estate.relay()
        late.execute("COMMIT")
    estate.relay()
    estate.assert_equal("bank.Code")
    assert set(estate.table("bank.Code", DESTINATION)) == {"early", "late"}


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p06_a_commit_between_reading_and_deleting_keeps_its_pointer(estate):
    """Deletes exactly what was read: not by id bound, not by key."""
    with closing(late := connect(SOURCE)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_code (code, meaning) VALUES ('late', 'first')")
        Code.objects.using(SOURCE).create(code="k", meaning="old")

        def meanwhile(_: object) -> None:
            late.execute("COMMIT")
            Code.objects.using(SOURCE).filter(code="k").update(meaning="new")
            estate.service.before = lambda _: None

        estate.service.before = meanwhile
        held_relay(estate).round()
        assert sorted(estate.pointers()) == [("bank.Code", "k"), ("bank.Code", "late")]
    expire()
    estate.relay()
    estate.assert_equal("bank.Code")


def test_p06_pointers_and_rows_are_of_one_instant(estate, monkeypatch):
    """Two rows that always change together are never sent in a state that never was."""
    Code.objects.using(SOURCE).bulk_create([Code(code="a", meaning="1"), Code(code="b", meaning="1")])
    estate.relay()
    Code.objects.using(SOURCE).update(meaning="2")
    read = outbox.read

    def and_then_a_write(cursor, *which):
        pointers = read(cursor, *which)
        with closing(program := connect(SOURCE)):
            program.execute("UPDATE bank_code SET meaning = '3'")
        return pointers

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "read", and_then_a_write)
        held_relay(estate).round()
    sent = {event.key: event.data["meaning"] for event in estate.service.posted[-1]}
    assert sent == {"a": "2", "b": "2"}
    expire()
    estate.relay()
    estate.assert_equal("bank.Code")


def test_p06_the_marker_is_drawn_before_the_snapshot(estate, monkeypatch):
    """Else a round with the greater marker could carry the older row, and win."""
    order: list[str] = []
    draw, read = marker.draw, outbox.read

    def drawing(using=None):
        order.append("marker")
        assert connections[SOURCE].in_atomic_block is False, "in a transaction of its own"
        return draw(using)

    def reading(*args):
        order.append("snapshot")
        return read(*args)

    monkeypatch.setattr(marker, "draw", drawing)
    monkeypatch.setattr(outbox, "read", reading)
    held_relay(estate).round()
    assert order == ["marker", "snapshot"]


def test_p06_a_relay_that_lost_its_lease_deletes_no_pointer(estate):
    """It was paused between its POST and its acknowledgement, and the destination had skipped what it sent."""
    Code.objects.using(SOURCE).create(code="k", meaning="1")
    slow = held_relay(estate)

    def taken_over(_: object) -> None:
        estate.service.after = lambda _: None
        expire()
        assert lease.take(CONTEXT, SOURCE)

    estate.service.after = taken_over
    with pytest.raises(LostLease):
        slow.round()
    assert estate.pointers() == [("bank.Code", "k")]


def test_p06_the_older_token_loses_even_with_the_later_snapshot(estate):
    """The slow relay read first and sends last; the quick one has read, sent and deleted meanwhile."""
    Code.objects.using(SOURCE).create(code="k", meaning="old")
    slow = held_relay(estate)
    stale = slow.read()
    expire()
    Code.objects.using(SOURCE).filter(code="k").update(meaning="new")
    quick = held_relay(estate)
    quick.round()
    answer = estate.service.post_changes(stale.batch.events)
    assert answer["applied"] == []
    estate.assert_equal("bank.Code")


def test_p06_the_token_is_in_the_version(estate):
    """A relay that drew its marker, lost the lease, and then took its snapshot would else pass for the older round."""
    Code.objects.using(SOURCE).create(code="k", meaning="1")
    slow = held_relay(estate)
    drawn_early = marker.draw(SOURCE)
    expire()
    quick = held_relay(estate)
    quick.round()
    Code.objects.using(SOURCE).filter(code="k").update(meaning="2")
    late = slow.read()
    versions = [event.version for event in late.batch.events]
    assert [version.token for version in versions] == [slow.lease.token]
    assert late.marker > drawn_early
    assert estate.service.post_changes(late.batch.events)["skipped"] == ["bank.Code/k"], "its token is older, whatever its marker"
    quick.round()
    estate.assert_equal("bank.Code")


def test_p06_two_relays_at_once_lose_nothing(estate, threads):
    """Both hold the stream in turn, without regard to each other, while rows change."""
    stop = threading.Event()

    def writes(name: str) -> None:
        with closing(program := connect(SOURCE)):
            for n in range(60):
                program.execute(
                    "INSERT INTO bank_code VALUES (%s, %s) ON CONFLICT (code) DO UPDATE SET meaning = EXCLUDED.meaning",
                    [f"k{n % 7}", f"{name}{n}"],
                )
                if n % 5 == 0:
                    program.execute("DELETE FROM bank_code WHERE code = %s", [f"k{n % 7}"])

    def relays() -> None:
        while not stop.is_set():
            expire()
            try:
                relay.run(CONTEXT, using=SOURCE, destination=Direct(), budget_s=0.05)
            except LostLease:
                continue

    carriers = [threads.start(relays) for _ in range(2)]
    writers = [threading.Thread(target=writes, args=(name,)) for name in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    stop.set()
    for carrier in carriers:
        carrier.join(30)
    threads.join()
    expire()
    estate.drain()
    estate.assert_equal("bank.Code")


def test_p06_a_crash_between_post_and_delete_is_a_redelivery(estate):
    Code.objects.using(SOURCE).create(code="k", meaning="1")

    def crash(_: object) -> None:
        raise ConnectionResetError("the process is gone")

    estate.service.after = crash
    with pytest.raises(ConnectionResetError):
        held_relay(estate).round()
    assert estate.pointers() == [("bank.Code", "k")]
    estate.service.after = lambda _: None
    expire()
    estate.relay()
    estate.assert_equal("bank.Code")


@pytest.mark.only("postgresql", "locks that are seen from another session")
def test_nothing_is_locked_and_no_transaction_is_open_while_the_destination_answers(estate):
    """django-outbox-pattern waits within its row lock; here writers and vacuum take no notice of a slow service."""
    Code.objects.using(SOURCE).create(code="k", meaning="1")
    pid = value("SELECT pg_backend_pid()", using=SOURCE)
    seen: list[tuple[str, int]] = []

    def look(_: object) -> None:
        with closing(watcher := connect(SOURCE)):
            (state,) = watcher.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
            (locks,) = watcher.execute("SELECT count(*) FROM pg_locks WHERE pid = %s", [pid]).fetchone()
            watcher.execute("SET lock_timeout = '1s'")
            watcher.execute("UPDATE bank_code SET meaning = '2' WHERE code = 'k'")
            watcher.execute("DELETE FROM strangler_outbox WHERE false")
            seen.append((state, locks))
        estate.service.before = lambda _: None

    estate.service.before = look
    assert estate.relay()
    assert seen == [("idle", 0)]
    estate.drain()
    estate.assert_equal("bank.Code")


def test_a_change_is_told_by_the_commit_of_its_own_database_whatever_the_others_do(estate):
    """django-cqrs publishes at the commit of the default database; here the pointer is a row beside the change."""
    with transaction.atomic(using=DESTINATION):
        Person.objects.using(DESTINATION).create(email="other@database.example")
        with transaction.atomic(using=SOURCE):
            Code.objects.using(SOURCE).create(code="k")
            with closing(watcher := connect(SOURCE)):
                count = "SELECT count(*) FROM strangler_outbox WHERE collection = 'bank.Code'"
                assert watcher.execute(count).fetchone() == (0,), "not before its own commit"
        with closing(watcher := connect(SOURCE)):
            assert watcher.execute(count).fetchone() == (1,), "and not only when the other one commits"
        transaction.set_rollback(True, using=DESTINATION)
    with transaction.atomic(using=SOURCE):
        Code.objects.using(SOURCE).create(code="never was")
        transaction.set_rollback(True, using=SOURCE)
    assert estate.pointers() == [("bank.Code", "k")]


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_what_is_sent_is_on_disk(estate):
    """A writer with ``synchronous_commit = off`` is visible before it is durable. The round waits for the log."""
    too_early = 0
    with closing(writer := connect(SOURCE, synchronous_commit="off"), watcher := connect(SOURCE)):
        for n in range(30):
            (end,) = writer.execute(
                "INSERT INTO bank_code (code) VALUES (%s) RETURNING pg_current_wal_insert_lsn()", [str(n)]
            ).fetchone()

            def look(_: object, end: str = end) -> None:
                nonlocal too_early
                (is_flushed,) = watcher.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [end]).fetchone()
                too_early += not is_flushed

            estate.service.before = look
            assert estate.relay()
    assert too_early == 0


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_the_lease_is_renewed_durably_whatever_the_default(estate):
    rows("SET synchronous_commit = off", using=SOURCE)
    try:
        test_p07_what_is_sent_is_on_disk(estate)
    finally:
        rows("RESET synchronous_commit", using=SOURCE)


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_p23_a_marker_is_on_disk_before_it_is_published(estate, monkeypatch):
    """After a crash the sequence may go on where its log ends; no position may come again that is below a published marker."""
    too_early, drawn, draw, publish = [], [], marker.draw, marker.publish

    def noted(using: str) -> int:
        found = draw(using)
        drawn.append(value("SELECT pg_current_wal_insert_lsn()::text", using=using))
        return found

    def looked_at(stream: str, published: int) -> None:
        too_early.append(value("SELECT pg_current_wal_flush_lsn() < %s::pg_lsn", [drawn[-1]], SOURCE))
        publish(stream, published)

    monkeypatch.setattr(marker, "draw", noted)
    monkeypatch.setattr(marker, "publish", looked_at)
    for _ in range(40):  # a sequence logs every 32nd number
        estate.relay()
    assert too_early == [False] * 40


def test_p06_the_next_round_is_read_and_sent_while_the_former_is_under_way(estate):
    """Both stand at the destination before either is acknowledged, and arrive in the other order."""
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n), meaning="1") for n in range(30)])
    both = threading.Barrier(2)
    order: list[int] = []

    class Crossed(Direct):
        def post_changes(self, events):
            number = events[0].version.round
            if len(order) < 2:
                order.append(number)
                both.wait(20)
                if number == min(order):
                    wait_for(second.is_set, "the later round")
            try:
                return super().post_changes(events)
            finally:
                second.set()

    second = threading.Event()
    one = held_relay(estate, Crossed())
    one.limit = 10
    while one.push():
        one.limit = 10
    one.close()
    assert len(order) == 2
    estate.assert_equal("bank.Code")
    assert estate.pointers() == []
    assert estate.stream()["marker"] > 0


def test_p06_rounds_that_are_under_way_when_one_fails_are_sent_again(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n), meaning="1") for n in range(30)])

    class Failing(Direct):
        def post_changes(self, events):
            if any(event.key == "0" for event in events):
                raise ServiceUnavailable("the first round is lost")
            return super().post_changes(events)

    one = held_relay(estate, Failing())
    one.limit = 10
    for _ in range(2):
        assert one.push()
        one.limit = 10
    with pytest.raises(ServiceUnavailable):
        one.land_all()
    one.close()
    assert outbox.depth(CONTEXT, SOURCE) == 30, "an acknowledgement is never taken before those of older rounds"
    assert marker.published().get(CONTEXT, 0) == 0
    expire()
    estate.drain()
    estate.assert_equal("bank.Code")


def test_a_service_that_is_away_is_recorded_and_tried_again_later(estate):
    Code.objects.using(SOURCE).create(code="k")

    def away(_: object) -> None:
        raise ServiceUnavailable("the bank service does not answer")

    estate.service.before = away
    with pytest.raises(ServiceUnavailable):
        estate.relay()
    row = estate.stream()
    assert (row["last_error"], row["failures"]) == ("the bank service does not answer", 1)
    assert estate.relay() == 0, "backs off"
    assert estate.pointers() == [("bank.Code", "k")]
    estate.service.before = lambda _: None
    wait_for(estate.relay, "the end of the back-off")
    estate.assert_equal("bank.Code")
    assert estate.stream()["last_error"] == ""


@pytest.mark.only("postgresql", "a server that ends sessions")
def test_a_connection_that_the_server_killed_does_not_wedge_the_thread(estate):
    Code.objects.using(SOURCE).create(code="k")
    pid = value("SELECT pg_backend_pid()", using=SOURCE)
    with closing(killer := connect(SOURCE)):
        killer.execute("SELECT pg_terminate_backend(%s)", [pid])
        wait_for(lambda: killer.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None, "its end")
    estate.relay()
    estate.assert_equal("bank.Code")


@pytest.mark.only("postgresql", "a server that ends sessions")
def test_a_database_that_goes_away_within_a_round_is_an_error_and_the_next_run_works(estate):
    Code.objects.using(SOURCE).create(code="k")

    def kill(_: object) -> None:
        estate.service.after = lambda _: None
        pid = value("SELECT pg_backend_pid()", using=SOURCE)
        with closing(killer := connect(SOURCE)):
            killer.execute("SELECT pg_terminate_backend(%s)", [pid])
            wait_for(lambda: killer.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None, "its end")

    estate.service.after = kill
    with pytest.raises(OperationalError):
        estate.relay()
    wait_for(estate.relay, "the end of the back-off")
    estate.assert_equal("bank.Code")
