"""A merge on paper takes away exactly what no longer crosses; a difference tells the figures that change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.quote import quote
from strangler.domain.coupling.whatif import difference, merged
from tests.unit.domain.coupling.ledgers import ledger, ledgers
from tests.unit.domain.coupling.shop import shop


def test_edges_between_the_parts_are_gone_and_those_of_others_are_one() -> None:
    first, second = Evidence("y.py", 1, "one"), Evidence("y.py", 2, "two")
    found = merged(
        ledger(
            Edge(Kind.LOOKUP, "a", "b", "x.py:f", "b__c"),
            Edge(Kind.SETTING, "c", "a", "y.py:f", "PANELS", evidence=(first,)),
            Edge(Kind.SETTING, "c", "b", "y.py:f", "PANELS", evidence=(second,)),
            Edge(Kind.TASK, "b", "c", "z.py:f", "c.tidy"),
        ),
        ("a", "b"),
    )
    assert [(edge.kind, edge.source, edge.target, edge.evidence) for edge in found.edges] == [
        (Kind.SETTING, "c", "a", (first, second)),
        (Kind.TASK, "a", "c", ()),
    ]
    assert [table.table for table in found.contexts["a"].tables] == ["a_one", "a_two", "b_one", "b_two"]
    assert found.contexts["a"].apps == ("shop.a", "shop.b")
    assert "b" not in found.contexts


def test_a_transaction_of_somebody_else_over_the_parts_alone_crosses_nothing_any_more() -> None:
    whole = [Edge(Kind.TRANSACTION, "c", to, "y.py:f", "a_one, b_one") for to in ("a", "b")]
    wider = [Edge(Kind.TRANSACTION, "c", to, "y.py:g", "a_one, b_one, d_one") for to in ("a", "b", "d")]
    unknown = [Edge(Kind.JOIN, "c", "a", "y.py:h", "a_one + strange")]
    found = merged(ledger(*whole, *wider, *unknown), ("a", "b"))
    assert [(edge.where, edge.target) for edge in found.edges] == [("y.py:g", "a"), ("y.py:g", "d"), ("y.py:h", "a")]


@pytest.mark.parametrize(
    ("names", "said"), [(("a", "z"), "there is no context 'z'"), (("a",), "takes two"), (("a", "a"), "takes two")]
)
def test_a_merge_of_what_is_not_there_is_refused_with_what_is(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        merged(ledger(), names)


@settings(max_examples=40)
@given(ledgers())
def test_a_merge_adds_no_edge_and_leaves_none_within(known: Ledger) -> None:
    found = merged(known, ("a", "b"))
    assert len(found.edges) <= len(known.edges)
    assert all(edge.source != edge.target and "b" not in (edge.source, edge.target) for edge in found.edges)
    others = [edge for edge in known.edges if not {"a", "b"} & {edge.source, edge.target}]
    assert [edge for edge in found.edges if "a" not in (edge.source, edge.target)] == others


@settings(max_examples=40)
@given(ledgers())
def test_merging_three_at_once_is_merging_them_one_after_the_other(known: Ledger) -> None:
    at_once, in_turn = merged(known, ("a", "b", "c")), merged(merged(known, ("a", "b")), ("a", "c"))
    assert {edge.key for edge in at_once.edges} == {edge.key for edge in in_turn.edges}
    assert at_once.contexts == in_turn.contexts


def test_a_difference_tells_what_changes_and_leaves_out_what_does_not() -> None:
    before, after = quote(shop(), "orders"), quote(merged(shop(), ("orders", "payments")), "orders")
    told = {change.what: (change.before, change.after) for change in difference(before, after)}
    assert told["difficulty"][1] is not None
    assert told["difficulty"][1] < (told["difficulty"][0] or 0)
    assert told["loose keys"] == (3, 4)  # its own, and those of payments to users; that between the two is gone
    assert told["tables to mirror"] == (2, 4)
    assert told["admin_inline out"] == (1, 0)
    assert "commands" not in told
    assert difference(before, before) == ()


def test_what_becomes_known_is_a_difference_too() -> None:
    known = ledger()
    change = {each.what: each for each in difference(quote(replace(known, looked_at={}), "a"), quote(known, "a"))}
    assert (change["transactions that become sagas"].before, change["transactions that become sagas"].after) == (None, 0)
