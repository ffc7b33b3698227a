"""The parts of a ledger are joined in one order, each edge once, and a part that fails takes no other along."""

from __future__ import annotations

import pytest

from strangler.analysis.collect import _tried, named_once, ordered
from strangler.domain.coupling.edges import Edge, Evidence, Found, Kind, Skipped
from strangler.errors import Misconfigured


def edge(kind: Kind, what: str, *evidence: Evidence, note: str = "", models: tuple[str, ...] = ()) -> Edge:
    return Edge(kind, "a", "b", "a/x.py:f", what, note, evidence, models)


def test_the_same_edge_of_two_parts_is_one_with_the_evidence_of_both() -> None:
    line, ran = Evidence("a/x.py", 3, "SELECT b"), Evidence("a/x.py", 9, "SELECT b", 7, ("request GET /",))
    static, live = edge(Kind.LOOKUP, "b__c", line, line), edge(Kind.LOOKUP, "b__c", ran, note="told", models=("b.B",))
    (one,) = ordered([static, live])
    assert one.evidence == (ran, line), "what ran comes first, and nothing twice"
    assert (one.note, one.models) == ("told", ("b.B",))
    assert ordered([static, live])[0].evidence == ordered([live, static])[0].evidence


def test_the_order_does_not_depend_on_who_came_first() -> None:
    edges = [edge(Kind.JOIN, "x"), edge(Kind.IMPORT, "z"), edge(Kind.IMPORT, "y"), edge(Kind.FOREIGN_KEY, "b.B")]
    assert ordered(edges) == ordered(edges[::-1])
    assert [one.what for one in ordered(edges)] == ["y", "z", "b.B", "x"], "by kind, as the enumeration has them, then by key"


def test_what_two_parts_skipped_for_the_same_reason_is_said_once() -> None:
    bad, other = Skipped("file", "a.py", "invalid"), Skipped("app", "b", "ImportError")
    assert named_once([bad, other, bad]) == (other, bad)


def test_a_part_that_raises_is_named_and_a_wrong_configuration_is_not_hidden() -> None:
    def broken() -> Found:
        raise KeyError("oh")

    def wrong() -> Found:
        raise Misconfigured("strangler.toml is wrong")

    assert _tried("live", broken).skipped == (Skipped("part", "live", "KeyError: 'oh'"),)
    with pytest.raises(Misconfigured):
        _tried("live", wrong)
