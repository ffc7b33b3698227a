"""P13: a backfill takes its time from nobody: chunks of a fifth of a second, live changes first, and it does what it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.sync import backfill, backfill_pace, marker, outbox
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, SOURCE, closing, connect, is_waiting_for_a_lock, wait_for


@pytest.fixture(autouse=True)
def small(estate, monkeypatch):
    from strangler.sync import client

    monkeypatch.setattr(client, "ServiceClient", lambda context: estate.service)
    monkeypatch.setattr(backfill_pace, "FIRST", 10)
    monkeypatch.setattr(backfill_pace, "LEAST", 2)


def begin(count: int = 100) -> None:
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:04}") for n in range(count)])
    rows("TRUNCATE strangler_outbox", using=SOURCE)
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    wait_for(lambda: backfill.feed(CONTEXT, SOURCE), "the first step")  # until older transactions are over


def chunk() -> int:
    return int(value("SELECT chunk FROM strangler_backfill", using=SOURCE))


def finish(estate) -> None:
    wait_for(lambda: estate.relay() and not backfill.unfinished(CONTEXT, SOURCE), "the backfill")
    estate.drain()


@given(st.integers(100, 50_000), st.floats(1e-6, 60))
def test_p13_the_next_chunk_heads_for_a_fifth_of_a_second(size, seconds):
    following = backfill_pace.next_chunk(size, seconds)
    assert backfill_pace.LEAST <= following <= backfill_pace.MOST
    assert following <= size * 2
    if seconds > backfill_pace.TARGET_S:
        assert following <= max(size, backfill_pace.LEAST)


def test_p13_a_chunk_that_took_long_makes_the_next_one_smaller(estate, monkeypatch):
    begin()
    backfill.feed(CONTEXT, SOURCE)
    assert (outbox.depth(CONTEXT, SOURCE), chunk()) == (10, 20)
    monkeypatch.setattr(backfill_pace, "TARGET_S", 1e-9)
    backfill.feed(CONTEXT, SOURCE)
    assert (outbox.depth(CONTEXT, SOURCE), chunk()) == (30, 2)


def test_p13_it_waits_while_live_changes_wait_for_too_long_and_says_so(estate):
    begin()
    backfill.feed(CONTEXT, SOURCE)
    Code.objects.using(SOURCE).create(code="live")
    rows("UPDATE strangler_outbox SET noted_at = noted_at - interval '1.24 seconds' WHERE origin = ''", using=SOURCE)
    before = outbox.depth(CONTEXT, SOURCE)
    assert not backfill.feed(CONTEXT, SOURCE)
    assert outbox.depth(CONTEXT, SOURCE) == before
    assert estate.stream()["reason"].startswith("backfill waits: live lag 1,2")
    assert estate.stream()["reason"].endswith(" ms > 500 ms")
    assert chunk() == 10, "half of twenty: what was noted stood before the live change"
    assert not backfill.feed(CONTEXT, SOURCE)
    assert chunk() == 10, "once each time it has to wait"
    finish(estate)
    assert estate.stream()["reason"] == ""
    estate.assert_equal("bank.Code")


def test_p13_its_own_pointers_are_no_live_lag(estate):
    begin()
    backfill.feed(CONTEXT, SOURCE)
    rows("UPDATE strangler_outbox SET noted_at = noted_at - interval '1 minute'", using=SOURCE)
    assert backfill_pace.look(CONTEXT, SOURCE) == backfill_pace.Ahead(10, 0.0)
    assert backfill.feed(CONTEXT, SOURCE)


def test_p13_paused_it_stays_where_it_is_for_everybody_and_goes_on_from_there(estate):
    begin()
    backfill.feed(CONTEXT, SOURCE)
    assert backfill_pace.pause(CONTEXT, "bank", SOURCE)
    estate.drain()
    assert not backfill.feed(CONTEXT, SOURCE)
    assert backfill.step(CONTEXT, SOURCE), "not through, and nothing done"
    (one,) = backfill.progress(CONTEXT, SOURCE)
    assert (one.noted, one.is_paused) == (10, True)
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
    begin()
    backfill.feed(CONTEXT, SOURCE)
    assert backfill_pace.cancel(CONTEXT, SOURCE)
    assert not backfill.unfinished(CONTEXT, SOURCE)
    estate.drain()
    estate.relay()
    assert [one.state for one in backfill.progress(CONTEXT, SOURCE)] == ["cancelled"]
    assert marker.published().get(CONTEXT, 0) == 0, "rows are missing, and nobody is told they were there"
    assert not backfill_pace.cancel(CONTEXT, SOURCE)
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    finish(estate)
    estate.relay()
    estate.assert_equal("bank.Code")
    assert marker.published()[CONTEXT] > 0


def test_p13_a_cancellation_waits_for_the_chunk_that_is_under_way(estate, threads):
    """Else the chunk's own note of where it ended would bring the backfill to life again."""
    begin()
    with closing(noting := connect(SOURCE)):
        noting.execute("BEGIN")
        (id_,) = noting.execute("SELECT id FROM strangler_backfill FOR UPDATE SKIP LOCKED").fetchone()
        pids: list[int] = []

        def cancel() -> None:
            pids.append(value("SELECT pg_backend_pid()", using=SOURCE))
            backfill_pace.cancel(CONTEXT, SOURCE)

        threads.start(cancel)
        wait_for(lambda: pids and is_waiting_for_a_lock(SOURCE, pids[0]), "the wait")
        noting.execute("UPDATE strangler_backfill SET state = 'noted' WHERE id = %s", [id_])
        noting.execute("COMMIT")
        threads.join()
    assert [one.state for one in backfill.progress(CONTEXT, SOURCE)] == ["cancelled"]


def test_the_rate_of_a_stream_counts_its_tables_together():
    one = backfill.Progress("a", "done", 900, 900, 90.0, None, seconds=10.0)
    two = backfill.Progress("b", "running", 100, 600, 5.0, 100.0, seconds=20.0)
    total = backfill.total([one, two])
    assert (total.tables_done, total.noted, total.rate, total.eta_s) == (1, 1000, 50.0, 10.0)
    assert backfill.total([]) is None
