"""P4: the side that writes never stops for us. Over its outbox budget a stream is given up, and a new backfill brings it back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from strangler.domain.estate import Budget
from strangler.errors import Gone, LostLease
from strangler.sync import backfill, broken, budget, capture, collections, drift, install, lease, marker, relay, reverse_backfill
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, is_waiting_for_a_lock, wait_for
from tests.integration.sync.servers import age_pointers

REVERSE = f"{CONTEXT}-reverse"
SMALL = Budget(max_rows=20)


@pytest.fixture(autouse=True)
def small(estate, monkeypatch) -> Iterator[None]:
    """A budget of twenty rows without grace; afterwards everything is captured again."""
    from strangler.sync import client

    monkeypatch.setattr(client, "ServiceClient", lambda context: estate.service)
    monkeypatch.setattr(budget, "of", lambda context: SMALL)
    monkeypatch.setattr(budget, "GRACE_S", 0.0)
    yield
    for alias in (SOURCE, DESTINATION):
        rows("UPDATE strangler_stream SET state = 'off', floor = 0, over_since = NULL", using=alias)
    estate.install()


def write(count: int, alias: str = SOURCE, start: int = 0) -> None:
    Code.objects.using(alias).bulk_create([Code(code=f"{start + n:04}", meaning="x" * 20) for n in range(count)])


def enforce(alias: str = SOURCE) -> list[str]:
    """Two looks: one may be wrong."""
    return [*budget.enforce(alias), *budget.enforce(alias)]


def is_captured(alias: str, name: str = "bank.Code") -> bool:
    return capture.is_installed(collections.find(CONTEXT, name, alias), alias)


def subscriptions(alias: str = SOURCE) -> set[str]:
    return {name for (name,) in rows("SELECT DISTINCT stream FROM strangler_subscription", using=alias)}


def test_p04_over_its_budget_a_stream_breaks_and_the_monolith_goes_on_without_it(estate):
    write(21)
    assert enforce() == [CONTEXT]
    row = estate.stream()
    assert (row["state"], estate.pointers()) == ("broken", [])
    assert "more than 20 changes waited" in row["reason"]
    assert "strangler sync backfill bank" in row["reason"]
    assert subscriptions() == {f"{CONTEXT}-copies"}, "other streams go on"
    assert not is_captured(SOURCE)
    write(5, start=100)
    assert estate.pointers() == []
    assert estate.relay() == 0, "nobody carries it"


def test_p04_a_table_that_another_stream_wants_stays_captured(estate):
    rows("INSERT INTO strangler_subscription (stream, collection) VALUES ('other', 'bank.Code')", using=SOURCE)
    try:
        write(21)
        enforce()
        assert is_captured(SOURCE)
        assert not is_captured(SOURCE, "bank.Account")
        write(1, start=100)
        assert len(estate.pointers("other")) == 22
    finally:
        rows("DELETE FROM strangler_subscription WHERE stream = 'other'", using=SOURCE)


def test_p04_within_its_budget_nothing_breaks_however_far_its_ids_lie_apart(estate):
    write(1)
    rows("UPDATE strangler_outbox SET id = id - 5000", using=SOURCE)
    write(18, start=10)
    assert not budget.usage(CONTEXT, Budget(), SOURCE).is_counted
    seen = budget.usage(CONTEXT, SMALL, SOURCE)
    assert (seen.rows, seen.is_counted) == (19, True)
    assert enforce() == []
    assert estate.stream()["state"] == "live"


def test_p04_one_look_that_is_over_breaks_nothing(estate, monkeypatch):
    """A clock that was set ahead makes everything look old until the next look."""
    monkeypatch.setattr(budget, "of", lambda context: Budget(max_age_s=3600))
    write(1)
    age_pointers(7200)
    assert budget.enforce(SOURCE) == []
    assert estate.stream()["over_since"] is not None
    estate.drain()
    assert budget.enforce(SOURCE) == []
    assert estate.stream()["over_since"] is None


@pytest.mark.parametrize(
    ("limits", "why"),
    [(Budget(max_bytes=2000), "take 0 MB"), (Budget(max_age_s=3600), "waited for 2.0 h, longer than 1.0")],
)
def test_p04_bytes_and_age_count_too(estate, monkeypatch, limits, why):
    monkeypatch.setattr(budget, "of", lambda context: limits)
    write(19)
    age_pointers(7200)
    assert enforce() == [CONTEXT]
    assert why in estate.stream()["reason"]


def test_p04_a_relay_that_is_under_way_can_neither_acknowledge_nor_raise_the_marker(estate):
    write(21)
    held = relay.Relay(lease.take(CONTEXT, SOURCE), estate.service, SOURCE)
    estate.service.before = lambda _: enforce() and None
    with pytest.raises(LostLease):
        held.round()
    row = estate.stream()
    assert (row["state"], row["marker"]) == ("broken", 0)
    assert CONTEXT not in marker.published()


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p04_what_a_late_commit_leaves_is_taken_away_as_well(estate):
    write(21)
    with closing(late := connect(SOURCE)):
        late.execute("BEGIN")
        late.execute("INSERT INTO bank_account (handle, balance, opened_at) VALUES ('late', 1, '2026-01-01 00:00:00')")
        assert enforce() == [CONTEXT]
        late.execute("COMMIT")
    assert estate.pointers() == [("bank.Account", str(Account.objects.using(SOURCE).get().pk))]
    budget.enforce(SOURCE)
    assert estate.pointers() == []
    assert not is_captured(SOURCE, "bank.Account"), "its triggers were in use at the first look"


def test_p04_the_clean_check_is_forgotten_with_the_pointers(estate):
    """A digest of what changed since would not see what was lost."""
    drift.check(CONTEXT, using=SOURCE, client=estate.service)
    assert estate.stream()["verified_at"]
    write(21)
    enforce()
    row = estate.stream()
    assert (row["verified_at"], row["verified_drift"], row["verified_marker"]) == (None, None, 0)


def test_p04_a_new_backfill_brings_it_back_with_all_that_it_missed(estate):
    write(21)
    enforce()
    Code.objects.using(SOURCE).filter(code="0000").delete()
    write(3, start=100)
    assert broken.come_back(CONTEXT, SOURCE)
    assert estate.stream()["state"] == "live"
    assert is_captured(SOURCE)
    assert marker.published().get(CONTEXT, 0) == 0
    wait_for(lambda: estate.relay() and not backfill.unfinished(CONTEXT, SOURCE), "the backfill")
    estate.drain()
    estate.assert_equal()
    write(1, start=200)
    estate.drain()
    estate.assert_equal("bank.Code")
    assert enforce() == []
    assert not broken.come_back(CONTEXT, SOURCE), "it is back"


def test_p04_a_comeback_that_died_half_way_goes_on(estate, monkeypatch):
    write(21)
    enforce()
    monkeypatch.setattr(install, "install", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        broken.come_back(CONTEXT, SOURCE)
    monkeypatch.undo()
    assert estate.stream()["state"] == "off"
    assert broken.come_back(CONTEXT, SOURCE)
    assert estate.stream()["state"] == "live"
    assert backfill.unfinished(CONTEXT, SOURCE)


@pytest.mark.only("postgresql", "transactions that write side by side")
def test_p04_a_sweep_does_not_take_the_triggers_of_who_subscribes_meanwhile(estate, threads):
    """It looks and drops under one lock: a subscriber waits for it, and then makes what is gone."""
    write(21)
    enforce()
    install.install(CONTEXT, SOURCE)  # a table that is captured although nobody wants it: the stream is broken still
    rows("DELETE FROM strangler_subscription WHERE stream = %s", [CONTEXT], SOURCE)
    with closing(other := connect(SOURCE), held := connect(SOURCE)):
        held.execute("BEGIN")
        held.execute("LOCK TABLE strangler_subscription IN ROW EXCLUSIVE MODE")
        held.execute("INSERT INTO strangler_subscription (stream, collection) VALUES ('other', 'bank.Code')")
        broken.sweep(SOURCE)
        assert is_captured(SOURCE), "whoever subscribes first is waited for"
        held.execute("COMMIT")
        broken.sweep(SOURCE)
        assert is_captured(SOURCE)
        other.execute("DELETE FROM strangler_subscription WHERE stream = 'other'")
        broken.sweep(SOURCE)
        assert not is_captured(SOURCE)


@pytest.mark.only("postgresql", "writers side by side")
def test_p04_taking_triggers_away_never_has_a_writer_wait(estate):
    write(21)
    with closing(writer := connect(SOURCE)):
        writer.execute("BEGIN")
        writer.execute("INSERT INTO bank_code (code) VALUES ('open')")
        assert enforce() == [CONTEXT]
        assert is_captured(SOURCE), "in use: tried again at the next look"
        assert not is_waiting_for_a_lock(SOURCE, writer.info.backend_pid)
        writer.execute("INSERT INTO bank_code (code) VALUES ('and on')")
        writer.execute("COMMIT")
    budget.enforce(SOURCE)
    assert not is_captured(SOURCE)


@pytest.fixture
def owned(estate):
    estate.hand_over("none", 1)
    estate.hand_over("service", 1)
    write(5, DESTINATION)
    estate.pull()
    estate.assert_equal("bank.Code")
    return estate


def test_p04_the_service_does_not_stop_for_a_monolith_that_does_not_pull(owned):
    write(21, DESTINATION, start=100)
    assert enforce(DESTINATION) == [CONTEXT]
    assert owned.pointers(alias=DESTINATION) == []
    assert not is_captured(DESTINATION)
    with pytest.raises(Gone, match="on the service run: strangler sync install bank; then on the monolith"):
        owned.pull()
    row = owned.stream(REVERSE)
    assert row["state"] == "broken"
    assert "strangler sync backfill bank" in row["reason"]
    assert REVERSE not in marker.published()


def test_p04_a_feed_that_was_opened_again_still_tells_who_has_missed_something(owned):
    """Nobody pulled while it was broken; the puller comes when all looks well again."""
    write(21, DESTINATION, start=100)
    enforce(DESTINATION)
    write(1, DESTINATION, start=300)
    assert broken.open_feed(CONTEXT, DESTINATION)
    with pytest.raises(Gone, match="has lost changes"):
        owned.pull()
    assert owned.stream(REVERSE)["state"] == "broken"


def test_p04_the_reverse_mirror_comes_back_by_a_comparison_of_all_rows(owned):
    write(21, DESTINATION, start=100)
    enforce(DESTINATION)
    Code.objects.using(DESTINATION).filter(code="0001").delete()
    write(1, DESTINATION, start=300)
    with pytest.raises(Gone):
        owned.pull()
    with pytest.raises(Gone, match="on the service run"):
        reverse_backfill.begin(REVERSE, owned.service, SOURCE)
    assert owned.stream(REVERSE)["state"] == "broken", "not before the service captures"
    broken.open_feed(CONTEXT, DESTINATION)
    reverse_backfill.begin(REVERSE, owned.service, SOURCE)
    owned.pull()
    assert REVERSE not in marker.published(), "nobody is told a marker while rows are missing"
    said: list[str] = []
    assert reverse_backfill.mend(REVERSE, owned.service, SOURCE, said.append) == 23
    assert "26 rows compared, 23 sent again" in said[0]
    owned.assert_equal()
    write(1, DESTINATION, start=400)
    owned.pull()
    owned.assert_equal("bank.Code")
    assert marker.published()[REVERSE] > 0


def test_p04_what_a_feed_has_lost_is_nobodys_to_miss_once_the_monolith_owns_again(owned):
    write(21, DESTINATION, start=100)
    enforce(DESTINATION)
    assert value("SELECT floor FROM strangler_stream WHERE name = %s", [CONTEXT], DESTINATION) > 0
    owned.hand_over("none", 2)
    owned.hand_over("monolith", 2)
    assert value("SELECT floor FROM strangler_stream WHERE name = %s", [CONTEXT], DESTINATION) == 0


@pytest.mark.only("postgresql", "isolation levels")
def test_p04_a_transaction_from_before_the_capture_keeps_the_feed_closed(owned, monkeypatch):
    monkeypatch.setattr(broken, "PATIENCE_S", 0.0)
    write(21, DESTINATION, start=100)
    enforce(DESTINATION)
    from strangler.errors import StranglerError

    with closing(early := connect(DESTINATION)):
        early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        early.execute("SELECT count(*) FROM bank_code")
        with pytest.raises(StranglerError, match=f"backend {early.info.backend_pid} has a transaction"):
            broken.open_feed(CONTEXT, DESTINATION)
        with pytest.raises(Gone, match="on the service run"):
            owned.pull()
        early.execute("COMMIT")
    assert broken.open_feed(CONTEXT, DESTINATION)
    assert not broken.open_feed(CONTEXT, DESTINATION)


def test_p04_the_estate_declares_the_budget():
    assert dataclasses.asdict(Budget()) == {"max_rows": 1_000_000, "max_bytes": 1_000_000_000, "max_age_s": 86_400.0}
