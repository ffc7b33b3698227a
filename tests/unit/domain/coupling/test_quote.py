"""A quote counts what crosses, and what was not asked is not known: never 0."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts
from strangler.domain.coupling.quote import Quote, Volume, movable, quote, quotes, volume
from tests.unit.domain.coupling.ledgers import ledger, ledgers
from tests.unit.domain.coupling.shop import shop

HERE = "shop/a/views.py:Page.get"


def test_edges_are_counted_by_kind_and_side_and_the_projects_wiring_apart() -> None:
    found = quote(
        ledger(
            Edge(Kind.IMPORT, "a", "b", "x.py:*", "b.models"),
            Edge(Kind.LOOKUP, "a", "b", "x.py:f", "b__c"),
            Edge(Kind.LOOKUP, "b", "a", "y.py:f", "a__c"),
            Edge(Kind.URL_INCLUDE, "project", "a", "urls.py:*", "a.urls"),
            Edge(Kind.DATABASE_VIEW, "project", "a", "database:v", "a_one"),
        ),
        "a",
    )
    assert (found.out, found.into) == ({"import": 1, "lookup": 1}, {"lookup": 1, "database_view": 1})
    assert (found.composition, found.neighbours) == (1, ("b", "project"))


def test_a_transaction_over_several_contexts_is_one_saga_for_each_of_them() -> None:
    ran = (Evidence(count=7, by=("request POST /a/",)),)
    both = [Edge(Kind.TRANSACTION, "a", to, HERE, "a_one, b_one, c_one", evidence=ran) for to in ("b", "c")]
    for name in ("a", "b", "c"):
        (saga,) = quote(ledger(*both), name).sagas or ()
        assert (saga.where, saga.tables, saga.contexts) == (HERE, ("a_one", "b_one", "c_one"), ("a", "b", "c"))
        assert (saga.count, saga.by) == (7, ("request POST /a/",))
    assert quote(ledger(*both), "d").sagas == ()


def test_what_no_source_was_asked_is_unknown_and_not_0() -> None:
    blind = quote(Ledger({"a": ContextFacts("a", True)}), "a")
    assert (blind.sagas, blind.calls, blind.mirror, blind.keys) == (None, None, None, None)
    assert (blind.endpoints, blind.tasks, blind.commands) == (None, None, None)
    assert blind.unasked == ("static", "live", "runtime")
    assert blind.difficulty.least


def test_a_recording_without_a_statement_tells_nothing_of_transactions() -> None:
    empty = replace(
        ledger(), looked_at={"static": {"files": 3}, "live": {"models": 2}, "runtime": {"statements": 0, "unsampled": 7}}
    )
    assert quote(empty, "a").sagas is None
    assert quote(empty, "a").unasked == ("runtime",)


def test_rows_of_tables_that_were_not_counted_are_named() -> None:
    tables = (TableFacts("a.One", "a_one", 10, 1000), TableFacts("a.Two", "a_two"))
    known = Ledger({"a": ContextFacts("a", True, tables=tables)}, looked_at={"live": {"models": 2}})
    mirror = quote(known, "a").mirror
    assert mirror is not None
    assert (mirror.tables, mirror.rows, mirror.size, mirror.unknown) == (2, 10, 1000, ("a_two",))
    assert volume(tables[1:]) == Volume(1, None, None, ("a_two",))
    assert volume(()) == Volume(0, 0, 0)


def test_tables_that_its_code_reads_need_a_copy_however_the_edge_names_them() -> None:
    found = quote(
        ledger(
            Edge(Kind.FOREIGN_KEY, "a", "b", "shop/a/models.py:One.owner", "b.One"),
            Edge(Kind.LOOKUP, "a", "b", HERE, "owner__name"),  # by the key of that name
            Edge(Kind.JOIN, "a", "c", HERE, "a_one + c_two"),
            Edge(Kind.RAW_SQL, "a", "d", "shop/a/sql.py:*", "public.d_one", "reads"),
            Edge(Kind.RAW_SQL, "a", "e", "shop/a/sql.py:*", "e_one", "writes"),
            Edge(Kind.SELECT_RELATED, "a", "e", HERE, "x", models=("e.Two",)),  # the edge says it itself
            Edge(Kind.FOREIGN_READ, "b", "a", "y.py:f", "a_one"),  # others read on where they are
        ),
        "a",
    )
    assert [(copy.label, copy.rows, copy.size) for copy in found.copies] == [
        ("b.One", 10, 1000), ("c.Two", 20, 2000), ("d.One", 10, 1000), ("e.Two", 20, 2000),
    ]  # fmt: skip
    assert found.unresolved == ()


def test_a_reverse_relation_tells_its_table_by_its_accessor() -> None:
    found = quote(
        ledger(
            Edge(Kind.REVERSE_ACCESSOR, "a", "b", "shop/b/models.py:Two.owner", "a.One.two_set", "declared"),
            Edge(Kind.LOOKUP, "a", "b", HERE, "two__name"),
        ),
        "a",
    )
    assert [copy.label for copy in found.copies] == ["b.Two"]


def test_a_path_that_tells_no_table_is_said_and_not_left_out() -> None:
    found = quote(ledger(Edge(Kind.LOOKUP, "a", "b", HERE, "far__away")), "a")
    assert found.copies == ()
    assert found.unresolved == (f"far__away of b at {HERE}",)


def test_keys_both_ways_are_loose_and_a_through_model_brings_its_own() -> None:
    found = quote(
        ledger(
            Edge(Kind.FOREIGN_KEY, "a", "b", "x.py:One.b", "b.One", "on_delete=CASCADE"),
            Edge(Kind.ONE_TO_ONE, "c", "a", "y.py:Two.a", "a.One"),
            Edge(Kind.MANY_TO_MANY, "a", "c", "x.py:One.cs", "c.One", "through=a.Two"),
        ),
        "a",
    )
    assert [(key.where, key.note) for key in found.keys or ()] == [("x.py:One.b", "on_delete=CASCADE"), ("y.py:Two.a", "")]


def test_calls_of_an_endpoint_are_those_places_of_its_requests_that_write_and_reads_are_copies() -> None:
    by = ("request POST /pay/", "task a.t")
    edges = (
        Edge(Kind.TRANSACTION, "b", "a", "p.py:pay", "a_one, b_one", evidence=(Evidence(count=3, by=by),)),
        Edge(Kind.FOREIGN_WRITE, "b", "a", "p.py:pay", "a_one", evidence=(Evidence(count=3, by=by),)),
        Edge(Kind.FOREIGN_READ, "b", "a", "p.py:show", "a_one", evidence=(Evidence(count=3, by=(by[0], "request GET /p/")),)),
    )
    told = [(each.endpoint, each.calls, each.copies, each.basis) for each in quote(ledger(*edges), "a").calls or ()]
    assert told == [("GET /p/", 0, 1, "runtime"), ("POST /pay/", 1, 1, "runtime")]


def test_without_a_recording_calls_are_read_in_the_views_and_that_is_said() -> None:
    edges = (
        Edge(Kind.TASK, "a", "b", HERE, "b.tidy"),
        Edge(Kind.LOOKUP, "a", "b", HERE, "b__c"),
        Edge(Kind.TASK, "a", "b", "shop/a/views.py:Pages.get", "b.tidy"),  # another view
    )
    known = ledger(*edges, asked=("static", "live"))
    facts = replace(known.contexts["a"], views={"GET /a/": "shop/a/views.py:Page"})
    known = replace(known, contexts={**known.contexts, "a": facts})
    assert [(each.endpoint, each.calls, each.basis) for each in quote(known, "a").calls or ()] == [("GET /a/", 1, "static")]


def test_declared_contexts_are_quoted_alone_and_the_rest_only_where_none_is() -> None:
    assert movable(shop()) == ("users", "customers", "products", "orders", "payments")
    undeclared = {name: replace(facts, declared=False) for name, facts in shop().contexts.items()}
    assert movable(replace(shop(), contexts=undeclared))[-1] == "shell"


@settings(max_examples=30)
@given(ledgers())
def test_any_ledger_can_be_quoted_and_told_as_json(known: Ledger) -> None:
    for each in quotes(known):
        assert isinstance(each, Quote)
        assert json.loads(json.dumps(each.to_json()))["context"] == each.context
