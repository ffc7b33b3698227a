"""The same write done twice: what may differ, and that nothing else may."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Kind
from strangler.domain.write_rehearsal import Run, unlike

BEGAN = dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


def ran(body: dict, effects: list[dict], *, status: int = 201, at: dt.datetime = BEGAN) -> Run:
    answer = Answer.of(status, {"content-type": "application/json"}, json.dumps(body).encode())
    return Run(answer, effects, at, at + dt.timedelta(milliseconds=20))


def made(key: str, collection: str = "payments.Payment", **row: Any) -> dict:
    return {"collection": collection, "key": key, "kind": "insert", "before": None, "after": {"id": int(key), **row}}


def fields(recorded: Run, rehearsed: Run) -> list[str]:
    return [difference.field for difference in unlike(recorded, rehearsed)]


def test_ids_that_were_made_and_clocks_are_no_difference() -> None:
    old = ran(
        {"id": 17, "url": "/api/payments/17/", "at": "2026-01-31T09:00:00Z"},
        [made("17", at="2026-01-31T09:00:00.01Z"), made("4", "payments.Refund", payment_id=17, said={"of": ["payment 17"]})],
    )
    new = ran(
        {"id": 41, "url": "/api/payments/41/", "at": "2026-01-31T12:00:00Z"},
        [made("41", at="2026-01-31T12:00:00.01Z"), made("9", "payments.Refund", payment_id=41, said={"of": ["payment 41"]})],
        at=LATER,
    )
    assert fields(old, new) == []


def test_ids_of_several_collections_that_meet_by_chance_are_told_apart() -> None:
    old = ran({}, [made("1"), made("2"), made("2", "payments.Refund", of=1), made("1", "payments.Transfer", of=2)])
    new = ran({}, [made("2"), made("3"), made("1", "payments.Refund", of=2), made("2", "payments.Transfer", of=3)], at=LATER)
    assert fields(old, new) == []


def test_an_id_that_was_not_made_by_the_write_is_a_difference() -> None:
    old, new = ran({"order": 5}, [made("17", order=5)]), ran({"order": 6}, [made("41", order=6)], at=LATER)
    assert fields(old, new) == ["body $.order", "row payments.Payment.order"]


def test_a_made_id_in_another_place_is_a_difference() -> None:
    old = ran({}, [made("17", parent=16)])
    new = ran({}, [made("41", parent=41)], at=LATER)
    assert fields(old, new) == ["row payments.Payment.parent"]


def test_a_moment_outside_of_the_run_is_a_difference() -> None:
    old, new = ran({}, [made("1", at="2026-01-31T09:00:00Z")]), ran({}, [made("1", at="2026-01-30T09:00:00Z")], at=LATER)
    assert fields(old, new) == ["row payments.Payment.at"]


def test_rows_that_only_one_side_wrote_and_other_kinds_are_named() -> None:
    change = {"collection": "payments.Payment", "key": "1", "kind": "update", "before": {"a": 1}, "after": {"a": 2}}
    gone = {**change, "kind": "delete", "after": None}
    found = unlike(ran({}, [change, made("2", "payments.Refund")]), ran({}, [gone, made("3", "payments.Transfer")], at=LATER))
    assert [(one.field, one.kind) for one in found] == [
        ("row payments.Payment", Kind.TYPE),
        ("row payments.Refund", Kind.MISSING),
        ("row payments.Transfer", Kind.EXTRA),
    ]


def test_the_row_that_was_found_counts_too() -> None:
    change = {"collection": "payments.Payment", "key": "1", "kind": "update", "before": {"a": 1}, "after": {"a": 2}}
    assert fields(ran({}, [change]), ran({}, [{**change, "before": {"a": 0}}])) == ["row payments.Payment.a (before)"]


def test_values_of_other_types_and_absent_columns_are_differences() -> None:
    old = ran({}, [made("1", flag=True, a=None, gone="x")])
    new = ran({}, [made("1", flag=1, a="", come="y")], at=LATER)
    assert fields(old, new) == [f"row payments.Payment.{name}" for name in ("flag", "a", "gone", "come")]


def test_another_status_is_the_one_difference_of_an_answer() -> None:
    assert fields(ran({"id": 1}, []), ran({"detail": "no"}, [], status=400)) == ["status"]
