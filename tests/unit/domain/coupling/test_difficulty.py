"""A difficulty is the sum of the terms that are shown, and one more crossing never makes it less."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings

from strangler.domain.coupling.difficulty import WEIGHTS, Difficulty
from strangler.domain.coupling.difficulty import difficulty as of_reach
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import NATURES, composes
from strangler.domain.coupling.reach import Reach
from tests.unit.domain.coupling.ledgers import NAMES, crossing, ledger, ledgers
from tests.unit.domain.coupling.shop import shop


def difficulty(known: Ledger, name: str) -> Difficulty:
    return of_reach(Reach(known), name)


def test_every_kind_has_a_weight_and_a_nature() -> None:
    assert set(WEIGHTS) == set(NATURES) == set(Kind)


def test_nothing_is_dearer_than_a_transaction_and_nothing_cheaper_than_a_contract() -> None:
    out = {kind: weights[0] for kind, weights in WEIGHTS.items()}
    assert max(out, key=lambda kind: out[kind]) is Kind.TRANSACTION
    assert {kind for kind in Kind if out[kind] == min(out.values())} == {Kind.SEAM, Kind.TYPING_IMPORT, Kind.MIGRATION}


def test_the_reference_shows_the_weights_as_they_are() -> None:
    text = (Path(__file__).parents[4] / "docs" / "reference" / "quote.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    told = {Kind(kind): (float(out), float(into)) for kinds, out, into in rows for kind in re.findall(r"`(\w+)`", kinds)}
    assert told == dict(WEIGHTS)


def test_the_formula_is_shown_term_by_term() -> None:
    known = ledger(
        Edge(Kind.TRANSACTION, "b", "a", "x.py:f", "a_one, b_one"),
        Edge(Kind.LOOKUP, "a", "b", "x.py:g", "b__c"),
        Edge(Kind.LOOKUP, "a", "c", "x.py:g", "c__d"),
        Edge(Kind.SEAM, "b", "a", "x.py:*", "a.contract"),
    )
    found = difficulty(known, "a")
    assert found.formula == "1 × 10 + 2 × 3 + 1 × 0.1 = 16.1"
    assert [term.words for term in found.terms] == [
        "1 transaction from others to here", "2 lookups from here to others", "1 contract import from others to here",
    ]  # fmt: skip
    assert difficulty(ledger(), "a").formula == "nothing crosses = 0"


def test_it_is_a_lower_bound_while_a_source_was_not_asked() -> None:
    found = difficulty(ledger(Edge(Kind.TASK, "a", "b", "x.py:f", "t"), asked=("static",)), "a")
    assert found.formula == "1 × 1 = at least 1"


def test_who_reads_between_the_steps_of_a_saga_is_counted() -> None:
    saga = Edge(Kind.TRANSACTION, "b", "a", "x.py:f", "a_one, b_one")
    reads = [Edge(Kind.FOREIGN_READ, "c", "b", where, "b_one") for where in ("y.py:f", "y.py:g", "x.py:f")]
    term = difficulty(ledger(saga, *reads), "a").terms[-1]
    assert (term.count, term.words) == (2, "2 places read across a border what a saga leaves half done for a moment")


def test_an_accessor_that_is_only_offered_weighs_nearly_nothing() -> None:
    offered = Edge(Kind.REVERSE_ACCESSOR, "a", "b", "m.py:X.y", "a.One.xs", "declared")
    assert difficulty(ledger(offered), "a").points == 0.1
    assert difficulty(ledger(replace(offered, note="", where="v.py:f")), "a").points == 3


def test_shared_code_of_the_project_goes_along_for_nearly_nothing() -> None:
    found = difficulty(ledger(Edge(Kind.IMPORT, "a", "project", "x.py:*", "shop.problems")), "a")
    assert (found.points, found.terms[0].words) == (0.1, "1 use of code that is shared")


def test_sql_that_writes_weighs_as_a_write() -> None:
    reads = Edge(Kind.RAW_SQL, "a", "b", "m.py:X", "b_one", "reads")
    assert difficulty(ledger(reads), "a").points == 3
    assert difficulty(ledger(replace(reads, note="writes")), "a").points == 5


@settings(max_examples=60)
@given(ledgers(), crossing())
def test_one_more_crossing_never_makes_it_easier(known: Ledger, more: Edge) -> None:
    grown = replace(known, edges=tuple({edge.key: edge for edge in (more, *known.edges)}.values()))
    for name in NAMES:
        assert difficulty(grown, name).points >= difficulty(known, name).points


@settings(max_examples=30)
@given(ledgers(), crossing())
def test_a_new_crossing_makes_those_two_harder(known: Ledger, more: Edge) -> None:
    if composes(more) or more.key in {edge.key for edge in known.edges}:
        return
    grown = replace(known, edges=(*known.edges, more))
    for name in {more.source, more.target} - {"project"}:
        assert difficulty(grown, name).points > difficulty(known, name).points


@settings(max_examples=30)
@given(ledgers())
def test_the_order_of_the_edges_does_not_matter(known: Ledger) -> None:
    turned = replace(known, edges=known.edges[::-1])
    assert [difficulty(turned, name) for name in NAMES] == [difficulty(known, name) for name in NAMES]


def test_the_terms_add_up_in_the_shop() -> None:
    for name in shop().contexts:
        found = difficulty(shop(), name)
        assert found.points == round(sum(term.count * term.weight for term in found.terms), 1) > 0
