from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.coupling.ledger import ContextFacts, Ledger
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.rehearsed import Rehearsal, rehearsal

REACH = Reach(Ledger({"payments": ContextFacts("payments", declared=True, apps=("shop.payments",))}))


def refused(where: str, test: str, kind: str = "foreign_write", line: int = 7, joined: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "note": "refused",
        "key": [kind, "orders", "payments", f"shop/orders/services.py:{where}", "payments_payment"],
        "origin": "orders.Order" if kind == "cascade" else "",
        "file": "shop/orders/services.py",
        "line": line,
        "text": "INSERT …",
        "joined": list(joined),
        "test": test,
    }


def ended(test: str, outcome: str = "failed") -> dict[str, Any]:
    return {"note": "test", "test": test, "outcome": outcome}


NOTES = [
    {"note": "up", "database": "default"},
    *(refused("settle", test) for test in "abc"),
    refused("settle", "c", line=9),
    refused("drop", "d", "cascade"),
    refused("update", "e", joined=("orders_order",)),
    refused("count", "f", "foreign_read"),
    refused("report", "f", "foreign_read", joined=("orders_order",)),
    *(ended(test) for test in "abdefg"),
    ended("c", "passed"),
    ended("h", "passed"),
    {"note": "called", "source": "orders", "where": "a.py:f", "what": "b.py:g", "agreed": True, "writes": False, "test": "h"},
    {"note": "called", "source": "orders", "where": "a.py:f", "what": "b.py:g", "agreed": True, "writes": True, "test": "i"},
]
WHOLE = rehearsal("payments", NOTES, before=[ended("g")], reach=REACH, code=1)


@given(st.permutations(NOTES), st.lists(st.sampled_from(NOTES)))
def test_neither_the_order_of_notes_nor_who_noted_twice_matters(notes: list[Any], again: list[Any]) -> None:
    assert rehearsal("payments", [*notes, *again], before=[ended("g")], reach=REACH, code=1) == WHOLE


def test_the_crossing_that_most_tests_meet_comes_first() -> None:
    assert [(one.edge.where.rpartition(":")[2], len(one.tests)) for one in WHOLE.refusals] == [
        ("settle", 3), ("drop", 1), ("count", 1), ("report", 1), ("update", 1),
    ]  # fmt: skip
    assert [(proof.line, proof.count) for proof in WHOLE.refusals[0].edge.evidence] == [(7, 3), (9, 1)]
    assert WHOLE.refusals[0].passed == ("c",)


def test_a_seam_mends_what_neither_joins_nor_cascades() -> None:
    mends = {one.edge.where.rpartition(":")[2]: (one.seam, one.remedy) for one in WHOLE.refusals}
    assert {name: seam for name, (seam, _) in mends.items()} == {
        "settle": True, "count": True, "drop": False, "update": False, "report": False,
    }  # fmt: skip
    assert "`from shop.payments.contract import payments`" in mends["settle"][1]
    assert mends["count"][1].startswith("Ask `payments` of `shop.payments.contract`")
    assert "loose keys" in mends["drop"][1]
    assert mends["update"][1].startswith("First take orders_order out of the statement")
    assert "joins orders_order, so no seam" in mends["report"][1]


def test_tests_are_told_apart_by_why_they_fail() -> None:
    assert (WHOLE.tests, WHOLE.failed, WHOLE.refused) == (8, tuple("abdefg"), tuple("abcdef"))
    assert (WHOLE.anyway, WHOLE.others) == (("g",), ())
    assert rehearsal("payments", NOTES, reach=REACH, code=1).others == ("g",)
    assert [(one.where, one.writes, one.tests) for one in WHOLE.calls] == [("a.py:f", True, 2)]


def test_a_test_that_fails_in_its_teardown_fails() -> None:
    found = rehearsal("payments", [ended("a", "passed"), ended("a")], reach=REACH)
    assert (found.tests, found.failed) == (1, ("a",))


def test_it_is_clean_only_when_it_came_to_its_end_behind_a_fence() -> None:
    up: Any = {"note": "up", "database": "default"}
    passed = [up, ended("a", "passed")]
    assert rehearsal("payments", passed, reach=REACH).is_clean
    assert not rehearsal("payments", passed, reach=REACH, code=2).is_clean
    assert not rehearsal("payments", passed[1:], reach=REACH).is_clean
    assert not rehearsal("payments", [up], reach=REACH).is_clean
    failing = [*passed, ended("b")]
    assert not rehearsal("payments", failing, reach=REACH, code=1).is_clean
    assert rehearsal("payments", failing, before=[ended("b")], reach=REACH, code=1).is_clean
    assert not rehearsal("payments", [*passed, refused("settle", "a")], reach=REACH).is_clean
    assert not Rehearsal("payments", tests=1, up=("a",), not_tests=("b",)).is_clean
