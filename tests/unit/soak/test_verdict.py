"""A soak can fail: each of its checks finds what it is for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.soak import verdict
from tests.soak.journal import Disturbance, Failed, Journal, Write
from tests.soak.watch import Curve


def executed(*ids: str, **more: Any) -> list[dict[str, Any]]:
    line = {"side": "monolith", "context": "payments", "stamp": 0, "owner": "monolith", "epoch": 0}
    return [{"id": id, **line, **more} for id in ids]


@pytest.mark.parametrize(
    ("acknowledged", "times", "holds"),
    [
        (True, 1, True), (True, 0, False), (True, 2, False),
        (False, 0, True), (False, 1, False),
        (None, 0, True), (None, 1, True), (None, 2, False),
    ],
)  # fmt: skip
def test_a_write_is_executed_as_often_as_its_answer_said(acknowledged: bool | None, times: int, holds: bool) -> None:
    noted = [Write("good", True), Write("x", acknowledged)]
    found = verdict.writes(noted, executed("good", *["x"] * times))
    assert all(check.holds for check in found) is holds


def test_a_write_at_a_side_that_does_not_own_it_is_found() -> None:
    owners = {0: "monolith", 1: "none", 2: "service"}
    assert verdict.sides(executed("a"), owners).holds
    assert verdict.sides(executed("a", side="service", owner="service", epoch=2, stamp=2), owners).holds
    assert not verdict.sides(executed("a", epoch=2), owners).holds, "the monolith believes it still owns it"
    assert not verdict.sides(executed("a", epoch=1), owners).holds, "nobody owned it"
    assert not verdict.sides(executed("a", stamp=2), owners).holds, "the stamp is newer than what the side knows"
    assert not verdict.sides([], owners).holds, "nothing was seen"


def test_a_failure_is_only_explained_by_what_was_killed_meanwhile() -> None:
    journal = Journal()
    journal.done["reads"] = 10
    journal.failed("reads", 100.0, ConnectionResetError("gone"))
    assert not verdict.failures(journal).holds
    now = journal.failures[0].until
    journal.disturbances.append(Disturbance("worker", now - 0.1, now))
    assert verdict.failures(journal).holds
    journal.failed("reads", now, ConnectionResetError("gone"))
    assert not verdict.failures(journal).holds, "a tenth of all requests is too much for a kill"
    journal.done["reads"] = 100
    assert verdict.failures(journal).holds
    journal.failed("reads", now, Failed("the body was not the one that was sent"))
    assert not verdict.failures(journal).holds, "no kill explains a wrong answer"


def test_a_leak_is_seen_in_the_slope() -> None:
    flat = Curve([(second, 40.0 + second % 3) for second in range(0, 600, 5)])
    leaking = Curve([(second, 40.0 + second % 3 + second * 1.0 / 60) for second in range(0, 600, 5)])
    assert verdict.memory(flat, 0.3).holds
    assert not verdict.memory(leaking, 0.3).holds
    assert leaking.slope() == pytest.approx(1 / 60, rel=0.05)
    assert not verdict.memory(Curve(), 0.3).holds, "nothing was measured"


def test_what_is_left_over_is_named() -> None:
    check = verdict.nothing_left("in flight", {"clients": 0, "parked": 2})
    assert (check.holds, check.seen) == (False, "parked 2")
    assert not verdict.at_most("descriptors", 40, 19, 16).holds
