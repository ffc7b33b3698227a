"""The quote of the shop's payments, and what to do about what ties them, as a person reads it: a story that changes knowingly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings

from strangler.domain.coupling.cycles import cycles
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger
from strangler.domain.coupling.quote import quote
from strangler.domain.coupling.remedies import advices, declaration
from strangler.domain.coupling.wording import cycle, rows
from tests.unit.domain.coupling.ledgers import NAMES, ledger, ledgers
from tests.unit.domain.coupling.shop import shop

STORY = Path(__file__).with_name("payments.txt")
TOLD = {Kind.TRANSACTION, Kind.FOREIGN_KEY, Kind.SIGNAL, Kind.DATABASE_VIEW, Kind.ADMIN_INLINE, Kind.SEAM}


def story() -> str:
    told = [f"{what:16} {said}".rstrip() for what, said in rows(quote(shop(), "payments"))]
    told += ["", *(f"{each.remedy}: {each.text}" for each in advices(shop(), "payments") if each.edge.kind in TOLD)]
    return "\n".join([*told, "", *declaration(shop(), "payments"), ""])


def test_what_it_takes_to_take_payments_out_reads_as_a_story() -> None:
    """Where it changed on purpose: ``python -m tests.unit.domain.coupling.test_story`` prints what to keep as payments.txt."""
    assert story() == STORY.read_text(encoding="utf-8")


def test_a_cycle_names_what_to_cut() -> None:
    assert [cycle(found) for found in cycles(shop())] == [
        (
            "customers, orders, payments",
            "cut payments → orders (6 edges, 21.1 points), customers → orders (2 edges, 11 points)",
        ),
    ]


def test_what_is_unknown_is_said_with_what_would_tell_it() -> None:
    told = dict(rows(quote(Ledger({"a": ContextFacts("a", True)}), "a")))
    assert told["difficulty"] == "at least 0"
    assert told["transactions"] == told["remote calls"] == "unknown: nothing was recorded while it ran"
    assert told["to mirror"] == told["loose keys"] == told["serves"] == "unknown: Django and its database were not asked"


def test_a_long_list_is_cut_and_the_rest_is_counted() -> None:
    sagas = [Edge(Kind.TRANSACTION, "b", "a", f"x.py:f{number}", "a_one, b_one") for number in range(6)]
    told = dict(rows(quote(ledger(*sagas), "a")))
    assert told["transactions"].startswith("6 sagas: x.py:f0 writes a_one, b_one; x.py:f1 writes")
    assert told["transactions"].endswith(" and 3 more")


def test_tables_of_unknown_size_are_named_beside_the_sum() -> None:
    known = ledger(names=("a",))
    first, second = known.contexts["a"].tables
    half = replace(known.contexts["a"], tables=(first, replace(second, rows=None, size=None)))
    told = dict(rows(quote(replace(known, contexts={"a": half}), "a")))
    assert told["to mirror"] == "2 tables, 10 rows, 1 kB, without a_two, unknown"


@settings(max_examples=30)
@given(ledgers())
def test_every_quote_can_be_told(known: Ledger) -> None:
    for name in NAMES:
        assert all(said and "None" not in said for _, said in rows(quote(known, name)))


if __name__ == "__main__":
    print(story(), end="")
