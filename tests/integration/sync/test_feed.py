"""P11: positions of a feed are given to committed changes only; the puller loses none and applies none twice to effect."""

from __future__ import annotations

import pytest

from strangler.domain import wire
from strangler.errors import LostLease, StaleEpoch
from strangler.sync import batch, feed, lease, marker
from strangler.sync.database import rows, value
from strangler.sync.reverse import Puller
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, expire, is_waiting_for_a_lock, wait_for

REVERSE = f"{CONTEXT}-reverse"


@pytest.fixture
def live(estate):
    """The service owns."""
    estate.hand_over("service", 1)
    return estate


def read(*args, **options) -> dict:
    """The feed's answer as the puller has it."""
    return wire.loads(feed.read(*args, **options))


def keys(answer: dict) -> list[str]:
    return [event["subject"] for event in answer["events"]]


def test_p11_changes_of_the_service_come_back(live):
    Code.objects.using(DESTINATION).bulk_create([Code(code="a"), Code(code="b")])
    Code.objects.using(DESTINATION).filter(code="a").delete()
    live.pull()
    live.assert_equal("bank.Code")
    assert set(live.table("bank.Code", SOURCE)) == {"b"}


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p11_a_commit_that_comes_late_is_behind_the_cursor_of_nobody(live):
    """Its id was drawn before the one that was read; its position is given when it is seen."""
    with closing(late := connect(DESTINATION)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_code (code) VALUES ('late')")
        Code.objects.using(DESTINATION).create(code="early")
        live.pull()
        assert set(live.table("bank.Code", SOURCE)) == {"early"}
        late.execute("COMMIT")
    live.pull()
    live.assert_equal("bank.Code")
    assert set(live.table("bank.Code", SOURCE)) == {"early", "late"}


@pytest.mark.only("postgresql", "advisory locks")
def test_p11_readers_come_one_after_the_other(live, threads):
    """A second reader does not give positions before the first one's are committed."""
    Code.objects.using(DESTINATION).create(code="a")
    with closing(first := connect(DESTINATION)):
        first.execute("BEGIN")
        first.execute("SELECT pg_advisory_xact_lock(%s)", [feed_lock()])
        first.execute("UPDATE strangler_outbox SET pos = nextval('strangler_feed_seq') WHERE stream = 'bank'")
        answers: list[dict] = []
        pids: list[int] = []

        def second() -> None:
            pids.append(value("SELECT pg_backend_pid()", using=DESTINATION))
            answers.append(read(CONTEXT, 0, using=DESTINATION))

        threads.start(second)
        wait_for(lambda: pids and is_waiting_for_a_lock(DESTINATION, pids[0]), "the second reader waiting")
        given = first.execute("SELECT pos FROM strangler_outbox").fetchone()
        first.execute("COMMIT")
    threads.join()
    assert keys(answers[0]) == ["bank.Code/a"]
    assert answers[0]["next"] == given[0], "it kept the position that the first had given"


def feed_lock() -> int:
    from strangler.sync.lock import feed_key

    return feed_key(CONTEXT)


def test_p11_asking_after_a_position_forgets_what_is_before_it(live):
    Code.objects.using(DESTINATION).create(code="a")
    first = read(CONTEXT, 0, using=DESTINATION)
    again = read(CONTEXT, 0, using=DESTINATION)
    assert keys(first) == keys(again) == ["bank.Code/a"], "an answer that got lost is given again"
    assert keys(read(CONTEXT, first["next"], using=DESTINATION)) == []
    assert live.pointers(alias=DESTINATION) == []


def test_p11_a_service_that_was_made_anew_goes_on_from_the_pullers_cursor(live):
    """Its positions would start at 1 again, behind the cursor: every change would be taken for one that was seen."""
    rows("UPDATE strangler_stream SET cursor = 1000000 WHERE name = %s", [REVERSE], SOURCE)
    Code.objects.using(DESTINATION).create(code="a")
    read(CONTEXT, 0, using=DESTINATION)
    live.pull()
    live.assert_equal("bank.Code")
    assert live.stream(REVERSE)["cursor"] == 1000001


def test_p11_a_partial_answer_has_no_marker(live):
    Code.objects.using(DESTINATION).bulk_create([Code(code=str(n)) for n in range(5)])
    part = read(CONTEXT, 0, limit=3, using=DESTINATION)
    assert (len(part["events"]), part["marker"]) == (3, None)
    rest = read(CONTEXT, part["next"], limit=3, using=DESTINATION)
    assert (len(rest["events"]), rest["marker"]) == (2, marker.position(DESTINATION))


def test_p11_the_service_captures_before_it_owns(estate):
    """Capture is there from stage mirror on, and what the mirror brings is not echoed."""
    Code.objects.using(SOURCE).create(code="mirrored")
    estate.relay()
    assert estate.pointers(alias=DESTINATION) == []
    estate.hand_over("service", 1)
    Code.objects.using(DESTINATION).create(code="first own write")
    assert estate.pointers(alias=DESTINATION) == [("bank.Code", "first own write")]


def test_p11_what_was_applied_back_is_not_sent_forth_again(live):
    Code.objects.using(DESTINATION).create(code="a")
    live.pull()
    assert live.pointers(alias=SOURCE) == []


def test_p11_a_stale_puller_neither_applies_nor_moves_the_cursor(live):
    Code.objects.using(DESTINATION).create(code="a")
    stale = Puller(lease.take(REVERSE, SOURCE), live.service, SOURCE)
    ask = live.service.changes

    def and_is_taken_over(after: int, limit: int) -> dict:
        answer = ask(after, limit)
        expire(REVERSE)
        assert lease.take(REVERSE, SOURCE)
        return answer

    live.service.changes = and_is_taken_over
    with pytest.raises(LostLease):
        stale.round()
    assert live.table("bank.Code", SOURCE) == {}
    assert live.stream(REVERSE)["cursor"] == 0


def test_p11_a_crash_after_the_answer_asks_again_from_the_same_cursor(live):
    Code.objects.using(DESTINATION).create(code="a")
    ask = live.service.changes

    def crash(after: int, limit: int) -> dict:
        ask(after, limit)
        raise ConnectionResetError

    live.service.changes = crash
    with pytest.raises(ConnectionResetError):
        live.pull()
    live.service.changes = ask
    wait_for(live.pull, "the end of the back-off")
    live.assert_equal("bank.Code")


def test_p11_a_swap_that_is_cut_by_the_end_of_an_answer_waits_for_its_other_half(live):
    accounts = [Account.objects.using(DESTINATION).create(handle=handle) for handle in ("a", "b")]
    live.pull()
    live.forget_pointers()
    rows("UPDATE bank_account SET handle = 'tmp' WHERE id = %s", [accounts[1].pk], DESTINATION)
    rows("UPDATE bank_account SET handle = 'b' WHERE id = %s", [accounts[0].pk], DESTINATION)
    rows("UPDATE bank_account SET handle = 'a' WHERE id = %s", [accounts[1].pk], DESTINATION)
    rows("DELETE FROM strangler_outbox WHERE id = (SELECT min(id) FROM strangler_outbox)", using=DESTINATION)
    puller = Puller(lease.take(REVERSE, SOURCE), live.service, SOURCE, limit=1)
    before = live.stream(REVERSE)["cursor"]
    more, _ = puller.round()
    assert more
    assert live.stream(REVERSE)["cursor"] == before, "the key that waits is asked for again"
    puller.round()
    live.assert_equal("bank.Account")
    assert value("SELECT count(*) FROM strangler_quarantine", using=SOURCE) == 0


def test_p11_a_swap_that_is_cut_by_the_bytes_of_an_answer_waits_for_its_other_half(live, monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 100)  # one account
    accounts = [Account.objects.using(DESTINATION).create(handle=handle) for handle in ("a", "b")]
    live.pull()
    for account, handle in ((accounts[1], "tmp"), (accounts[0], "b"), (accounts[1], "a")):
        rows("UPDATE bank_account SET handle = %s WHERE id = %s", [handle, account.pk], DESTINATION)
    live.pull()
    live.assert_equal("bank.Account")
    assert value("SELECT count(*) FROM strangler_quarantine", using=SOURCE) == 0


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_the_feed_answers_only_what_is_on_disk(live):
    too_early = 0
    with closing(writer := connect(DESTINATION, synchronous_commit="off"), watcher := connect(DESTINATION)):
        rows("SET synchronous_commit = off", using=DESTINATION)
        try:
            for n in range(30):
                (end,) = writer.execute(
                    "INSERT INTO bank_code (code) VALUES (%s) RETURNING pg_current_wal_insert_lsn()", [str(n)]
                ).fetchone()
                assert read(CONTEXT, 0, using=DESTINATION)["events"]
                (is_flushed,) = watcher.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [end]).fetchone()
                too_early += not is_flushed
        finally:
            rows("RESET synchronous_commit", using=DESTINATION)
    assert too_early == 0


@pytest.mark.only("postgresql", "positions in the log; test_sqlite has the rule for SQLite")
def test_p07_an_answer_with_nothing_new_is_on_disk_too(live):
    """Nothing to give a position to, nothing to delete: the transaction must write all the same, or it flushes nothing."""
    too_early = 0
    with closing(writer := connect(DESTINATION, synchronous_commit="off"), watcher := connect(DESTINATION)):
        Code.objects.using(DESTINATION).create(code="k")
        read(CONTEXT, 0, using=DESTINATION)
        for n in range(30):
            writer.execute("SET strangler.origin = 'bank'")  # notes no pointer, so there is none to give a position to
            (end,) = writer.execute(
                "UPDATE bank_code SET meaning = %s WHERE code = 'k' RETURNING pg_current_wal_insert_lsn()", [str(n)]
            ).fetchone()
            answer = read(CONTEXT, 0, using=DESTINATION)
            assert answer["events"][0]["data"]["meaning"] == str(n)
            (is_flushed,) = watcher.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [end]).fetchone()
            too_early += not is_flushed
    assert too_early == 0


def test_p23_the_reverse_marker_is_that_of_the_service(live):
    Code.objects.using(DESTINATION).create(code="a")
    position = marker.position(DESTINATION)
    live.pull()
    assert marker.published()[REVERSE] > position


def test_p10_the_monolith_refuses_the_feed_once_it_owns_again(live):
    Code.objects.using(DESTINATION).create(code="a")
    live.hand_over("monolith", 2)
    with pytest.raises(StaleEpoch):
        live.pull()
    assert live.table("bank.Code", SOURCE) == {}


@pytest.mark.only("postgresql", "TRUNCATE")
def test_a_truncate_on_the_service_comes_back(live):
    Code.objects.using(DESTINATION).bulk_create([Code(code="a"), Code(code="b")])
    live.pull()
    rows("TRUNCATE bank_code", using=DESTINATION)
    Code.objects.using(DESTINATION).create(code="c")
    live.pull()
    live.assert_equal("bank.Code")
    assert set(live.table("bank.Code", SOURCE)) == {"c"}


def test_there_and_back_and_there_again_without_echo(estate):
    """Two cut-overs and a rollback: each side's changes arrive, and nothing runs in circles."""
    Code.objects.using(SOURCE).create(code="1", meaning="monolith")
    estate.drain()
    for epoch in (1, 3):
        estate.hand_over("service", epoch)
        Code.objects.using(DESTINATION).update(meaning=f"service {epoch}")
        Code.objects.using(DESTINATION).create(code=f"s{epoch}")
        estate.pull()
        estate.assert_equal("bank.Code")
        estate.hand_over("monolith", epoch + 1)
        Code.objects.using(SOURCE).update(meaning=f"monolith {epoch + 1}")
        Code.objects.using(SOURCE).filter(code=f"s{epoch}").delete()
        estate.drain()
        estate.assert_equal("bank.Code")
    assert estate.pointers(alias=SOURCE) == []
    cursor = estate.stream(REVERSE)["cursor"]
    beyond = value("SELECT count(*) FROM strangler_outbox WHERE pos IS NULL OR pos > %s", [cursor], DESTINATION)
    assert beyond == 0, "the feed keeps only what the next request deletes"
