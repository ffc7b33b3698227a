"""P13: a backfill lets live changes go first, and does what an operator tells it, in whatever process it runs."""

from __future__ import annotations

import pytest

from strangler.sync import backfill, backfill_pace, lease, marker, relay
from strangler.sync.database import rows
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, SOURCE, wait_for
from tests.integration.sync.servers import age_pointers


@pytest.fixture(autouse=True)
def small(estate, monkeypatch):
    """Ten rows a round; a sweep is a function call."""
    from strangler.sync import client

    monkeypatch.setattr(client, "ServiceClient", lambda context: estate.service)
    monkeypatch.setattr(relay, "FIRST", 10)
    monkeypatch.setattr(relay, "LIMIT", 10)
    monkeypatch.setattr(backfill_pace, "_said", {})


def begin(estate, count: int = 100) -> relay.Relay:
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:04}") for n in range(count)])
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    wait_for(lambda: backfill.look(CONTEXT, SOURCE), "the end of older transactions")
    return relay.Relay(lease.take(CONTEXT, SOURCE), estate.service, SOURCE, relay.FIRST)


def sent() -> int:
    return backfill.progress(CONTEXT, SOURCE)[0].sent


def finish(estate) -> None:
    rows("UPDATE strangler_stream SET lease_until = NULL", using=SOURCE)

    def is_through() -> bool:
        estate.relay()
        return not backfill.step(CONTEXT, SOURCE)

    wait_for(is_through, "the backfill", 30)
    estate.drain()


def test_p13_it_waits_while_live_changes_wait_for_too_long_says_so_and_goes_on(estate):
    held = begin(estate)
    held.round()
    assert sent() == 10
    Code.objects.using(SOURCE).create(code="live")
    age_pointers(1.24)
    held.round()
    assert sent() == 10, "the live change went alone"
    assert backfill_pace.say(CONTEXT, held.waits, SOURCE), "there is more to do"
    assert estate.stream()["reason"].startswith("backfill waits: live lag 1,2")
    assert estate.stream()["reason"].endswith(" ms > 500 ms")
    held.round()
    assert sent() == 20
    assert not backfill_pace.say(CONTEXT, held.waits, SOURCE)
    assert estate.stream()["reason"] == ""
    finish(estate)
    estate.assert_equal("bank.Code")


def test_p13_a_live_change_that_is_in_time_takes_a_chunk_along(estate):
    held = begin(estate)
    Code.objects.using(SOURCE).create(code="live")
    held.round()
    assert sent() == 9, "the room that the live change left"
    assert held.waits is None


def test_p13_a_holder_that_waits_for_live_changes_comes_back_by_itself(estate, monkeypatch):
    """Nobody asks for a round when the lag is over."""
    held = begin(estate, 15)
    held.lease.release()
    Code.objects.using(SOURCE).create(code="live")
    age_pointers(2)
    monkeypatch.setattr("strangler.sync.wake.is_asked", lambda _: False)
    assert estate.relay() >= 3
    assert sent() == 16
    assert estate.stream()["reason"] == ""


def test_p13_paused_it_stays_where_it_is_for_everybody_and_goes_on_from_there(estate):
    held = begin(estate)
    held.round()
    assert backfill_pace.pause(CONTEXT, "bank", SOURCE)
    held.round()
    held.lease.release()
    estate.relay()
    assert backfill.step(CONTEXT, SOURCE), "not through, and nothing done"
    (one,) = backfill.progress(CONTEXT, SOURCE)
    assert (one.sent, one.is_paused) == (10, True)
    assert backfill.total([one]).state == "paused"
    assert estate.stream()["reason"] == "backfill is paused; go on: strangler sync backfill bank --resume"
    assert marker.published().get(CONTEXT, 0) == 0, "what is not there yet is not fresh"
    assert not backfill_pace.pause(CONTEXT, "bank", SOURCE)
    assert backfill_pace.resume(CONTEXT, SOURCE)
    assert estate.stream()["reason"] == ""
    finish(estate)
    estate.assert_equal("bank.Code")
    assert not backfill_pace.resume(CONTEXT, SOURCE)


def test_p13_cancelled_it_is_over_without_being_complete(estate):
    held = begin(estate)
    held.round()
    held.lease.release()
    assert backfill_pace.cancel(CONTEXT, SOURCE)
    assert not backfill.unfinished(CONTEXT, SOURCE)
    estate.drain()
    estate.relay()
    assert [(one.state, one.sent) for one in backfill.progress(CONTEXT, SOURCE)] == [("cancelled", 10)]
    assert marker.published().get(CONTEXT, 0) == 0, "rows are missing, and nobody is told they were there"
    assert not backfill_pace.cancel(CONTEXT, SOURCE)
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    finish(estate)
    estate.relay()
    estate.assert_equal("bank.Code")
    assert marker.published()[CONTEXT] > 0


def test_p13_a_chunk_that_is_under_way_does_not_bring_a_cancelled_one_to_life(estate):
    held = begin(estate, 5)
    estate.service.after = lambda _: backfill_pace.cancel(CONTEXT, SOURCE)
    held.round()
    assert [(one.state, one.sent) for one in backfill.progress(CONTEXT, SOURCE)] == [("cancelled", 0)]


def test_the_rate_of_a_stream_counts_its_tables_together():
    one = backfill.Progress("a", "done", 900, 900, 90.0, None, seconds=10.0)
    two = backfill.Progress("b", "running", 100, 600, 5.0, 100.0, seconds=20.0)
    total = backfill.total([one, two])
    assert (total.tables_done, total.sent, total.rate, total.eta_s) == (1, 1000, 50.0, 10.0)
    assert backfill.total([]) is None
