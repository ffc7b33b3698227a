"""P9: what can't be applied waits by key, with all that comes after it; it is shown, sent again, or let be for a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from strangler.errors import Misuse
from strangler.sync import backfill, drift, marker, quarantine
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, wait_for
from tests.integration.sync.servers import allow, refuse

REVERSE = f"{CONTEXT}-reverse"


@pytest.fixture
def refused(estate) -> Iterator[None]:
    """The destination takes no code that begins with ``bad``."""
    yield from _refusing(DESTINATION)


def _refusing(alias: str) -> Iterator[None]:
    refuse("substr(code, 1, 3) <> 'bad'", alias)
    yield
    allow(alias)


def waiting(stream: str = CONTEXT) -> dict[str, tuple[int, bool]]:
    return {entry.key: (entry.attempts, entry.discarded_at is not None) for entry in quarantine.listed(stream, using=SOURCE)}


def test_p09_a_successor_stays_with_its_poison_key_and_counts_up(estate, refused):
    Code.objects.using(SOURCE).create(code="bad", meaning="1")
    estate.drain()
    assert waiting() == {"bad": (1, False)}
    Code.objects.using(SOURCE).filter(code="bad").update(meaning="2")
    Code.objects.using(SOURCE).create(code="good")
    estate.drain()
    assert waiting() == {"bad": (2, False)}
    assert set(estate.table("bank.Code", DESTINATION)) == {"good"}
    Code.objects.using(SOURCE).filter(code="bad").delete()
    estate.drain()
    assert waiting() == {}, "a deletion is a success like any other"


@pytest.mark.only("postgresql", "TRUNCATE")
def test_p09_a_reset_of_the_collection_cures_what_is_gone_with_it(estate, refused):
    Code.objects.using(SOURCE).create(code="bad")
    Account.objects.using(SOURCE).create(handle="still there")
    estate.drain()
    with closing(program := connect(SOURCE)):
        program.execute("TRUNCATE bank_code CASCADE")
    estate.drain()
    assert waiting() == {}
    estate.assert_equal()


@pytest.mark.only("postgresql", "TRUNCATE")
def test_p09_a_reset_does_not_cure_a_row_that_is_still_there(estate):
    rows("ALTER TABLE bank_reading ADD CONSTRAINT never CHECK (value <> 'bad')", using=DESTINATION)
    try:
        rows("INSERT INTO bank_reading VALUES (1, 2025, 'good'), (2, 2026, 'bad')", using=SOURCE)
        estate.drain()
        assert waiting() == {"[2, 2026]": (1, False)}
        with closing(program := connect(SOURCE)):
            program.execute("TRUNCATE bank_reading_2025")
        estate.drain()
        assert waiting() == {"[2, 2026]": (1, False)}, "cured by the reset, noted again with it, refused again"
    finally:
        rows("ALTER TABLE bank_reading DROP CONSTRAINT never", using=DESTINATION)


def test_p09_a_retry_goes_through_the_outbox_and_brings_the_row_as_it_is_then(estate, refused):
    Code.objects.using(SOURCE).bulk_create([Code(code="bad 1", meaning="old"), Code(code="bad 2")])
    estate.drain()
    allow()
    assert quarantine.retry(CONTEXT, "bank.Code", "bad 1", using=SOURCE) == 1
    assert estate.pointers() == [("bank.Code", "bad 1")]
    rows("UPDATE bank_code SET meaning = 'new' WHERE code = 'bad 1'", using=SOURCE)
    estate.drain()
    assert waiting() == {"bad 2": (1, False)}
    assert quarantine.retry(CONTEXT, using=SOURCE) == 1
    estate.drain()
    assert waiting() == {}
    estate.assert_equal("bank.Code")


def test_p09_a_retry_that_fails_again_is_back_with_one_more_attempt(estate, refused):
    Code.objects.using(SOURCE).create(code="bad")
    estate.drain()
    quarantine.retry(CONTEXT, using=SOURCE)
    estate.drain()
    assert waiting() == {"bad": (2, False)}


def test_p09_a_reverse_stream_is_retried_at_the_service(estate):
    estate.hand_over("none", 1)
    estate.hand_over("service", 1)
    refusing = _refusing(SOURCE)
    next(refusing)
    try:
        Code.objects.using(DESTINATION).create(code="bad")
        estate.pull()
        assert waiting(REVERSE) == {"bad": (1, False)}
        seen = quarantine.show(REVERSE, "bank.Code", "bad", client=estate.service, using=SOURCE)
        assert (seen.row, seen.other) == (None, "another row")
        allow(SOURCE)
        assert quarantine.retry(REVERSE, client=estate.service, using=SOURCE) == 1
        estate.pull()
        assert waiting(REVERSE) == {}
        estate.assert_equal("bank.Code")
    finally:
        next(refusing, None)


def test_p23_a_discarded_key_no_longer_keeps_the_stream_from_being_called_fresh(estate, refused):
    Code.objects.using(SOURCE).create(code="bad")
    estate.drain()
    estate.relay()
    assert marker.published().get(CONTEXT, 0) == 0
    assert quarantine.discard(CONTEXT, "bank.Code", "bad", SOURCE)[0][:2] == ("bank.Code", "bad")
    estate.relay()
    assert marker.published()[CONTEXT] > 0


def test_p09_a_discarded_key_is_known_drift_and_every_later_failure_reopens_it(estate, refused):
    Code.objects.using(SOURCE).create(code="bad")
    estate.drain()
    quarantine.discard(CONTEXT, "bank.Code", "bad", SOURCE)
    report = drift.check(CONTEXT, using=SOURCE, client=estate.service)
    assert report.differing == [("bank.Code", "bad", "missing")]
    Code.objects.using(SOURCE).filter(code="bad").update(meaning="changed")
    estate.drain()
    assert waiting() == {"bad": (2, False)}
    quarantine.discard(CONTEXT, using=SOURCE)
    allow()
    quarantine.retry(CONTEXT, using=SOURCE)
    estate.drain()
    assert waiting() == {}, "and a success ends it, as of every other"


def test_p09_a_new_backfill_tries_quarantined_keys_again(estate, refused, monkeypatch):
    from strangler.sync import client

    monkeypatch.setattr(client, "ServiceClient", lambda context: estate.service)
    Code.objects.using(SOURCE).create(code="bad")
    estate.drain()
    allow()
    backfill.start(CONTEXT, ["bank.Code"], using=SOURCE)
    wait_for(lambda: estate.relay() and not backfill.unfinished(CONTEXT, SOURCE), "the backfill")
    assert waiting() == {}


def test_show_tells_both_sides_and_what_waits(estate, refused):
    Code.objects.using(SOURCE).create(code="bad", meaning="seen")
    estate.drain()
    Code.objects.using(SOURCE).filter(code="bad").update(meaning="seen later")
    seen = quarantine.show(CONTEXT, "bank.Code", "bad", client=estate.service, using=SOURCE)
    assert "never" in seen.entry.error
    assert json.loads(seen.row)["meaning"] == "seen later"
    assert (seen.other, seen.waiting) == ("no such row", 1)
    with pytest.raises(Misuse, match="not in quarantine"):
        quarantine.show(CONTEXT, "bank.Code", "good", client=estate.service, using=SOURCE)


def test_a_key_that_is_empty_text_is_sent_again_with_its_whole_collection(estate):
    """It can't be told from a reset; to take it for one is right, and only costs more."""
    refuse("code <> ''", DESTINATION)
    try:
        Code.objects.using(SOURCE).bulk_create([Code(code=""), Code(code="good")])
        estate.drain()
        assert waiting() == {"": (1, False)}
    finally:
        allow()
    quarantine.retry(CONTEXT, "bank.Code", "", using=SOURCE)
    assert estate.pointers() == [("bank.Code", None)]
    estate.drain()
    assert waiting() == {}
    assert value("SELECT count(*) FROM bank_code", using=DESTINATION) == 2
    estate.assert_equal("bank.Code")
