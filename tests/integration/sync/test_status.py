"""What is measured of a stream is what its name says."""

from __future__ import annotations

import pytest

from strangler.domain.estate import Budget
from strangler.sync import budget, status
from strangler.sync.database import rows, value
from strangler.sync.databases.port import Statement
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, SOURCE, closing, connect
from tests.integration.sync.servers import age_pointers


def seen() -> status.StreamStatus:
    return next(stream for stream in status.streams(CONTEXT, SOURCE) if stream.name == CONTEXT)


@pytest.mark.only("postgresql", "clocks and sleeps in SQL")
def test_lag_counts_from_the_statement_that_wrote_so_it_is_never_less_than_from_the_commit(estate):
    with closing(writer := connect(SOURCE)), writer.transaction():
        writer.execute("SELECT 1")
        writer.execute("INSERT INTO bank_code (code) VALUES ('k')")
        writer.execute("SELECT pg_sleep(0.3)")
    committed = value("SELECT clock_timestamp()", using=SOURCE)
    estate.relay()
    acknowledged = value("SELECT at FROM strangler_round WHERE stream = %s", [CONTEXT], SOURCE)
    from_commit_ms = (acknowledged - committed).total_seconds() * 1000
    assert seen().lag_p99_ms >= from_commit_ms + 300


def test_depth_age_rate_and_total_are_of_the_stream_alone(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(30)])
    rows("INSERT INTO strangler_outbox (stream, collection, key) VALUES ('other', 'x', '1')", using=SOURCE)
    age_pointers(90)
    before = seen()
    assert before.depth == 30
    assert 90 <= before.oldest_s < 120
    estate.drain()
    after = seen()
    assert (after.depth, after.oldest_s, after.relayed - before.relayed) == (0, None, 30)
    assert after.rate == 0.5, "30 of them in the last minute"


def test_many_waiting_changes_are_told_without_being_counted(estate, monkeypatch):
    monkeypatch.setattr(status, "STREAMS", Statement(status.STREAMS.text.replace(str(status.COUNTED + 1), "11")))
    monkeypatch.setattr(status, "COUNTED", 10)
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(30)])
    assert seen().depth == 30


@pytest.mark.only("postgresql", "sizes of tables")
def test_p04_the_bytes_of_a_budget_are_what_the_outbox_takes_on_disk(estate):
    count = 20_000
    rows("VACUUM FULL strangler_outbox", using=SOURCE)
    empty = value("SELECT pg_total_relation_size('strangler_outbox')", using=SOURCE)
    rows(
        "INSERT INTO strangler_outbox (stream, collection, key, origin) "
        "SELECT %s, 'payments.Payment', n::text, '' FROM generate_series(1, %s) n",
        [CONTEXT, count],
        SOURCE,
    )
    taken = value("SELECT pg_total_relation_size('strangler_outbox')", using=SOURCE) - empty
    told = budget.usage(CONTEXT, Budget(max_rows=1), SOURCE).bytes / 2 * count  # counted up to one more than the budget
    rows("TRUNCATE strangler_outbox", using=SOURCE)
    assert 0.7 < told / taken < 1.4, (told, taken)
