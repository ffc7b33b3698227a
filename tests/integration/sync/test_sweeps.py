"""P14, P23: what a sweep reads, when its marker is published, how large its rounds are."""

from __future__ import annotations

import pytest

from strangler.sync import backfill, batch, marker, outbox, relay
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, wait_for
from tests.integration.sync.servers import refusing
from tests.integration.sync.test_relay import held_relay, quarantine_of


def test_p23_a_marker_is_published_once_everything_in_sight_is_acknowledged(estate):
    Code.objects.using(SOURCE).create(code="k")
    position = marker.position(SOURCE)
    assert not marker.published().get(CONTEXT, 0) > position
    estate.relay()
    assert marker.published()[CONTEXT] > position
    assert estate.stream()["marker"] == marker.published()[CONTEXT]


def test_p23_an_empty_round_publishes_too(estate):
    position = marker.position(SOURCE)
    estate.relay()
    assert marker.published()[CONTEXT] > position


def test_p23_a_position_read_before_a_commit_that_the_round_did_not_see_is_not_fresh(estate):
    """The round drew its marker before the commit; so the position that is read after the commit is not smaller than it."""
    Code.objects.using(SOURCE).create(code="a")
    positions: list[int] = []

    def meanwhile(_: object) -> None:
        with closing(program := connect(SOURCE)):
            program.execute("INSERT INTO bank_code (code) VALUES ('unseen')")
        positions.append(marker.position(SOURCE))

    estate.service.before = meanwhile
    held_relay(estate).round()
    assert not marker.published().get(CONTEXT, 0) > positions[0]


def test_p23_a_partial_round_publishes_nothing_but_keeps_its_promise(estate):
    """Under steady load no round sees all. A marker is still published, once all that its own snapshot showed is acknowledged."""
    one = held_relay(estate)
    one.limit = 4
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(6)])
    position = marker.position(SOURCE)
    one.round()
    assert marker.published().get(CONTEXT, 0) == 0
    for start in (10, 20, 30):
        Code.objects.using(SOURCE).bulk_create([Code(code=str(start + n)) for n in range(6)])
        one.limit = 4
        one.round()
    assert outbox.depth(CONTEXT, SOURCE) > 0
    assert marker.published()[CONTEXT] > position


def test_p14_reading_begins_above_what_was_delivered(estate, monkeypatch):
    """What lies below the floor is not looked at again: not by this holder, until the next one makes a full scan."""
    one = held_relay(estate)
    after: list[int] = []
    read = outbox.read

    def reading(cursor, stream, limit, after_id):
        after.append(after_id)
        return read(cursor, stream, limit, after_id)

    monkeypatch.setattr(outbox, "read", reading)
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(5)])
    greatest = value("SELECT max(id) FROM strangler_outbox", using=SOURCE)
    for _ in range(3):
        one.round()
    assert after[0] == 0
    assert after[-1] >= greatest


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p14_the_floor_waits_for_every_transaction_that_may_have_drawn_an_id(estate):
    """Also for one that has written before others began, and commits long after what they wrote was delivered."""
    one = held_relay(estate)
    with closing(late := connect(SOURCE)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_code (code) VALUES ('late')")
        for n in range(5):
            Code.objects.using(SOURCE).create(code=f"early {n}")
            one.round()
        late.execute("COMMIT")
    one.round()
    assert "late" in estate.table("bank.Code", DESTINATION)
    assert estate.pointers() == []


def test_p14_what_is_kept_lies_above_the_floor(estate):
    with refusing("bad", DESTINATION):
        one = held_relay(estate)
        Code.objects.using(SOURCE).create(code="bad")
        for n in range(4):
            Code.objects.using(SOURCE).create(code=f"good {n}")
            one.round()
        assert quarantine_of(CONTEXT) == [("bank.Code", "bad")], "it was tried again and again, and found poison"


def test_p14_p23_what_fails_while_the_next_sweep_is_read_is_tried_again_and_nothing_is_called_fresh(estate):
    """Beside a backfill each round is a sweep, so one begins while the former is under way: it leaves out what that one has."""
    with refusing("bad", DESTINATION):
        Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:02}") for n in range(12)])
        estate.forget_pointers()
        Code.objects.using(SOURCE).create(code="bad")
        backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
        rows("UPDATE strangler_backfill SET state = 'running'", using=SOURCE)
        one = held_relay(estate)
        first = one.read()
        one._sent.update(pointer.id for pointer in first.pointers)
        second = one.read()
        one._acknowledge(first, estate.service.post_changes(first.batch.events))
        one._sent.clear()
        one._acknowledge(second, estate.service.post_changes(second.batch.events) if second.batch.events else {})
        rows("UPDATE strangler_backfill SET state = 'done'", using=SOURCE)
        one.round()
        assert marker.published().get(CONTEXT, 0) == 0
        assert ("bank.Code", "bad") in [(event.collection, event.key) for event in estate.service.posted[-1]]


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p23_a_sweep_publishes_the_marker_of_its_first_round(estate):
    """What commits between its rounds, with a smaller id than those that are left, is seen by the next sweep only."""
    one = held_relay(estate)
    one.limit = 4
    with closing(late := connect(SOURCE)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_code (code) VALUES ('late')")
        Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(6)])
        one.round()
        late.execute("COMMIT")
    position = marker.position(SOURCE)
    one.round()
    assert estate.pointers() == [("bank.Code", "late")], "the sweep is through, and has not read it"
    assert not marker.published().get(CONTEXT, 0) > position
    one.round()
    assert marker.published()[CONTEXT] > position


def test_p23_a_quarantined_key_keeps_the_stream_from_being_called_fresh(estate):
    with refusing("bad", DESTINATION):
        Code.objects.using(SOURCE).bulk_create([Code(code="bad"), Code(code="good")])
        estate.drain()
        assert quarantine_of(CONTEXT) == [("bank.Code", "bad")]
        assert list(estate.table("bank.Code", DESTINATION)) == ["good"], "one bad row holds up nobody else"
        assert marker.published().get(CONTEXT, 0) == 0
    Code.objects.using(SOURCE).filter(code="bad").update(meaning="its successor cures it")
    estate.drain()
    assert quarantine_of(CONTEXT) == []
    estate.relay()
    assert marker.published()[CONTEXT] > 0
    estate.assert_equal("bank.Code")


def test_a_round_is_bounded_in_bytes_whatever_the_rows(estate, monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 1200)
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:02}", meaning="x" * (400 + 100 * (n % 3))) for n in range(40)])
    position = marker.position(SOURCE)
    estate.relay()
    estate.assert_equal("bank.Code")
    sizes = [sum(len(event.data.text) for event in events) for events in estate.service.posted]
    assert max(sizes) <= 1200
    assert len(sizes) < 40
    assert marker.published()[CONTEXT] > position


def test_p09_a_swap_of_rows_that_have_no_room_together_is_not_poison(estate, monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 100)  # one account
    accounts = [Account.objects.using(SOURCE).create(handle=handle) for handle in ("a", "b")]
    estate.drain()
    for account, handle in ((accounts[1], "tmp"), (accounts[0], "b"), (accounts[1], "a")):
        Account.objects.using(SOURCE).filter(pk=account.pk).update(handle=handle)
    estate.drain()
    assert quarantine_of(CONTEXT) == []
    estate.assert_equal("bank.Account")


def test_a_pointer_that_somebody_took_away_is_not_waited_for(estate):
    """A key failed and was kept; then it was discarded, or its stream given up. The holder has no more to do."""
    one = held_relay(estate)
    with refusing("bad", DESTINATION):
        Code.objects.using(SOURCE).create(code="bad")
        assert one.round()
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    assert not one.round()
    assert marker.published()[CONTEXT] > 0


def test_a_backfills_chunk_is_bounded_in_bytes_too(estate, monkeypatch):
    monkeypatch.setattr(batch, "BYTES", 1200)
    monkeypatch.setattr("strangler.sync.client.ServiceClient", lambda context: estate.service)
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:02}", meaning="x" * 500) for n in range(20)])
    estate.forget_pointers()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    wait_for(lambda: estate.relay() and not backfill.unfinished(CONTEXT, SOURCE), "the backfill")
    estate.assert_equal("bank.Code")
    assert [len(events) for events in estate.service.posted] == [2] * 10


def test_a_row_that_no_batch_has_room_for_is_poison_and_holds_up_nobody(estate, monkeypatch):
    monkeypatch.setattr(batch, "ROW_BYTES", 2000)
    Code.objects.using(SOURCE).bulk_create([Code(code="a"), Code(code="large", meaning="x" * 5000), Code(code="z")])
    estate.drain()
    assert set(estate.table("bank.Code", DESTINATION)) == {"a", "z"}
    assert quarantine_of(CONTEXT) == [("bank.Code", "large")]
    Code.objects.using(SOURCE).filter(code="large").update(meaning="small")
    estate.drain()
    assert quarantine_of(CONTEXT) == []
    estate.assert_equal("bank.Code")


def test_a_slow_answer_makes_the_next_round_smaller(estate, monkeypatch):
    monkeypatch.setattr(relay, "ANSWER_S", 0.0)
    one = held_relay(estate)
    before = one.limit
    Code.objects.using(SOURCE).create(code="k")
    one.round()
    assert one.limit < before
