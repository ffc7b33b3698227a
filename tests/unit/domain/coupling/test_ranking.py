"""Contexts stand in the order in which to take them out, each with its reason."""

from __future__ import annotations

from dataclasses import replace

from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.quote import quotes
from strangler.domain.coupling.ranking import ranking
from tests.unit.domain.coupling.ledgers import ledger
from tests.unit.domain.coupling.shop import shop


def test_the_shops_ranking_goes_from_those_who_are_only_read_to_those_who_write_everywhere() -> None:
    """Users know nobody; orders are in every transaction and read everyone. Payments know orders and users, so they come late."""
    assert [rank.context for rank in ranking(quotes(shop()))] == ["users", "products", "customers", "payments", "orders"]


def test_the_reason_is_one_sentence_with_figures() -> None:
    ranks = {rank.context: rank for rank in ranking(quotes(shop()))}
    assert ranks["users"].reason == (
        "users first: 1 transaction, 3 imports from outside past a contract, 3 MB, "
        "difficulty 45, most of it 1 transaction from others to here"
    )
    assert ranks["orders"].reason.startswith("orders last: 5 transactions, ")


def test_a_context_behind_its_contract_is_said_to_be() -> None:
    known = ledger(Edge(Kind.SEAM, "b", "a", "x.py:*", "a.contract"), names=("a", "b"))
    first, last = ranking(quotes(known))
    assert (first.context, last.context) == ("a", "b")
    assert "nothing imports it but through its contract" in first.reason
    assert "nothing imports it, " in last.reason


def test_of_equals_the_smaller_comes_first_and_one_of_unknown_size_last() -> None:
    known = ledger(names=("a", "b", "c"))
    small = replace(known.contexts["c"], tables=known.contexts["c"].tables[:1])
    unknown = replace(known.contexts["a"], tables=tuple(replace(table, rows=None) for table in known.contexts["a"].tables))
    known = replace(known, contexts={**known.contexts, "a": unknown, "c": small})
    assert [rank.context for rank in ranking(quotes(known))] == ["c", "b", "a"]


def test_what_is_unknown_is_in_the_reason() -> None:
    known = ledger(asked=("static",), names=("a",))
    bare = replace(known, contexts={"a": replace(known.contexts["a"], tables=())})
    (only,) = ranking(quotes(bare))
    assert only.reason == "a first: transactions unknown, nothing imports it, size unknown, difficulty at least 0"
