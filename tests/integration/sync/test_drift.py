"""P29: what differs and is not on its way is found, named, and nothing else is."""

from __future__ import annotations

import random
import threading

import pytest

from strangler.errors import ServiceUnavailable
from strangler.sync import collections, comparison, digest, drift, fields, marker, outbox, walk
from strangler.sync.database import rows, snapshot
from strangler.sync.digest import Range
from strangler.sync.fields import Field
from tests.integration.sync.bank.models import Code, Odd, Tag
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, act_as, closing, connect
from tests.integration.sync.people.models import Person

REVERSE = f"{CONTEXT}-reverse"


def quietly(alias: str, statement: str, params: list[object] | None = None) -> None:
    """A write that nobody notes: how drift comes to be."""
    with closing(program := connect(alias)):
        act_as(program, "nobody")
        program.execute(statement, params)
    rows("DELETE FROM strangler_outbox WHERE origin = 'nobody'", using=alias)


def check(estate, stream: str = CONTEXT, **options: object) -> drift.DriftReport:
    return drift.check(stream, using=SOURCE, client=estate.service, **options)


def fill(estate, count: int) -> None:
    Tag.objects.using(SOURCE).bulk_create([Tag(word=f"w{n}") for n in range(count)])
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    with closing(there := connect(DESTINATION)), closing(here := connect(SOURCE)):
        act_as(there, "bank")
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
    monkeypatch.setattr(comparison, "SMALL", 20)
    fill(estate, 2000)
    ids = [pk for (pk,) in rows("SELECT id FROM bank_tag ORDER BY id", using=SOURCE)]
    changed, lost, first, last = ids[700], ids[1500], ids[0], ids[-1]
    with closing(there := connect(DESTINATION)):
        act_as(there, "bank")
        there.execute("UPDATE bank_tag SET word = 'other' WHERE id IN (%s, %s)", [changed, first])
        there.execute("DELETE FROM bank_tag WHERE id IN (%s, %s)", [lost, last])
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


@pytest.fixture
def sliced(monkeypatch):
    """Small slices, several at once, and short runs."""
    monkeypatch.setattr(walk, "SLICE", 150)
    monkeypatch.setattr(walk, "estimate", lambda collection, using: 10_000)
    monkeypatch.setattr(comparison, "AT_ONCE", 3)
    monkeypatch.setattr(comparison, "SMALL", 10)


def test_p29_slices_have_no_gap_between_them(estate, sliced):
    """Keys that one side alone has, just before, on and after the borders, whatever the key is ordered by."""
    there = [f"ä{n:04}" for n in range(0, 4000, 2)]
    Code.objects.using(SOURCE).bulk_create([Code(code=code) for code in there])
    estate.drain()
    gone = [there[150], there[299], there[300], there[-1]]
    quietly(DESTINATION, "DELETE FROM bank_code WHERE code IN (%s, %s, %s, %s)", gone)
    strays = ["", "ä0299", "ä0301", "ä0599", "ä0601", "ö"]
    for stray in strays:
        quietly(DESTINATION, "INSERT INTO bank_code VALUES (%s, 'stray')", [stray])
    report = check(estate)
    assert sorted(report.differing) == sorted(
        [("bank.Code", there[n], "missing") for n in (150, 299, 300, 1999)] + [("bank.Code", k, "extra") for k in strays]
    )
    assert 2000 <= report.rows_checked <= 2000 + len(strays)


def test_p29_both_sides_digest_a_slice_at_the_same_time(estate, threads, monkeypatch):
    """The answer of the service comes only once this side has begun as well."""
    fill(estate, 10)
    begun, ask, total = threading.Event(), estate.service.digest, digest.total

    def here(cursor, collection, within):
        if cursor.db.alias == SOURCE:
            begun.set()
        return total(cursor, collection, within)

    def there(*args, **options):
        assert begun.wait(10), "this side waits for the other one"
        return ask(*args, **options)

    monkeypatch.setattr(digest, "total", here)
    estate.service.digest = there
    assert check(estate).differing == []


def test_p29_an_error_in_a_thread_is_the_check_s_error(estate, sliced):
    fill(estate, 1000)
    ask, asked = estate.service.digest, []

    def away(*args, **options):
        asked.append(args)
        if len(asked) > 4:
            raise ServiceUnavailable("it went away")
        return ask(*args, **options)

    estate.service.digest = away
    with pytest.raises(ServiceUnavailable):
        check(estate)
    assert estate.stream()["verified_drift"] is None


def test_p29_a_list_that_was_cut_short_makes_no_phantom(estate, monkeypatch):
    """This side has many more rows between two of the other side's than are listed at once."""
    monkeypatch.setattr(comparison, "MANY", 20)
    monkeypatch.setattr(comparison, "SMALL", 5)
    fill(estate, 300)
    quietly(DESTINATION, "DELETE FROM bank_tag WHERE word NOT IN ('w0', 'w299')")
    found = check(estate).differing
    assert len(found) == 298
    assert {kind for _, _, kind in found} == {"missing"}


def test_p29_a_hopeless_table_is_not_listed_to_the_end(estate, monkeypatch):
    monkeypatch.setattr(comparison, "ENOUGH", 50)
    monkeypatch.setattr(comparison, "MANY", 20)
    fill(estate, 300)
    quietly(DESTINATION, "DELETE FROM bank_tag")
    report = check(estate)
    assert report.is_cut
    assert 50 <= len(report.differing) < 300


@pytest.mark.only("postgresql", "plans and collations")
def test_p29_a_text_key_s_range_is_read_from_an_index(estate):
    """The one for LIKE, which is ordered by bytes: the primary key's has the collation of the database."""
    code = collections.for_stream(CONTEXT, SOURCE)["bank.Code"]
    with snapshot(SOURCE) as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        where, params = digest._where(code, Range("a", "b", is_closed=False))
        cursor.execute(f"EXPLAIN SELECT 1 FROM {code.sql} AS t {where} ORDER BY {digest._order(code)}", params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "_like" in plan
    assert "Sort" not in plan


def test_p29_keys_in_flight_get_a_verdict_when_the_stream_has_come_so_far(estate, threads, monkeypatch):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(10)])
    estate.drain()
    Code.objects.using(SOURCE).filter(code__in=["3", "4"]).update(meaning="on its way")
    waits, looked, ask, draw = threading.Event(), [], estate.service.digest_keys, marker.draw

    def drawn(using=None):
        waits.set()
        return draw(using)

    monkeypatch.setattr(marker, "draw", drawn)
    threads.start(lambda: waits.wait(20) and estate.drain())

    def digest_keys(collection, keys):
        looked.append(len(keys))
        return ask(collection, keys)

    estate.service.digest_keys = digest_keys
    report = check(estate, patience_s=20)
    assert (report.differing, report.in_flight, looked) == ([], 0, [2])
    threads.join()


def test_p29_patience_ends(estate):
    """Nobody carries the stream, so its keys stay in flight, and that is said."""
    Code.objects.using(SOURCE).create(code="3")
    report = check(estate, patience_s=0.2)
    assert (report.differing, report.in_flight) == ([], 1)


def test_the_fields_that_differ_are_named_with_both_values(estate):
    Odd.objects.using(SOURCE).create(ratio=0.5, data=None, price="1.10", text="secret")
    estate.drain()
    quietly(DESTINATION, 'UPDATE "Odd Table" SET data = \'null\', ratio = -0.0, price = 1.1, "Täxt" = NULL')
    report = check(estate)
    (found,) = fields.of(report, 10, using=SOURCE, client=estate.service).values()
    assert found == [Field("Täxt", "secret", None), Field("data", None, "null"), Field("ratio", "0.5", "0")]
    assert fields.of(report, 0, using=SOURCE, client=estate.service) == {}


def test_a_service_that_does_not_tell_its_rows_gives_keys_alone(estate):
    Code.objects.using(SOURCE).create(code="a")
    estate.drain()
    quietly(DESTINATION, "UPDATE bank_code SET meaning = 'x'")
    report = check(estate)
    estate.service.rows = lambda collection, keys: None
    assert fields.of(report, 10, using=SOURCE, client=estate.service) == {}


def test_progress_tells_how_far_it_is(estate, sliced):
    fill(estate, 1000)
    told: list[drift.Progress] = []
    check(estate, told=told.append)
    tags = [progress for progress in told if progress.collection == "bank.Tag"]
    assert len(tags) == 7
    assert max(progress.rows for progress in tags) == 1000
    assert all(progress.eta_s is not None and progress.rate > 0 for progress in tags if progress.rows)


def test_p29_one_side_empty(estate):
    fill(estate, 50)
    with closing(there := connect(DESTINATION)):
        act_as(there, "bank")
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
        if collection != "bank.Code" or buckets != comparison.MANY:
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


def test_p29_columns_that_only_python_can_compare(estate, database):
    words = ["x"] if database.name == "postgresql" else None
    Odd.objects.using(SOURCE).create(ratio=0.1, data={"b": [1, None, 1.5], "a": "ä"}, words=words)
    Odd.objects.using(SOURCE).create(data=None)
    estate.drain()
    assert check(estate).differing == []
    key = str(Odd.objects.using(SOURCE).order_by("pk").first().pk)
    quietly(DESTINATION, 'UPDATE "Odd Table" SET data = %s WHERE "The Id" = %s', ['{"b": [1, null, 1.5], "a": "o"}', key])
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
