"""The verifier that never sleeps: it sees everything in time, reports only drift, takes turns, costs little, mends nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from strangler.sync import outbox, sampling, status
from strangler.sync.database import rows, value
from strangler.sync.databases.port import Statement
from tests.integration.sync.bank.models import Code, Tag
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, wait_for
from tests.integration.sync.test_drift import REVERSE, fill, quietly


@pytest.fixture(autouse=True)
def alone(estate, monkeypatch):
    """Only the mirror is live, and a window is small."""
    rows("UPDATE strangler_stream SET state = 'off' WHERE name <> %s", [CONTEXT], SOURCE)
    monkeypatch.setattr(sampling, "MOST", 1000)


def step(estate, *, is_due: bool = True, **options: object) -> str | None:
    if is_due:
        rows(Statement("UPDATE strangler_sample SET due_at = {now}"), [], SOURCE)
    return sampling.step(SOURCE, estate.service, **options)


def seen(stream: str = CONTEXT) -> sampling.Sampled:
    return {one.stream: one for one in sampling.sampled(SOURCE)}[stream]


def pass_over(estate) -> int:
    """Steps until the pass is over."""
    before = seen().passes if sampling.sampled(SOURCE) else 0
    for count in range(1, 60):
        assert step(estate) is not None
        if seen().passes > before:
            return count
    raise AssertionError("the pass did not end")


def test_a_planted_difference_is_found_within_one_pass_and_is_only_recorded(estate):
    fill(estate, 3500)
    (victim,) = rows("SELECT CAST(id AS text) FROM bank_tag ORDER BY id LIMIT 1 OFFSET 2750", using=SOURCE)[0]
    quietly(DESTINATION, "UPDATE bank_tag SET word = 'other' WHERE id = %s", [victim])
    before = estate.stream()
    steps = pass_over(estate)
    found = seen()
    assert (found.drift, found.found, found.clean_at) == (1, [["bank.Tag", victim, "different"]], None)
    assert steps <= 4 + 12, "four windows of tags, one of each other table"
    assert found.rows == 3500
    after = estate.stream()
    assert {key: after[key] for key in after if key.startswith("verified")} == {
        key: before[key] for key in before if key.startswith("verified")
    }
    assert outbox.depth(CONTEXT, SOURCE) == 0, "nothing was sent again"


def test_a_difference_that_is_gone_is_forgotten_with_the_next_clean_pass(estate):
    fill(estate, 20)
    quietly(DESTINATION, "DELETE FROM bank_tag WHERE word = 'w3'")
    pass_over(estate)
    assert seen().drift == 1
    with_it = value("SELECT id FROM bank_tag WHERE word = 'w3'", using=SOURCE)
    quietly(DESTINATION, "INSERT INTO bank_tag (id, word) VALUES (%s, 'w3')", [with_it])
    began = timezone.now()
    step(estate)
    assert seen().drift == 1, "until the pass is over it is known of the last one"
    pass_over(estate)
    found = seen()
    assert (found.drift, found.found, found.passes) == (0, [], 2)
    assert found.clean_at < began, "everything has been seen equal since the pass began, not since it ended"


def test_a_difference_in_flight_is_not_reported(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(10)])
    estate.drain()
    Code.objects.using(SOURCE).filter(code="3").update(meaning="on its way")
    pass_over(estate)
    assert (seen().drift, seen().passes) == (0, 1)


def test_two_verifiers_take_turns(estate):
    """While one compares a window the other finds nothing due, and goes on with the next window afterwards."""
    fill(estate, 2500)
    entered, ask = [], estate.service.digest

    def digest(*args, **options):
        estate.service.digest = ask
        entered.append(sampling.step(SOURCE, estate.service))
        return ask(*args, **options)

    estate.service.digest = digest
    assert step(estate) == CONTEXT
    assert entered == [None]


def test_a_killed_verifier_goes_on_where_it_stopped(estate):
    fill(estate, 2500)
    while value("SELECT key FROM strangler_sample", using=SOURCE) is None:
        step(estate)
    at = rows("SELECT collection, key FROM strangler_sample", using=SOURCE)
    ask, asked = estate.service.digest, []

    def killed(*args, **options):
        raise SystemExit

    estate.service.digest = killed
    with pytest.raises(SystemExit):
        step(estate)
    assert step(estate, is_due=False) is None, "its claim holds for a while"

    def digest(collection, from_=None, *args, **options):
        asked.append((collection, from_))
        return ask(collection, from_, *args, **options)

    estate.service.digest = digest
    assert step(estate) == CONTEXT
    assert asked[0] == at[0]


def test_one_that_was_overtaken_records_nothing(estate):
    fill(estate, 10)
    ask = estate.service.digest

    def digest(*args, **options):
        estate.service.digest = ask
        assert step(estate) == CONTEXT, "its claim had ended"
        return ask(*args, **options)

    while value("SELECT max(collection) FROM strangler_sample", using=SOURCE) != "bank.Tag":
        step(estate)
    estate.service.digest = digest
    step(estate)
    assert seen().rows == 10, "each row counts once"


def test_it_rests_as_long_as_its_budget_says_and_can_be_turned_off(estate):
    fill(estate, 10)
    assert step(estate, share=0) is None
    assert step(estate, share=0.001) == CONTEXT
    (rest,) = rows(Statement("SELECT {between:sampled_at; due_at} FROM strangler_sample"), [], SOURCE)[0]
    assert rest > 0.5, "a window takes a millisecond at least"
    assert step(estate, is_due=False) is None


@pytest.mark.parametrize(
    "trouble",
    [
        "INSERT INTO strangler_outbox (stream, collection, key, noted_at) "
        "VALUES ('bank', 'bank.Code', 'x', '2026-01-01 00:00:00')",
        "INSERT INTO strangler_backfill (stream, collection, waits_for) VALUES ('bank', 'bank.Code', '[]')",
        "UPDATE strangler_stream SET failures = 1 WHERE name = 'bank'",
        "UPDATE strangler_ownership SET owner = 'none' WHERE context = 'bank'",
    ],
    ids=["backlog", "backfill", "failure", "hand-over"],
)
def test_the_relay_comes_first(estate, trouble):
    rows(trouble, using=SOURCE)
    estate.service.digest = None
    assert step(estate) is None


def test_a_service_that_is_away_is_asked_again_later(estate):
    from strangler.errors import ServiceUnavailable

    def away(*args, **options):
        raise ServiceUnavailable("it does not answer")

    estate.service.digest = away
    assert step(estate) is None
    assert step(estate, is_due=False) is None
    assert estate.stream()["failures"] == 0, "that is the relay's to find out"


def test_a_reverse_stream_is_sampled_without_pulling_it(estate, threads):
    rows("UPDATE strangler_stream SET state = CASE WHEN name = %s THEN 'live' ELSE 'off' END", [REVERSE], SOURCE)
    estate.hand_over("service", 1)
    Code.objects.using(DESTINATION).bulk_create([Code(code=str(n)) for n in range(20)])
    estate.pull()
    quietly(SOURCE, "UPDATE bank_code SET meaning = 'drifted' WHERE code = '9'")
    pulls = threads.start(lambda: wait_for(lambda: estate.pull() and seen(REVERSE).passes, "a pass", 25))
    while pulls.is_alive() and not (sampling.sampled(SOURCE) and seen(REVERSE).passes):
        assert step(estate) in (REVERSE, None)
    threads.join()
    assert (seen(REVERSE).drift, seen(REVERSE).found) == (1, [["bank.Code", "9", "different"]])


def test_a_stream_that_starts_anew_was_seen_by_nobody(estate):
    from strangler.sync import streams

    Tag.objects.using(SOURCE).create(word="a")
    estate.drain()
    pass_over(estate)
    streams.stop(CONTEXT, using=SOURCE)
    streams.start(CONTEXT, using=SOURCE)
    assert sampling.sampled(SOURCE) == []


def test_what_it_found_stands_in_the_streams_status(estate):
    rows(
        "INSERT INTO strangler_sample (stream, sampled_at, drift, found) VALUES (%s, %s, 3, '[]')",
        [CONTEXT, "2026-11-26T03:00:00.000000Z"],
        SOURCE,
    )
    (seen,) = [stream for stream in status.streams(using=SOURCE) if stream.name == CONTEXT]
    assert (seen.sampled_drift, seen.sampled_at.hour, seen.finding.word) == (3, 3, "differs")
