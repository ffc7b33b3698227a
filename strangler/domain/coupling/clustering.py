"""Communities of a weighted graph by greedy modularity (Louvain), with a fixed order in place of chance: the same graph gives the
same communities, whatever order it is given in.

Blondel et al., "Fast unfolding of communities in large networks", 2008. Weights are whole numbers, so nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Pair = tuple[str, str]
Links = dict[str, dict[str, int]]


def communities(nodes: Iterable[str], weights: Mapping[Pair, int]) -> list[tuple[str, ...]]:
    """Each sorted, in order of their first. ``weights``: of pairs, whichever way round; both ways add up. A node without any is
    alone.
    """
    members: dict[str, tuple[str, ...]] = {node: (node,) for node in sorted(nodes)}
    links: Links = {node: {} for node in members}
    for (one, other), weight in sorted(weights.items()):
        _link(links, one, other, weight)
    while True:
        home = _settled(links)
        if len(set(home.values())) == len(links):
            return sorted(tuple(sorted(each)) for each in members.values())
        members, links = _folded(members, links, home)


def modularity(groups: Iterable[tuple[str, ...]], weights: Mapping[Pair, int]) -> float:
    """From -0.5 to 1: how much more of the weight stays within the groups than chance would leave there. 0 without any weight."""
    total = sum(weights.values())
    found = 0.0
    for group in groups:
        inside = sum(weight for (one, other), weight in weights.items() if one in group and other in group)
        ends = sum(weight * ((one in group) + (other in group)) for (one, other), weight in weights.items())
        found += inside / total - (ends / (2 * total)) ** 2 if total else 0
    return found


def _link(links: Links, one: str, other: str, weight: int) -> None:
    """A loop counts twice at its node, as both of its ends are there."""
    links[one][other] = links[one].get(other, 0) + weight
    links[other][one] = links[other].get(one, 0) + weight


def _settled(links: Links) -> dict[str, str]:
    """Node → the community it is content with: each goes where modularity gains most, until none wants to."""
    degree = {node: sum(near.values()) for node, near in links.items()}
    whole = sum(degree.values())
    home = {node: node for node in links}
    total = dict(degree)
    moved = True
    while moved:
        moved = False
        for node in links:
            near: dict[str, int] = {home[node]: 0}
            for other, weight in links[node].items():
                if other != node:
                    near[home[other]] = near.get(home[other], 0) + weight
            total[home[node]] -= degree[node]
            gain = {name: whole * weight - total[name] * degree[node] for name, weight in near.items()}
            best = min(gain, key=lambda name: (-gain[name], name != home[node], name))
            total[best] += degree[node]
            moved = moved or best != home[node]
            home[node] = best
    return home


def _folded(members: dict[str, tuple[str, ...]], links: Links, home: dict[str, str]) -> tuple[dict[str, tuple[str, ...]], Links]:
    """The graph of the communities."""
    names = sorted(set(home.values()))
    grown = {name: tuple(each for node in members if home[node] == name for each in members[node]) for name in names}
    folded: Links = {name: {} for name in names}
    for one, near in links.items():
        for other, weight in near.items():
            here, there = home[one], home[other]
            folded[here][there] = folded[here].get(there, 0) + weight
    return grown, folded
