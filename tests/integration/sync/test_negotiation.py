"""A column may come or go on the monolith first: what the service has no place for is reported, and sent again once it has."""

from __future__ import annotations

import pytest

from strangler.errors import SchemaMismatch, StranglerError
from strangler.sync import backfill, collections, drift, follow, shape, status
from strangler.sync.database import rows
from tests.integration.sync import extra
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, wait_for

pytestmark = pytest.mark.only("postgresql", "ALTER of constraints by hand")

READ = "SELECT * FROM bank_extra ORDER BY id"


@pytest.fixture
def mirrored(estate, monkeypatch):
    monkeypatch.setattr("strangler.sync.client.ServiceClient", lambda *_, **__: estate.service)
    monkeypatch.setattr(follow, "ServiceClient", lambda *_, **__: estate.service)
    shape._heard.clear()
    with extra.table("id int PRIMARY KEY, a int"):
        backfill.start(CONTEXT, using=SOURCE)
        rows("UPDATE strangler_backfill SET state = 'done'", using=SOURCE)
        rows("INSERT INTO bank_extra VALUES (1, 1)", using=SOURCE)
        estate.drain()
        yield estate


def again(estate) -> None:
    """As if the back-off were over and the catalogue were asked anew."""
    rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
    collections.forget()

    def is_through() -> bool:
        estate.relay()
        while backfill.unfinished(CONTEXT, SOURCE) and backfill.step(CONTEXT, SOURCE):
            estate.relay()
        return not estate.pointers()

    wait_for(is_through, "the stream being empty")


def reason() -> str:
    return next(stream.finding.why for stream in status.streams(CONTEXT, SOURCE) if stream.name == CONTEXT)


@pytest.mark.parametrize("is_told_by", ["the next change", "the tick"])
def test_a_column_may_come_on_the_monolith_first(mirrored, is_told_by):
    rows("ALTER TABLE bank_extra ADD COLUMN b int DEFAULT 7", using=SOURCE)
    again(mirrored)
    assert reason() == "bank.Extra: the service has no column b"
    assert rows(READ, using=DESTINATION) == [(1, 1)]
    rows("ALTER TABLE bank_extra ADD COLUMN b int", using=DESTINATION)
    if is_told_by == "the tick":
        collections.forget()
        follow.follow(SOURCE)
    else:
        rows("INSERT INTO bank_extra VALUES (2, 2, 2)", using=SOURCE)
    again(mirrored)
    again(mirrored)
    assert rows(READ, using=DESTINATION) == rows(READ, using=SOURCE), "the values that were left out were sent again"
    assert reason() == ""
    assert drift.check(CONTEXT, [extra.NAME], using=SOURCE, client=mirrored.service).differing == []


def test_a_column_may_go_on_the_monolith_first_where_the_service_can_do_without(mirrored):
    rows("ALTER TABLE bank_extra DROP COLUMN a", using=SOURCE)
    rows("INSERT INTO bank_extra VALUES (2)", using=SOURCE)
    again(mirrored)
    assert rows(READ, using=DESTINATION) == [(1, 1), (2, None)]


def test_a_column_that_the_service_demands_makes_the_stream_wait_and_loses_nothing(mirrored):
    rows("ALTER TABLE bank_extra ALTER COLUMN a SET NOT NULL", using=DESTINATION)
    rows("ALTER TABLE bank_extra DROP COLUMN a", using=SOURCE)
    rows("INSERT INTO bank_extra VALUES (2); INSERT INTO bank_code (code) VALUES ('behind it')", using=SOURCE)
    collections.forget()
    for _ in range(5):
        rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
        with pytest.raises(SchemaMismatch, match=r"bank\.Extra: column a is NOT NULL without a default on this side"):
            mirrored.relay()
    assert rows("SELECT * FROM strangler_quarantine", using=SOURCE) == [], "not poison, however often it is tried"
    assert 'ALTER TABLE "bank_extra" ALTER COLUMN "a" DROP NOT NULL' in mirrored.stream()["last_error"]
    assert reason().startswith("bank.Extra: column a is NOT NULL")
    assert "5 rounds failed" in reason()
    rows('ALTER TABLE "bank_extra" ALTER COLUMN "a" DROP NOT NULL', using=DESTINATION)
    again(mirrored)
    assert rows(READ, using=DESTINATION) == [(1, 1), (2, None)]
    assert list(mirrored.table("bank.Code", DESTINATION)) == ["behind it"]


def test_sides_that_name_a_row_by_other_columns_wait_for_each_other(mirrored):
    """A delete brings nothing but the key: by another key it would mean another row."""
    rows("INSERT INTO bank_extra VALUES (2, 4)", using=SOURCE)
    again(mirrored)
    change = "ALTER TABLE bank_extra DROP CONSTRAINT bank_extra_pkey; ALTER TABLE bank_extra ADD PRIMARY KEY (a)"
    rows(change, using=SOURCE)
    rows("INSERT INTO bank_extra VALUES (3, 2); DELETE FROM bank_extra WHERE a = 2", using=SOURCE)
    collections.forget()
    with extra.model(("a",)):
        with pytest.raises(StranglerError, match="the other side names a row by a, this side .* by id"):
            mirrored.relay()
        assert rows(READ, using=DESTINATION) == [(1, 1), (2, 4)]
        rows(change, using=DESTINATION)
        again(mirrored)
        assert rows(READ, using=DESTINATION) == [(1, 1), (2, 4)]


def test_the_reason_arrives(estate, served):
    rows("ALTER TABLE bank_code ADD COLUMN demanded int NOT NULL", using=DESTINATION)
    try:
        event = estate.event("bank.Code", "k", (0, 1, 1), {"code": "k"})
        with pytest.raises(StranglerError, match=r"422: bank\.Code: column demanded is NOT NULL without a default .*service"):
            served.destination().post_changes([event])
    finally:
        rows("ALTER TABLE bank_code DROP COLUMN demanded", using=DESTINATION)
        collections.forget()
    assert served.client().ownership()["schemas"]["bank.Account"] == collections.find(CONTEXT, "bank.Account", SOURCE).schema
