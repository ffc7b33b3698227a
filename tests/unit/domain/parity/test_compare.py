"""Two answers are compared by what they mean; nothing that a server may send raises, or takes long."""

from __future__ import annotations

import gzip
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler.domain.parity.answers import MOST_BODY, Answer
from strangler.domain.parity.compare import HEADERS, compare
from strangler.domain.parity.difference import MOST, Kind

JSON = "application/json"


def answer(body: bytes | str, kind: str = JSON, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer.of(status, {"content-type": kind, **named}, body.encode() if isinstance(body, str) else body)


def found(old: bytes | str, new: bytes | str, kind: str = JSON) -> set[tuple[str, str]]:
    return {(one.field, one.kind.value) for one in compare(answer(old, kind), answer(new, kind))}


def of_headers(old: dict[str, str], new: dict[str, str], names: tuple[str, ...] = HEADERS) -> set[tuple[str, str]]:
    one, other = Answer.of(200, old, b""), Answer.of(200, new, b"")
    return {(each.field, each.kind.value) for each in compare(one, other, headers=names)}


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', set()),
        ('{"a": 1}', "{}", {("body $.a", "missing")}),
        ("{}", '{"a": 1}', {("body $.a", "extra")}),
        ('{"a": 1}', '{"a": "1"}', {("body $.a", "type")}),
        ('{"a": 1}', '{"a": true}', {("body $.a", "type")}),
        ('{"a": null}', '{"a": 0}', {("body $.a", "type")}),
        ('{"a": null}', "{}", {("body $.a", "missing")}),
        ('{"a": 1.0}', '{"a": 1}', {("body $.a", "value")}),
        ('{"a": 1.10}', '{"a": 1.1}', {("body $.a", "value")}),
        ('{"a": 1.10}', '{"a": "1.1"}', {("body $.a", "type")}),
        ('{"a": 0.1000000000000000055}', '{"a": 0.1}', {("body $.a", "value")}),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}', {("body $.a", "value")}),
        ('{"a": ' + "1" * 5000 + "}", '{"a": ' + "1" * 4999 + "2}", {("body $.a", "value")}),
        ('{"a": NaN}', '{"a": NaN }', set()),
        ('{"a": NaN}', '{"a": null}', {("body $.a", "type")}),
        ('{"a": -0}', '{"a": 0}', {("body $.a", "value")}),
        ('{"a": 1, "a": 2}', '{"a": 2}', {("body $.a", "type")}),
        ('{"a": 1, "a": 2}', '{"a": 2, "a": 1}', {("body $.a", "value")}),
        ('"\\u00e9"', '"é"', set()),
        ('"e\\u0301"', '"é"', {("body $", "value")}),
        ("[1,2,3]", "[1,2,3,4]", {("body $", "length")}),
        ("[1,2,3]", "[3,2,1]", {("body $", "order")}),
        ("[1,2,3]", "[1,9,3]", {("body $[*]", "value")}),
        ("[1,1,2]", "[1,2,2]", {("body $[*]", "value")}),
        ("[[1,2],[3]]", "[[1,2],[4]]", {("body $[*][*]", "value")}),
        ("[]", "{}", {("body $", "type")}),
        ("[]", "[[]]", {("body $", "length")}),
        ('{"7": {"n": 1}}', '{"7": {"n": 2}}', {("body $.*.n", "value")}),
        ('{"a b": 1}', '{"a b": 2}', {('body $["a b"]', "value")}),
        ('{"a.b": 1}', '{"a.b": 2}', {('body $["a.b"]', "value")}),
    ],
)
def test_json_is_compared_by_value_and_exactly(old, new, differences):
    assert found(old, new) == differences


ROWS = [{"id": place, "amount": f"{place}.00", "state": "new"} for place in range(20)]


def of_rows(change) -> set[tuple[str, str]]:
    rows = [dict(row) for row in ROWS]
    return found(json.dumps({"rows": ROWS}), json.dumps({"rows": change(rows)}))


def without_third(rows):
    return rows[:2] + rows[3:]


def with_other_amounts(rows):
    return [{**row, "amount": row["amount"] + "1"} for row in rows]


def test_a_list_tells_length_from_order_from_value():
    assert of_rows(without_third) == {("body $.rows", "length")}
    assert of_rows(lambda rows: rows[::-1]) == {("body $.rows", "order")}
    assert of_rows(with_other_amounts) == {("body $.rows[*].amount", "value")}
    assert of_rows(lambda rows: with_other_amounts(without_third(rows))[::-1]) == {
        ("body $.rows", "length"),
        ("body $.rows", "order"),
        ("body $.rows[*].amount", "value"),
    }
    assert of_rows(lambda rows: [*rows[:-1], {**rows[-1], "id": 99}]) == {("body $.rows[*].id", "value")}
    assert of_rows(lambda rows: [*rows[1:], {**rows[-1], "id": 99}]) == {
        ("body $.rows[*]", "missing"),
        ("body $.rows[*]", "extra"),
    }


def test_items_without_an_id_are_still_paired_rightly():
    old = [{"amount": f"{place}.00", "at": "x"} for place in range(9)]
    new = [dict(row) for row in old]
    new[4]["amount"] = "4.01"
    assert found(json.dumps(old), json.dumps(new)) == {("body $[*].amount", "value")}
    assert found(json.dumps(old), json.dumps([{**row, "at": "y"} for row in old[::-1]])) == {
        ("body $", "order"),
        ("body $[*].at", "value"),
    }


def test_ids_of_another_type_are_one_difference():
    other = [{**row, "id": str(row["id"])} for row in ROWS]
    assert found(json.dumps(ROWS), json.dumps(other)) == {("body $[*].id", "type")}


@pytest.mark.parametrize(
    "name",
    [
        "17",
        "-3",
        "6f1c1a52-9d1c-4c53-9d0e-0b5f5a3c1e11",
        "2026-01-02",
        "ada@example.org",
        "d41d8cd98f00b204e9800998ecf8427e",
        "tok3n_" * 5,
    ],
)
def test_names_that_say_which_one_count_together(name):
    assert found(json.dumps({name: 1}), json.dumps({name: 2})) == {("body $.*", "value")}


@pytest.mark.parametrize("name", ["amount", "line2", "x-y", "deadbeef", "_id", "customer_billing_address"])
def test_names_that_say_what_stay(name):
    assert found(json.dumps({name: 1}), json.dumps({name: 2})) == {(f"body $.{name}", "value")}


def test_an_object_with_other_names_throughout_is_one_difference():
    old, new = ({f"{side}{place}x": 1 for place in range(500)} for side in "ab")
    assert found(json.dumps(old), json.dumps(new)) == {("body $.*", "missing"), ("body $.*", "extra")}


def test_another_status_is_the_only_difference():
    differences = compare(answer('{"a": 1}'), answer("<h1>No</h1>", "text/html", 500))
    assert [(one.field, one.old, one.new) for one in differences] == [("status", "200", "500")]


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ({"content-type": "text/html; charset=UTF-8"}, {"content-type": 'text/html;charset="utf-8"'}, set()),
        ({"content-type": "text/html"}, {"content-type": "text/plain"}, {("header content-type", "value")}),
        ({"vary": "Cookie, Accept"}, {"vary": "accept,cookie"}, set()),
        ({"cache-control": "no-store, private"}, {"cache-control": "private"}, {("header cache-control", "value")}),
        ({"location": "/a"}, {}, {("header location", "missing")}),
        ({}, {"www-authenticate": "Bearer"}, {("header www-authenticate", "extra")}),
        ({"etag": '"1"'}, {"etag": '"2"'}, set()),
        ({"x-request-id": "1"}, {"x-request-id": "2"}, set()),
        ({"set-cookie": "sid=1; Path=/; HttpOnly"}, {"set-cookie": "sid=2; httponly; path=/"}, set()),
        ({"set-cookie": "sid=1; Expires=Mon"}, {"set-cookie": "sid=1; Expires=Tue"}, set()),
        ({"set-cookie": "sid=1; HttpOnly"}, {"set-cookie": "sid=1"}, {("header set-cookie sid", "value")}),
        ({"set-cookie": "sid=1"}, {"set-cookie": 'sid=""'}, {("header set-cookie sid", "value")}),
        ({"set-cookie": "a=1\nb=2"}, {"set-cookie": "b=3"}, {("header set-cookie a", "missing")}),
    ],
)
def test_headers_are_compared_by_what_they_mean(old, new, differences):
    assert of_headers(old, new) == differences


def test_other_headers_are_compared_where_asked_for():
    assert of_headers({"etag": '"1"'}, {"etag": '"2"'}, ("etag",)) == {("header etag", "value")}


def test_a_cookies_value_is_never_told():
    differences = compare(answer("", set_cookie="sid=hush; HttpOnly"), answer("", set_cookie="sid=hush2"))
    assert differences
    assert "hush" not in repr(differences)


def test_compression_is_no_difference():
    plain, packed = b'{"a": 1}', gzip.compress(b'{"a": 1}')
    assert not compare(answer(plain), answer(packed, content_encoding="gzip"))
    other = gzip.compress(b'{"a": 2}')
    assert [one.field for one in compare(answer(packed, content_encoding="gzip"), answer(other, content_encoding="gzip"))] == [
        "body $.a"
    ]


def test_a_bomb_is_not_unpacked():
    bomb = gzip.compress(b"[" * 50_000_000)
    started = time.process_time()
    assert [one.field for one in compare(answer(bomb, content_encoding="gzip"), answer("[]"))] == ["body"]
    assert time.process_time() - started < 5


def test_what_is_too_large_is_compared_by_its_digest():
    large = "x" * (MOST_BODY + 1)
    assert answer(large).body is None
    assert found(large, large) == set()
    assert found(large, large + "y") == {("body", "value")}


def test_json_that_is_none_is_compared_as_text():
    assert found('{"a": 1', '{"a": 2') == {("text", "value")}
    assert found('{"a": 1}', "<p>") == {("text", "value")}
    assert found("", "{}") == {("text", "length")}


def test_other_text_names_its_first_line_that_differs():
    one, other = answer("a\nb\nc\n", "text/csv"), answer("a\nx\ny\n", "text/csv")
    assert [(each.field, each.old, each.new) for each in compare(one, other)] == [("text", "b", "x")]
    assert found("a\n", "a\nb\n", "text/csv") == {("text", "length")}
    assert found("a\n", "a\r\n", "text/csv") == {("text", "value")}
    assert found("a", "b", "image/png") == {("body", "value")}


def test_bodies_of_another_kind_are_one_difference():
    one, other = answer("[1]"), answer("<p>1", "text/html")
    assert {(each.field, each.kind) for each in compare(one, other)} == {("header content-type", Kind.VALUE), ("body", Kind.TYPE)}


def test_bytes_that_are_no_text_do_not_look_alike():
    assert found(b'["\xff"]', b'["\xfe"]') == {("body $[*]", "value")}
    assert found(b"<p>\xff", b"<p>\xfe", "text/html") == {("text p", "value")}


def test_excerpts_can_be_stored():
    differences = compare(answer('{"a\\u0000": "\\ud800"}'), answer('{"a\\u0000": "\\u0000"}'))
    assert len(differences) == 1
    for shown in (differences[0].field, differences[0].old, differences[0].new):
        assert shown is not None
        assert "\0" not in shown
        shown.encode()


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["id", "a"]))
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.sampled_from(["id", "a", "b", "17"]), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=25,
).map(json.dumps)
KINDS = st.sampled_from(
    [JSON, "application/problem+json", "text/html; charset=utf-16", "text/csv", "text/x; charset=\0", "image/png", ""]
)
FRAGMENTS = st.sampled_from(
    [
        "<",
        ">",
        "<!--",
        "-->",
        "<p>",
        "</p>",
        "<script>",
        "</script",
        "<a href=",
        '"',
        "'",
        "<input name=csrf value=",
        "&",
        "&#x",
        "é",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=60), DOCUMENTS.map(str.encode), st.lists(FRAGMENTS, max_size=20).map(lambda parts: "".join(parts).encode())
)
HEADER_SETS = st.dictionaries(
    st.sampled_from([*HEADERS, "content-encoding"]),
    st.one_of(st.text(max_size=12), st.sampled_from(["gzip", "deflate", "sid=1; HttpOnly\nb"])),
    max_size=4,
)
ANSWERS = st.builds(
    lambda status, headers, kind, body: Answer.of(status, {**headers, "content-type": kind}, body),
    st.sampled_from([200, 200, 200, 404]),
    HEADER_SETS,
    KINDS,
    BODIES,
)


@settings(max_examples=120, deadline=None)
@given(ANSWERS, ANSWERS)
def test_no_bytes_raise_and_the_other_way_about_says_the_same(old, new):
    there, back = compare(old, new), compare(new, old)
    assert compare(old, old) == compare(new, new) == []
    mirrored = {Kind.MISSING: Kind.EXTRA, Kind.EXTRA: Kind.MISSING}
    assert {(one.field, one.kind) for one in there} == {(one.field, mirrored.get(one.kind, one.kind)) for one in back}
    assert len(there) <= MOST


@settings(max_examples=120, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_json_is_equal_exactly_if_it_says_the_same(old, new):
    """Against the text in a fixed order of names: whatever differs there is found, and nothing else."""
    one, other = (json.dumps(json.loads(side, parse_float=lambda x: ["float", x]), sort_keys=True) for side in (old, new))
    assert bool(compare(answer(old), answer(new))) == (one != other)
    assert not compare(answer(old), answer(json.dumps(json.loads(old), indent=2)))


def nested(depth: int, leaf: str) -> str:
    return "[" * depth + leaf + "]" * depth


NUMBERS = list(range(40_000))
HOSTILE = {
    "deeper than can be read": ("[" * 200_000, "[" * 199_999),
    "deep, and large within": (nested(400, "1" * 200_000), nested(400, "2" * 200_000)),
    "a long list, shifted": (json.dumps(NUMBERS), json.dumps(NUMBERS[1:])),
    "a long list, turned round": (json.dumps(NUMBERS), json.dumps(NUMBERS[::-1])),
    "a long list, all changed": (json.dumps(NUMBERS), json.dumps([-number for number in NUMBERS])),
    "many objects, all alike": (json.dumps([{"a": 1}] * 20_000), json.dumps([{"a": 2}] * 20_000)),
    "many names": (json.dumps({f"k{n}x": n for n in range(15_000)}), json.dumps({f"k{n}x": -n for n in range(15_000)})),
    "lists of lists": (
        json.dumps([[[n, [n]], n] for n in range(9_000)]),
        json.dumps([[[n, [-n]], n] for n in range(9_000)][::-1]),
    ),
    "comments that never end": ("<!--" * 60_000, "<!--" * 60_000 + "x"),
    "tags that never end": ("<a b='" * 40_000, "<a b='" * 40_000 + "x"),
    "blocks that never end": ("<div id=a>" * 25_000, "<div id=b>" * 25_000),
    "one endless tag": ("<a " + "a =" * 80_000, "<a " + "b =" * 80_000),
    "ends of nothing": ("</" * 120_000, "</a>" * 60_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_no_body_takes_long(case):
    """Processor time, so that a busy machine does no harm; the slowest takes a second, a quadratic one minutes."""
    kind = "text/html" if HOSTILE[case][0][:1] == "<" else JSON
    old, new = (answer(side[:MOST_BODY], kind) for side in HOSTILE[case])
    assert old.body is not None
    started = time.process_time()
    differences = compare(old, new)
    assert time.process_time() - started < 8
    assert len(differences) <= MOST
