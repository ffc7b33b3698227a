"""Contexts that know each other in a ring are found, with the cheapest edges without which they would not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from strangler.domain.coupling.cycles import EXACT, _bettered, _greedy, cheapest_order, components, cycles
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger
from tests.unit.domain.coupling.ledgers import ledger, ledgers
from tests.unit.domain.coupling.shop import shop

Weights = Mapping[tuple[str, str], float]


def cost(order: tuple[str, ...], weights: Weights) -> float:
    place = {name: number for number, name in enumerate(order)}
    return round(sum(weight for (one, other), weight in weights.items() if place[one] < place[other]), 1)


def graphs(most: int) -> st.SearchStrategy[dict[tuple[str, str], float]]:
    names = st.sampled_from("abcdefghijklmnopqrst"[:most])
    pairs = st.tuples(names, names).filter(lambda pair: pair[0] != pair[1])
    return st.dictionaries(pairs, st.integers(1, 100).map(lambda tenths: tenths / 10), max_size=3 * most)


def test_the_cheapest_direction_is_cut_and_its_edges_are_named() -> None:
    dear = [
        Edge(Kind.TRANSACTION, "a", "b", "x.py:f", "a_one, b_one"),
        Edge(Kind.TRANSACTION, "b", "c", "y.py:f", "b_one, c_one"),
    ]
    cheap = Edge(Kind.TASK, "c", "a", "z.py:f", "a.tidy")
    (found,) = cycles(ledger(*dear, cheap))
    assert (found.contexts, found.points, found.exact) == (("a", "b", "c"), 1, True)
    assert [(cut.source, cut.target, cut.edges) for cut in found.cuts] == [("c", "a", (cheap,))]
    assert found.order == ("c", "b", "a")


def test_what_composes_the_project_or_is_only_offered_makes_no_cycle() -> None:
    both = [
        Edge(Kind.RAW_SQL, "project", "a", "proof.py:f", "a_one"),
        Edge(Kind.IMPORT, "a", "project", "x.py:*", "shop.problems"),
    ]
    wiring = [
        *both,
        Edge(Kind.URL_INCLUDE, "project", "a", "urls.py:*", "a.urls"),
        Edge(Kind.SETTING, "a", "project", "x.py:f", "X"),
    ]
    key = Edge(Kind.FOREIGN_KEY, "a", "b", "m.py:One.b", "b.One")
    offered = Edge(Kind.REVERSE_ACCESSOR, "b", "a", "m.py:One.b", "b.One.ones", "declared")
    assert cycles(ledger(*wiring, key, offered)) == ()


def test_the_shops_orders_payments_and_customers_know_each_other() -> None:
    (found,) = cycles(shop())
    assert found.contexts == ("customers", "orders", "payments")
    assert [(cut.source, cut.target) for cut in found.cuts] == [("payments", "orders"), ("customers", "orders")]


@given(graphs(6))
def test_components_are_those_who_reach_each_other(weights: Weights) -> None:
    names = sorted({name for pair in weights for name in pair})
    reach = {name: {name} for name in names}
    for _ in names:
        for one, other in weights:
            for known in reach.values():
                if one in known:
                    known.add(other)
    expected = sorted({tuple(other for other in names if other in reach[one] and one in reach[other]) for one in names})
    assert components(weights) == expected


@settings(max_examples=60)
@given(graphs(6))
def test_up_to_twelve_no_order_is_cheaper(weights: Weights) -> None:
    names = sorted({name for pair in weights for name in pair})
    found = cheapest_order(names, weights)
    assert cost(found, weights) == min(cost(order, weights) for order in itertools.permutations(names))


@settings(max_examples=60)
@given(graphs(8))
def test_the_heuristic_for_many_is_an_order_and_no_move_betters_it(weights: Weights) -> None:
    names = sorted({name for pair in weights for name in pair})
    found = _bettered(_greedy(names, weights), weights)
    assert sorted(found) == names
    for name in names:
        rest = [other for other in found if other != name]
        moves = [(*rest[:at], name, *rest[at:]) for at in range(len(names))]
        assert cost(found, weights) <= min(cost(move, weights) for move in moves)


def test_a_ring_of_many_costs_its_cheapest_link() -> None:
    names = [f"n{number:02}" for number in range(EXACT + 8)]
    weights = dict.fromkeys(itertools.pairwise([*names, names[0]]), 5.0)
    weights[names[7], names[8]] = 0.5
    assert cost(cheapest_order(names, weights), weights) == 0.5


def test_the_heuristic_is_near_the_best() -> None:
    chance = random.Random(7)
    names = list("abcdefghij")
    for _ in range(10):
        pairs = [pair for pair in itertools.permutations(names, 2) if chance.random() < 0.3]
        weights = {pair: chance.randint(1, 100) / 10 for pair in pairs}
        best = cost(cheapest_order(names, weights), weights)
        assert cost(_bettered(_greedy(names, weights), weights), weights) <= 1.25 * best + 0.1


@settings(max_examples=30)
@given(ledgers())
def test_without_the_cuts_there_is_no_cycle(known: Ledger) -> None:
    cut = {edge.key for found in cycles(known) for each in found.cuts for edge in each.edges}
    left = Ledger(known.contexts, tuple(edge for edge in known.edges if edge.key not in cut), (), known.looked_at)
    assert cycles(left) == ()


@settings(max_examples=30)
@given(ledgers())
def test_the_order_of_the_edges_changes_no_cut(known: Ledger) -> None:
    turned = Ledger(known.contexts, known.edges[::-1], (), known.looked_at)
    told = [[(cut.source, cut.target, cut.points) for cut in found.cuts] for found in cycles(known)]
    assert told == [[(cut.source, cut.target, cut.points) for cut in found.cuts] for found in cycles(turned)]
