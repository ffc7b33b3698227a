"""One sample judged, from its answers alone."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from strangler.control.parity.batches import Sample
from strangler.control.parity.judging import judge
from strangler.domain.parity.answers import Answer
from strangler.domain.parity.compare import compare

NAMES = {"old": "old", "new": "new", "again": "again", "new_later": "new later", "old_later": "old later"}


def answer(value: object) -> Answer:
    status, said = value if isinstance(value, tuple) else (200, value)
    return Answer.of(status, {"content-type": "application/json"}, json.dumps({"a": said}).encode())


def judged(settled: bool | None = True, noise: bool = False, outcome: str = "different", **answers: object) -> tuple[str, object]:
    told = {NAMES[name]: answer(value) for name, value in answers.items()}
    at = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    found = judge(Sample("payments", "GET", "/", outcome, at, None, noise, settled, told), compare)
    return found.outcome, list(found.shape) if not noise else found.noise


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"old": 1, "new": 2, "again": 1}, "different"),
        ({"old": 1, "new": 2}, "different"),
        ({"old": 1, "new": 2, "again": 3}, "equal"),  # the owner never says the same twice
        ({"old": 1, "new": 2, "again": 2}, "equal"),
        ({"old": 1, "new": 2, "again": 1, "new_later": 1, "old_later": 1}, "in flight"),
        ({"old": 1, "new": 2, "again": 2, "new_later": 2, "old_later": 2}, "in flight"),  # the owner moved on between
        ({"old": 1, "new": 2, "again": 1, "new_later": 2, "old_later": 1}, "different"),
        ({"old": 1, "new": 2, "again": 1, "new_later": 3, "old_later": 1}, "different"),
        ({"old": 1, "new": 2, "again": 1, "new_later": 2, "old_later": 3}, "equal"),  # it moves all the time
        ({"old": 1, "new": 2, "again": 3, "new_later": 4, "old_later": 5}, "equal"),
        ({"old": 1, "new": (500, 1), "again": 1, "new_later": 1, "old_later": 1}, "different"),
        ({"old": (500, 1), "new": 1, "again": 1}, "equal"),  # an error of the owner's own, now and then
        ({"old": (404, 1), "new": 1, "again": (404, 1)}, "different"),
    ],
)
def test_a_field_differs_if_the_owner_says_it_twice_alike_and_the_service_not_even_later(
    answers: dict[str, object], outcome: str
) -> None:
    found, shape = judged(**answers)
    assert found == outcome
    assert bool(shape) == (outcome == "different")


def test_without_a_watermark_only_what_would_matter_is_left_unjudged() -> None:
    assert judged(settled=False, old=1, new=2, again=1) == ("stale", [])
    assert judged(settled=False, old=1, new=2, again=2) == ("in flight", [])
    assert judged(settled=False, old=1, new=2, again=3) == ("equal", [])


def test_where_nobody_can_say_whether_it_was_in_flight_it_is_a_difference() -> None:
    assert judged(settled=None, old=1, new=2, again=1) == ("different", ["body $.a"])


def test_noise_is_learned_from_those_alone_that_were_asked_twice_by_chance() -> None:
    assert judged(noise=True, outcome="equal", old=1, new=1, again=2) == ("equal", ("body $.a",))
    assert judged(noise=True, outcome="equal") == ("equal", ())
    at = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    told = {"old": answer(1), "new": answer(2), "again": answer(3)}
    assert judge(Sample("payments", "GET", "/", "different", at, answers=told), compare).noise is None


def test_what_was_not_answered_is_not_judged() -> None:
    assert judged(outcome="unreachable") == ("unreachable", [])
