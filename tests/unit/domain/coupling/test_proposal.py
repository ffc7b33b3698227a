"""Contexts are proposed by what ties apps and models together, and written behind what a person wrote."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings

from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts
from strangler.domain.coupling.proposal import proposal
from strangler.domain.coupling.proposed_file import additions
from tests.unit.domain.coupling.ledgers import ledger, ledgers
from tests.unit.domain.coupling.shop import shop

MODELS = ("Order", "Line", "Cart", "Invoice", "Payment", "Refund")
OURS = '# mine\n[contexts.a]\napps = ["shop.a"]   # as it was\n'


def key(source: str, target: str) -> Edge:
    return Edge(Kind.FOREIGN_KEY, source, target, f"shop/models.py:{source.partition('.')[2]}.to", target)


def god_app() -> Ledger:
    """One app with six models in two rings; its views, which own no table, use three of them at a place."""
    names = [f"shop.{model}" for model in MODELS]
    contexts = {name: ContextFacts(name, False, tables=(TableFacts(name, name.lower().replace(".", "_")),)) for name in names}
    contexts["shop"] = ContextFacts("shop", False, ("shop",))
    ring = [key(names[one], names[other]) for one, other in ((1, 0), (2, 0), (2, 1), (4, 3), (5, 4), (5, 3))]
    views = [Edge(Kind.FOREIGN_READ, "shop", name, "shop/views.py:pay", name.lower().replace(".", "_")) for name in names[3:]]
    both = [Edge(Kind.FOREIGN_READ, "shop", name, "shop/views.py:all", name.lower().replace(".", "_")) for name in names]
    return Ledger(contexts, (*ring, key(names[3], names[0]), *views, *both), (), {"live": {"models": 6}})


def test_the_models_of_an_app_that_holds_everything_fall_into_their_parts() -> None:
    found = proposal(god_app())
    assert [cluster.models for cluster in found.clusters] == [("shop.Cart", "shop.Line", "shop.Order"), ()]
    assert found.clusters[1].members == (
        "shop",
        "shop.Invoice",
        "shop.Payment",
        "shop.Refund",
    )  # code goes where it has most to do
    assert found.clusters[1].apps == ("shop",)
    assert found.modularity > 0.2


def test_models_as_contexts_need_no_facts_for_each_is_a_table_itself() -> None:
    bare = replace(god_app(), contexts={"shop": ContextFacts("shop", False, ("shop",))})
    told = [cluster.members for cluster in proposal(bare).clusters]
    assert told == [cluster.members for cluster in proposal(god_app()).clusters]


def test_the_apps_of_the_shop_stay_apart_but_those_that_commit_together() -> None:
    assert [cluster.members for cluster in proposal(shop()).clusters] == [
        ("customers",), ("orders", "payments"), ("products",), ("shell", "users"),
    ]  # fmt: skip


def test_a_cluster_says_what_holds_it_together_and_what_is_cut() -> None:
    orders = proposal(shop()).clusters[1]
    assert orders.because.startswith("orders, payments: orders and payments are held together by 2 transactions, ")
    assert (orders.held[0].one, orders.held[0].other) == ("orders", "payments")
    assert {orders.cut[0].one, orders.cut[0].other} == {"customers", "orders"}


def test_a_place_that_touches_everything_ties_nothing_tightly() -> None:
    names = ("a", "b", "c", "d", "e")
    seed = [Edge(Kind.TRANSACTION, "a", name, "seed.py:fill", "all") for name in names[1:]]
    pair = Edge(Kind.TRANSACTION, "b", "c", "b.py:f", "b_one, c_one")
    ties = {
        (tie.one, tie.other): tie.points
        for cluster in proposal(ledger(*seed, pair)).clusters
        for tie in (*cluster.held, *cluster.cut)
    }
    assert (ties["a", "b"], ties["b", "c"]) == (2.5, 10)


def test_code_that_nothing_ties_is_told_and_not_hidden() -> None:
    known = ledger(key("a", "b"), names=("a", "b"))
    contexts = {**known.contexts, "odd": ContextFacts("odd", False, ("shop.odd",))}
    assert proposal(replace(known, contexts=contexts)).loose == ("odd",)


def test_without_a_database_the_apps_are_clustered_all_the_same() -> None:
    bare = {name: ContextFacts(name, False, (f"shop.{name}",)) for name in "abcd"}
    found = proposal(Ledger(bare, (key("a", "b"), key("c", "d"))))
    assert [cluster.members for cluster in found.clusters] == [("a", "b"), ("c", "d")]


def test_what_a_person_wrote_is_not_touched_and_only_the_rest_is_added() -> None:
    added = additions(OURS, proposal(ledger(key("b", "c"))))
    read = tomllib.loads(OURS + added)["contexts"]
    assert read["a"] == {"apps": ["shop.a"]}
    assert sorted(app for name, table in read.items() if name != "a" for app in table["apps"]) == [
        "shop.b",
        "shop.c",
        "shop.d",
        "shop.e",
    ]


def test_added_once_nothing_is_added_again() -> None:
    proposed = proposal(shop())
    text = additions("", proposed)
    assert tomllib.loads(text)["contexts"]["orders"]["apps"] == ["monolith.orders", "monolith.payments"]
    assert additions(text, proposed) == ""


def test_a_name_that_is_taken_is_not_used_for_something_else() -> None:
    mine = '[contexts.customers]\napps = ["other"]\n'
    read = tomllib.loads(mine + additions(mine, proposal(shop())))["contexts"]
    assert read["customers"]["apps"] == ["other"]
    assert read["customers_new"]["apps"] == ["monolith.customers"]


def test_models_without_an_app_of_their_own_are_written_as_a_comment() -> None:
    text = additions("", proposal(god_app()))
    assert list(tomllib.loads(text)["contexts"]) == ["invoice"]
    assert "give them an app of its own first: shop.Cart, shop.Line, shop.Order" in text


def test_a_file_that_is_no_toml_is_left_alone() -> None:
    with pytest.raises(ValueError, match="nothing was written"):
        additions("[contexts", proposal(shop()))


@settings(max_examples=30)
@given(ledgers())
def test_any_ledger_gives_contexts_that_can_be_read_back(known: Ledger) -> None:
    found = proposal(known)
    assert sorted(member for cluster in found.clusters for member in cluster.members) == ["a", "b", "c", "d", "e"]
    written = tomllib.loads(additions("", found))["contexts"]
    assert sorted(app for table in written.values() for app in table["apps"]) == [f"shop.{name}" for name in "abcde"]
    turned = replace(known, edges=known.edges[::-1])
    assert additions("", proposal(turned)) == additions("", found)
