"""Communities come out the same whatever order the graph is given in, and are those that a person would see."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.coupling.clustering import communities, modularity

Graph = dict[tuple[str, str], int]
names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(st.tuples(names, names), st.integers(1, 1000), max_size=20)


def clique(members: str, weight: int = 10) -> Graph:
    return dict.fromkeys(itertools.combinations(members, 2), weight)


def test_two_cliques_with_a_bridge_are_two() -> None:
    graph = {**clique("abcd"), **clique("efgh"), ("d", "e"): 1}
    assert communities("abcdefgh", graph) == [tuple("abcd"), tuple("efgh")]


def test_a_ring_of_cliques_is_folded_more_than_once_into_groups_of_whole_cliques() -> None:
    cliques = [f"{chr(97 + 3 * number)}{chr(98 + 3 * number)}{chr(99 + 3 * number)}" for number in range(8)]
    graph = {pair: weight for clique_ in cliques for pair, weight in clique(clique_).items()}
    for one, other in itertools.pairwise([*cliques, cliques[0]]):
        graph[one[2], other[0]] = 3
    found = communities("".join(cliques), graph)
    assert 3 <= len(found) <= 8
    for group in found:
        assert all(set(one) <= set(group) or not set(one) & set(group) for one in cliques)


def test_who_is_tied_to_nobody_stays_alone_and_a_loop_keeps_to_itself() -> None:
    assert communities("abc", {("a", "b"): 1}) == [("a", "b"), ("c",)]
    assert communities("ab", {("a", "b"): 1, ("a", "a"): 50, ("b", "b"): 50}) == [("a",), ("b",)]


@given(graphs)
def test_every_node_is_in_one_community_and_none_is_worse_than_all_alone(graph: Graph) -> None:
    found = communities("abcdefgh", graph)
    assert sorted(itertools.chain.from_iterable(found)) == list("abcdefgh")
    assert modularity(found, graph) >= modularity([(name,) for name in "abcdefgh"], graph) - 1e-9


@given(graphs, st.integers())
def test_the_order_in_which_a_graph_is_given_does_not_matter(graph: Graph, seed: int) -> None:
    chance = random.Random(seed)
    listed, nodes = list(graph.items()), list("abcdefgh")
    chance.shuffle(listed)
    chance.shuffle(nodes)
    assert communities(nodes, dict(listed)) == communities("abcdefgh", graph)
