"""P29: what differs and is not on its way is found, named, and nothing else is."""

from __future__ import annotations

import random

import pytest

from strangler.sync import drift, outbox
from strangler.sync.database import rows
from tests.integration.sync.bank.models import Code, Odd, Tag
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect
from tests.integration.sync.people.models import Person

REVERSE = f"{CONTEXT}-reverse"


def quietly(alias: str, statement: str, params: list[object] | None = None) -> None:
    """A write that nobody notes: how drift comes to be."""
    with closing(program := connect(alias)), program.transaction():
        program.execute(
            "SELECT set_config('session_replication_role', 'replica', true), set_config('strangler.origin', 'nobody', true)"
        )
        program.execute("ALTER TABLE bank_code DISABLE TRIGGER strangler_capture_insert")
        program.execute(statement, params)
        program.execute("ALTER TABLE bank_code ENABLE ALWAYS TRIGGER strangler_capture_insert")
    if alias == SOURCE:
        rows("DELETE FROM strangler_outbox WHERE origin = 'nobody'", using=SOURCE)


def check(estate, stream: str = CONTEXT, **options: object) -> drift.DriftReport:
    return drift.check(stream, using=SOURCE, client=estate.service, **options)


def fill(estate, count: int) -> None:
    Tag.objects.using(SOURCE).bulk_create([Tag(word=f"w{n}") for n in range(count)])
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    with closing(there := connect(DESTINATION)), closing(here := connect(SOURCE)):
        there.execute("SET strangler.origin = 'bank'")
        for row in here.execute("SELECT id, word FROM bank_tag"):
            there.execute("INSERT INTO bank_tag (id, word) VALUES (%s, %s)", row)


def test_p29_equal_sides_have_no_drift_and_it_is_remembered(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(100)])
    estate.drain()
    report = check(estate)
    assert (report.differing, report.in_flight, report.rows_checked) == ([], 0, 100)
    row = estate.stream()
    assert (row["verified_drift"], row["verified_marker"]) == (0, row["marker"])


def test_p29_a_clean_look_at_what_changed_moves_the_mark_on_but_leaves_no_gap(estate):
    """What is looked at next begins at the mark, so it may pass over nothing that was not compared."""
    Code.objects.using(SOURCE).create(code="a")
    estate.drain()
    check(estate)
    before = estate.stream()
    Code.objects.using(SOURCE).create(code="b")
    estate.drain()
    check(estate, since_marker=before["verified_marker"] + 1)
    assert estate.stream()["verified_marker"] == before["verified_marker"], "it began after the mark"
    check(estate, since_marker=before["verified_marker"])
    after = estate.stream()
    assert after["verified_marker"] == after["marker"] > before["verified_marker"]
    assert after["verified_at"] == before["verified_at"], "which is that of the last check of everything"
    quietly(DESTINATION, "UPDATE bank_code SET meaning = 'other' WHERE code = 'b'")
    Code.objects.using(SOURCE).create(code="c")
    estate.drain()
    check(estate, since_marker=before["verified_marker"])
    assert estate.stream()["verified_marker"] == after["verified_marker"], "something differs"


def test_p29_each_differing_key_is_named_with_what_is_wrong(estate, monkeypatch):
    monkeypatch.setattr(drift, "SMALL", 20)
    fill(estate, 2000)
    ids = [pk for (pk,) in rows("SELECT id FROM bank_tag ORDER BY id", using=SOURCE)]
    changed, lost, first, last = ids[700], ids[1500], ids[0], ids[-1]
    with closing(there := connect(DESTINATION)):
        there.execute("SET strangler.origin = 'bank'")
        there.execute("UPDATE bank_tag SET word = 'other' WHERE id = ANY(%s)", [[changed, first]])
        there.execute("DELETE FROM bank_tag WHERE id = ANY(%s)", [[lost, last]])
        there.execute("INSERT INTO bank_tag (id, word) VALUES (%s, 'stray'), (%s, 'stray')", [ids[0] - 1, ids[-1] + 10])
    report = check(estate)
    assert sorted(report.differing) == sorted(
        [
            ("bank.Tag", str(changed), "different"),
            ("bank.Tag", str(first), "different"),
            ("bank.Tag", str(lost), "missing"),
            ("bank.Tag", str(last), "missing"),
            ("bank.Tag", str(ids[0] - 1), "extra"),
            ("bank.Tag", str(ids[-1] + 10), "extra"),
        ]
    )
    assert estate.stream()["verified_drift"] == 6
    drift.repair(report, using=SOURCE, client=estate.service)
    estate.drain()
    estate.assert_equal("bank.Tag")
    assert check(estate).differing == []


def test_p29_one_side_empty(estate):
    fill(estate, 50)
    with closing(there := connect(DESTINATION)):
        there.execute("SET strangler.origin = 'bank'")
        there.execute("DELETE FROM bank_tag")
    assert {kind for _, _, kind in check(estate).differing} == {"missing"}
    fill_back = check(estate)
    drift.repair(fill_back, using=SOURCE, client=estate.service)
    estate.drain()
    estate.assert_equal("bank.Tag")


def test_p29_a_key_with_a_pointer_is_in_flight(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(10)])
    estate.drain()
    Code.objects.using(SOURCE).filter(code="3").update(meaning="on its way")
    report = check(estate)
    assert (report.differing, report.in_flight) == ([], 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_p29_a_key_that_changes_or_arrives_during_the_check_is_in_flight(estate, when):
    """The source differs before and after the destination is read; or its pointer is there at only one of the two times."""
    Code.objects.using(SOURCE).create(code="k", meaning="1")
    estate.drain()
    ask = estate.service.digest
    asked: list[int] = []

    def digest(collection, from_=None, to=None, buckets=32, since=None):
        if collection != "bank.Code" or buckets != drift.MANY:
            return ask(collection, from_, to, buckets, since)
        asked.append(1)
        if when == "before":
            Code.objects.using(SOURCE).filter(code="k").update(meaning="2")
            return ask(collection, from_, to, buckets, since)
        answer = ask(collection, from_, to, buckets, since)
        estate.drain()
        return answer

    if when == "after":
        Code.objects.using(SOURCE).filter(code="k").update(meaning="2")
    else:
        quietly(DESTINATION, "UPDATE bank_code SET meaning = 'x' WHERE code = 'k'")
    estate.service.digest = digest
    report = check(estate)
    assert asked
    assert (report.differing, report.in_flight) == ([], 1)


def test_p29_a_check_under_load_reports_no_phantom(estate, threads):
    Code.objects.using(SOURCE).bulk_create([Code(code=f"{n:03}") for n in range(200)])
    estate.drain()
    generator = random.Random(29)

    def writes() -> None:
        with closing(program := connect(SOURCE)):
            for n in range(150):
                key = f"{generator.randrange(220):03}"
                if n % 9 == 0:
                    program.execute("DELETE FROM bank_code WHERE code = %s", [key])
                else:
                    program.execute(
                        "INSERT INTO bank_code VALUES (%s, %s) ON CONFLICT (code) DO UPDATE SET meaning = EXCLUDED.meaning",
                        [key, str(n)],
                    )

    writer = threads.start(writes)
    from strangler.sync import relay
    from tests.integration.sync.estate import Direct

    def carries() -> None:
        while writer.is_alive():
            relay.run(CONTEXT, using=SOURCE, destination=Direct())

    threads.start(carries)
    found = []
    while writer.is_alive():
        found += check(estate).differing
    threads.join()
    assert found == []


def test_p29_changed_keys_alone_tombstones_included(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(20)])
    estate.drain()
    check(estate)
    since = estate.stream()["verified_marker"]
    Code.objects.using(SOURCE).filter(code="1").update(meaning="x")
    Code.objects.using(SOURCE).filter(code="2").delete()
    estate.drain()
    assert check(estate, since_marker=since).rows_checked == 2
    quietly(SOURCE, "INSERT INTO bank_code VALUES ('2', 'risen')")
    quietly(DESTINATION, "UPDATE bank_code SET meaning = 'y' WHERE code = '1'")
    quietly(DESTINATION, "UPDATE bank_code SET meaning = 'y' WHERE code = '7'")
    found = check(estate, since_marker=since).differing
    assert sorted(found) == [("bank.Code", "1", "different"), ("bank.Code", "2", "missing")], "7 was not changed since"


def test_p29_columns_that_only_python_can_compare(estate):
    Odd.objects.using(SOURCE).create(ratio=0.1, data={"b": [1, None, 1.5], "a": "ä"}, words=["x"], during=None)
    Odd.objects.using(SOURCE).create(data=None)
    estate.drain()
    assert check(estate).differing == []
    key = str(Odd.objects.using(SOURCE).order_by("pk").first().pk)
    quietly(DESTINATION, 'UPDATE "Odd Table" SET data = jsonb_set(data, \'{a}\', \'"o"\') WHERE "The Id" = %s', [key])
    assert check(estate).differing == [("bank.Odd", key, "different")]


def test_p29_a_partial_copy_is_compared_by_its_columns(estate):
    Person.objects.using(SOURCE).create(email="a@example.com", password="secret")
    stream = f"{CONTEXT}-copies"
    estate.drain(stream)
    assert check(estate, stream).differing == []
    with closing(there := connect(DESTINATION)):
        there.execute("UPDATE people_person SET email = 'b@example.com'")
    assert [kind for _, _, kind in check(estate, stream).differing] == ["different"]


def test_p29_the_reverse_mirror_is_compared_with_the_service_as_its_source(estate):
    estate.hand_over("service", 1)
    Code.objects.using(DESTINATION).bulk_create([Code(code=str(n)) for n in range(50)])
    estate.pull()
    assert check(estate, REVERSE).differing == []
    Code.objects.using(DESTINATION).filter(code="5").update(meaning="on its way")
    assert check(estate, REVERSE).differing == [], "the puller brings it, or it is in flight"
    quietly(SOURCE, "UPDATE bank_code SET meaning = 'drifted' WHERE code = '9'")
    report = check(estate, REVERSE)
    assert report.differing == [("bank.Code", "9", "different")]
    drift.repair(report, using=SOURCE, client=estate.service)
    estate.pull()
    estate.assert_equal("bank.Code")
    assert outbox.depth(CONTEXT, SOURCE) == 0
    assert check(estate, REVERSE, since_marker=0).rows_checked == 50
