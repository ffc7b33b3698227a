"""Contexts that can be reached from themselves, and the cheapest edges without which they could not.

The cut is a minimum feedback arc set by weight: exact up to ``EXACT`` contexts, by dynamic programming over the sets of
those that come first in an order; beyond that a greedy order (Eades, Lin, Smyth) that is bettered one move at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strangler.domain.coupling.atlas import PROJECT
from strangler.domain.coupling.difficulty import weight
from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import offered
from strangler.domain.coupling.plain import Plain

EXACT = 12
Weights = Mapping[tuple[str, str], float]
Between = dict[tuple[str, str], list[Edge]]


@dataclass(frozen=True, slots=True)
class Cut(Plain):
    """All that leads from ``source`` to ``target``."""

    source: str
    target: str
    points: float
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Cycle(Plain):
    """``contexts`` that know each other in a ring, by name. Without ``cuts`` they can be laid in ``order``: each knows only those
    before it. ``exact``: no cheaper set of cuts exists.
    """

    contexts: tuple[str, ...]
    order: tuple[str, ...]
    cuts: tuple[Cut, ...]
    points: float
    exact: bool


def cycles(ledger: Ledger) -> tuple[Cycle, ...]:
    """The largest first. The project is no context, and an accessor that nobody uses ties none: each key has one."""
    between: Between = {}
    for edge in ledger.edges:
        if not offered(edge) and PROJECT not in (edge.source, edge.target) and edge.source != edge.target:
            between.setdefault((edge.source, edge.target), []).append(edge)
    weights = {pair: round(sum(weight(edge, out=True) for edge in edges), 1) for pair, edges in between.items()}
    rings = [ring for ring in components(weights) if len(ring) > 1]
    return tuple(_cycle(ring, weights, between) for ring in sorted(rings, key=lambda ring: (-len(ring), ring)))


def _cycle(ring: tuple[str, ...], weights: Weights, between: Between) -> Cycle:
    order = cheapest_order(ring, weights)
    place = {name: number for number, name in enumerate(order)}
    upward = [pair for pair in weights if pair[0] in place and pair[1] in place and place[pair[0]] < place[pair[1]]]
    cuts = [Cut(*pair, weights[pair], tuple(between[pair])) for pair in upward]
    cuts.sort(key=lambda cut: (-cut.points, cut.source, cut.target))
    return Cycle(ring, order, tuple(cuts), round(sum(cut.points for cut in cuts), 1), len(ring) <= EXACT)


def components(weights: Weights) -> list[tuple[str, ...]]:
    """Strongly connected ones, each sorted, in order of name (Tarjan's, without recursion)."""
    after: dict[str, list[str]] = {}
    for source, target in sorted(weights):
        after.setdefault(source, []).append(target)
        after.setdefault(target, [])
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []
    for root in sorted(after):
        work = [(root, 0)] if root not in index else []
        while work:
            name, at = work.pop()
            if at == 0:
                index[name] = low[name] = len(index)
                stack.append(name)
            elif after[name][at - 1] in stack:
                low[name] = min(low[name], low[after[name][at - 1]])
            while at < len(after[name]) and after[name][at] in index:
                if after[name][at] in stack:
                    low[name] = min(low[name], index[after[name][at]])
                at += 1
            if at < len(after[name]):
                work += [(name, at + 1), (after[name][at], 0)]
            elif low[name] == index[name]:
                cut = stack.index(name)
                found.append(tuple(sorted(stack[cut:])))
                del stack[cut:]
    return sorted(found)


def cheapest_order(names: Sequence[str], weights: Weights) -> tuple[str, ...]:
    """So that what leads to a later one weighs least in all; of equals the first by name."""
    return _exact(sorted(names), weights) if len(names) <= EXACT else _bettered(_greedy(sorted(names), weights), weights)


def _exact(names: list[str], weights: Weights) -> tuple[str, ...]:
    """``best[first]``: cost and order of the cheapest way to put the set ``first`` (bits) before all others."""
    tenths = [[round(10 * weights.get((one, other), 0)) for other in names] for one in names]
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for first in range(1, 1 << len(names)):
        chosen: tuple[int, tuple[int, ...]] | None = None
        for last in range(len(names)):
            if first >> last & 1:
                cost, order = best[first ^ 1 << last]
                made = cost + sum(tenths[before][last] for before in order), (*order, last)
                chosen = made if chosen is None or made < chosen else chosen
        assert chosen is not None  # a set that is not empty has a last one
        best[first] = chosen
    return tuple(names[number] for number in best[(1 << len(names)) - 1][1])


def _greedy(names: list[str], weights: Weights) -> list[str]:
    """Who knows nobody that is left comes next; else the one that is known by much and knows little."""
    left, order = set(names), list[str]()
    out, into = dict.fromkeys(names, 0), dict.fromkeys(names, 0)  # in tenths, from and to those that are left
    near: dict[str, list[tuple[str, str, int]]] = {name: [] for name in names}
    for (one, other), points in weights.items():
        if one in left and other in left:
            tenths = round(10 * points)
            out[one], into[other] = out[one] + tenths, into[other] + tenths
            near[one].append((one, other, tenths))
            near[other].append((one, other, tenths))
    while left:
        chosen = min(left, key=lambda name: (out[name] > 0, out[name] - into[name] if out[name] else 0, name))
        order.append(chosen)
        left.remove(chosen)
        for one, other, tenths in near[chosen]:
            out[one], into[other] = out[one] - tenths, into[other] - tenths
    return order


def _bettered(order: list[str], weights: Weights) -> tuple[str, ...]:
    """Takes each one in turn to where it costs least, until nothing gets cheaper."""
    better = True
    while better:
        better = False
        for name in sorted(order):
            at = order.index(name)
            gain, to = min(_moves(order, at, weights))
            if gain < 0:
                order.insert(to, order.pop(at))
                better = True
    return tuple(order)


def _moves(order: Sequence[str], at: int, weights: Weights) -> list[tuple[int, int]]:
    """(change of cost in tenths, new place) of taking the one at ``at`` to every place."""
    name, found = order[at], [(0, at)]
    for step, places in ((1, range(at + 1, len(order))), (-1, range(at - 1, -1, -1))):
        change = 0
        for to in places:
            passed = order[to]
            forward = round(10 * weights.get((passed, name), 0)) - round(10 * weights.get((name, passed), 0))
            change += step * forward
            found.append((change, to))
    return found
