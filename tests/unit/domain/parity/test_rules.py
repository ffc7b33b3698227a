"""Another spelling of the same value is a difference, until a rule that still holds says otherwise."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.compare import compare
from strangler.domain.parity.rules import How, Rule, Ruleset, select
from strangler.domain.parity.spellings import decimal, timestamp, uuid

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
HERE = "GET /api/orders/<int:pk>/"
ORIGINS = ("http://127.0.0.1:8001", "http://127.0.0.1:8105/", "https://shop.example")


def rule(field: str, how: How, endpoint: str = "*", expires: dt.datetime | None = None) -> Rule:
    return Rule(endpoint, field, how, "because", "ada", expires)


def rules(*pairs: tuple[str, How]) -> Ruleset:
    return select([rule(*pair) for pair in pairs], HERE, NOW, ORIGINS)


def fields(old: object, new: object, *pairs: tuple[str, How]) -> list[str]:
    one, other = (
        Answer.of(200, {"content-type": "application/json"}, json.dumps(side).encode() if not isinstance(side, bytes) else side)
        for side in (old, new)
    )
    return [each.field for each in compare(one, other, rules(*pairs))]


@pytest.mark.parametrize(
    ("how", "old", "new"),
    [
        (How.DECIMAL, 1.1, "1.10"),
        (How.DECIMAL, 1, 1.0),
        (How.DECIMAL, "1e3", 1000),
        (How.DECIMAL, "-0.0", 0),
        (How.TIMESTAMP, "2026-01-02T03:04:05Z", "2026-01-02T04:04:05.000+01:00"),
        (How.TIMESTAMP, "2026-01-02 03:04:05+00:00", "20260102T030405Z"),
        (How.TIMESTAMP, "Fri, 02 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05Z"),
        (How.UUID, "6F1C1A529D1C4C539D0E0B5F5A3C1E11", "6f1c1a52-9d1c-4c53-9d0e-0b5f5a3c1e11"),
        (How.HOST, "http://127.0.0.1:8001/a?b", "http://127.0.0.1:8105/a?b"),
        (How.UNORDERED, [1, {"a": 2}, 3], [3, 1, {"a": 2}]),
        (How.IGNORE, 1, {"a": "anything"}),
    ],
)
def test_a_rule_makes_two_spellings_the_same_and_nothing_else_does(how, old, new):
    assert fields({"a": old}, {"a": new}) == ["body $.a"]
    assert fields({"a": old}, {"a": new}, ("body $.a", how)) == []
    assert fields({"a": old}, {"a": new}, ("body $.b", how)) == ["body $.a"]


@pytest.mark.parametrize(
    ("how", "old", "new"),
    [
        (How.DECIMAL, "1.10", "1.11"),
        (How.DECIMAL, "0.1000000000000000055", "0.1"),
        (How.DECIMAL, "1e999999999999", "1e999999999998"),
        (How.DECIMAL, "ten", "10"),
        (How.TIMESTAMP, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
        (How.TIMESTAMP, "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
        (How.TIMESTAMP, "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"),
        (How.TIMESTAMP, "0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00Z"),
        (How.UUID, "6f1c1a529d1c4c539d0e0b5f5a3c1e11", "6f1c1a529d1c4c539d0e0b5f5a3c1e12"),
        (How.HOST, "http://127.0.0.1:8001/a", "http://127.0.0.1:8105/b"),
        (How.HOST, "http://127.0.0.1:8001/a", "http://127.0.0.1:80010/a"),
        (How.HOST, "http://127.0.0.1:8001/a", "/a"),
        (How.UNORDERED, [1, 2, 2], [1, 1, 2]),
    ],
)
def test_another_value_stays_a_difference(how, old, new):
    assert fields({"a": old}, {"a": new}, ("body $.a", how))


def test_a_rule_for_items_holds_for_each_and_for_nothing_beside():
    old, new = {"rows": [{"at": 1, "n": 1}] * 3, "at": 1}, {"rows": [{"at": 2, "n": 2}] * 3, "at": 2}
    assert fields(old, new, ("body $.rows[*].at", How.IGNORE)) == ["body $.at", "body $.rows[*].n"]
    assert fields(old, new, ("body $*at", How.IGNORE)) == ["body $.rows[*].n"]
    assert fields(old, new, ("body $.rows", How.IGNORE)) == ["body $.at"]
    assert fields(old, new, ("body $*", How.IGNORE)) == []


def test_items_are_paired_by_what_is_left():
    old = [{"n": place, "noise": place} for place in range(5)]
    new = [{"n": place, "noise": -place} for place in (3, 1, 4, 0, 2)]
    assert fields(old, new, ("body $", How.UNORDERED), ("body $[*].noise", How.IGNORE)) == []


def test_headers_status_and_text_have_rules_too():
    old = Answer.of(302, {"location": "http://127.0.0.1:8001/a"}, b"")
    new = Answer.of(302, {"location": "http://127.0.0.1:8105/a"}, b"")
    assert [one.field for one in compare(old, new)] == ["header location"]
    assert compare(old, new, rules(("header location", How.HOST))) == []
    assert compare(old, Answer.of(301, old.headers, b""), rules(("status", How.IGNORE))) == []
    page, other = (
        Answer.of(200, {"content-type": "text/html"}, f'<p>{day}</p><a href="http://127.0.0.1:{port}/">x</a>'.encode())
        for day, port in (("Monday", 8001), ("Friday", 8105))
    )
    assert [one.field for one in compare(page, other)] == ["text p", "text a@href"]
    assert compare(page, other, rules(("text p", How.IGNORE), ("text *@href", How.HOST))) == []


def test_an_expired_rule_and_another_endpoints_do_not_apply():
    held = [
        rule("a", How.IGNORE, expires=NOW),
        rule("b", How.IGNORE, expires=NOW + dt.timedelta(seconds=1)),
        rule("c", How.IGNORE, "GET /api/users/*"),
        rule("d", How.IGNORE, "GET /api/orders/*"),
        rule("e", How.IGNORE, HERE),
        rule("f", How.IGNORE, "GET /api/orders/"),
    ]
    assert [one.field for one in select(held, HERE, NOW).rules] == ["b", "d", "e"]


def test_an_endpoint_may_be_a_regular_expression_with_stars_of_its_own():
    endpoint = r"GET ^reports/(?P<day>\d+)/.*$"
    assert select([rule("a", How.IGNORE, endpoint)], endpoint, NOW).rules


@pytest.mark.parametrize("spell", [decimal, timestamp, uuid])
@pytest.mark.parametrize(
    "text", ["", ".", "e5", "-", "x" * 100_000, "1" * 100_000 + "x", "9999-99-99T99:99:99Z", "\0", "２０２６-01-01"]
)
def test_what_is_no_such_value_stays_as_it_is(spell, text):
    assert spell(text) is None
