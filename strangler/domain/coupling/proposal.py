"""Contexts for a monolith that has none: apps, and the models of apps that hold everything, by what ties them together.

What goes in is a ledger in which each app is a context of its own, as it is where none is declared; of an app that holds
everything, each model, by its label (the atlas says so, and the ledger is collected with it): all that ties them crosses then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from strangler.domain.coupling.atlas import PLATFORM, PROJECT
from strangler.domain.coupling.clustering import Pair, communities, modularity
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import Nature, nature, offered
from strangler.domain.coupling.nouns import several
from strangler.domain.coupling.plain import Plain

POINT = 1000  # weights are whole thousandths
BINDS: Mapping[Nature, int] = {
    Nature.WRITE: 10 * POINT,
    Nature.MODEL: 8 * POINT,
    Nature.READ: 3 * POINT,
    Nature.KEY: 2 * POINT,
    Nature.CODE: POINT,
    Nature.MESSAGE: POINT // 2,  # where it is cut with the least
    Nature.PAGE: POINT // 2,
    Nature.AGREED: POINT // 10,
}
TOGETHER = POINT  # between those that code which owns none of them uses at one place
WITHIN = 10 * POINT  # a table ties its app to itself by so much, which no ledger of apps shows
SHOWN = 5
ORDER = tuple(Kind)
Between = dict[Pair, list[Edge]]


@dataclass(frozen=True, slots=True)
class Tie(Plain):
    """All between two apps or models. ``words``: "2 transactions, 1 foreign key"."""

    one: str
    other: str
    points: float
    words: str


@dataclass(frozen=True, slots=True)
class Cluster(Plain):
    """A context as it might be. ``apps``: dotted names. ``models``: labels of those whose app is not among them. ``held``: what
    holds it together, ``cut``: what would cross; the strongest first. All of it is in the points ``inside`` and ``outside``.
    """

    name: str
    apps: tuple[str, ...]
    models: tuple[str, ...]
    members: tuple[str, ...]
    held: tuple[Tie, ...]
    cut: tuple[Tie, ...]
    inside: float
    outside: float

    @property
    def because(self) -> str:
        """A sentence without its full stop."""
        if len(self.members) == 1:
            held = f"{self.members[0]} alone"
        elif self.held:
            first = self.held[0]
            held = f"{', '.join(self.members)}: {first.one} and {first.other} are held together by {first.words}"
        else:
            held = f"{', '.join(self.members)}, by what others do with them"
        return f"{held}; {self.inside:g} points stay within, {self.outside:g} cross"


@dataclass(frozen=True, slots=True)
class Proposal(Plain):
    """``modularity``: from -0.5 to 1; above 0.3 the parts are real ones. ``loose``: code without tables that nothing ties."""

    clusters: tuple[Cluster, ...]
    modularity: float
    loose: tuple[str, ...] = ()


def proposal(ledger: Ledger) -> Proposal:
    named = {*ledger.contexts, *(name for edge in ledger.edges for name in (edge.source, edge.target))}
    known = sorted(named - {PROJECT, PLATFORM})
    owners = [name for name in known if "." in name or (name in ledger.contexts and ledger.contexts[name].tables)] or known
    edges = [edge for edge in ledger.edges if not offered(edge) and edge.source != PROJECT != edge.target]
    ties = _ties(edges)
    weights = {pair: weight for pair, weight in ties.items() if pair[0] in owners and pair[1] in owners}
    for pair, weight in (*_together(edges, owners).items(), *_within(ledger, owners).items()):
        weights[pair] = weights.get(pair, 0) + weight
    groups = communities(owners, weights)
    homes = _callers(known, groups, ties)
    names = _names(groups, weights)
    members = [tuple(sorted((*group, *(name for name, home in homes.items() if home == group)))) for group in groups]
    between: Between = {}
    for edge in edges:
        between.setdefault(_pair(edge.source, edge.target), []).append(edge)
    clusters = [_cluster(ledger, *each, ties, between) for each in zip(names, members, strict=True)]
    loose = tuple(name for name in known if name not in owners and name not in homes)
    return Proposal(tuple(clusters), round(modularity(groups, weights), 3), loose)


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def _ties(edges: list[Edge]) -> dict[Pair, int]:
    """A place that touches many says little about each of them: a seed that fills all tables is shared among all."""
    touched: dict[tuple[str, str], set[str]] = {}
    for edge in edges:
        touched.setdefault((edge.source, edge.where), set()).add(edge.target)
    found: dict[Pair, int] = {}
    for edge in edges:
        pair = _pair(edge.source, edge.target)
        found[pair] = found.get(pair, 0) + BINDS[nature(edge)] // len(touched[edge.source, edge.where])
    return found


def _within(ledger: Ledger, owners: Iterable[str]) -> dict[Pair, int]:
    apps = (ledger.contexts[name] for name in owners if name in ledger.contexts and "." not in name)
    return {(one.name, one.name): WITHIN * len(one.tables) for one in apps if one.tables}


def _together(edges: Iterable[Edge], owners: Iterable[str]) -> dict[Pair, int]:
    """Code that owns no table ties together what it uses at one place: what one view shows belongs together a little."""
    owning = set(owners)
    places: dict[str, set[str]] = {}
    for edge in edges:
        if edge.source not in owning and edge.target in owning and nature(edge) is not Nature.AGREED:
            places.setdefault(edge.where, set()).add(edge.target)
    found: dict[Pair, int] = {}
    for used in places.values():
        for pair in combinations(sorted(used), 2):
            found[pair] = found.get(pair, 0) + max(1, TOGETHER // (len(used) - 1))
    return found


def _callers(known: list[str], groups: list[tuple[str, ...]], ties: Mapping[Pair, int]) -> dict[str, tuple[str, ...]]:
    """Code without tables → the group that it has most to do with; of equals the first."""
    owning = {name for group in groups for name in group}
    homes = {}
    for name in known:
        points = {group: sum(ties.get(_pair(name, member), 0) for member in group) for group in groups}
        if name not in owning and any(points.values()):
            homes[name] = max(groups, key=lambda group: (points[group], -groups.index(group)))
    return homes


def _names(groups: list[tuple[str, ...]], weights: Mapping[Pair, int]) -> list[str]:
    """After the member that most hangs on, in its group; models by their own name unless that is taken."""
    taken: set[str] = set()
    names = []
    for group in groups:
        first = max(group, key=lambda name: (sum(weights.get(_pair(name, other), 0) for other in group), -group.index(name)))
        short = first.rpartition(".")[2].lower()
        names.append(short if short not in taken and short not in (PROJECT, PLATFORM) else first.replace(".", "_").lower())
        taken.add(names[-1])
    return names


def _cluster(ledger: Ledger, name: str, members: tuple[str, ...], ties: Mapping[Pair, int], between: Between) -> Cluster:
    within = {pair for pair in ties if pair[0] in members and pair[1] in members}
    across = {pair for pair in ties if (pair[0] in members) != (pair[1] in members)}
    apps = {app for member in members for app in _apps(ledger, member)}
    models = tuple(member for member in members if "." in member and member.partition(".")[0] not in members)
    return Cluster(
        name=name,
        apps=tuple(sorted(apps)),
        models=models,
        members=members,
        held=_told(within, ties, between),
        cut=_told(across, ties, between),
        inside=round(sum(ties[pair] for pair in within) / POINT, 1),
        outside=round(sum(ties[pair] for pair in across) / POINT, 1),
    )


def _apps(ledger: Ledger, member: str) -> tuple[str, ...]:
    """A model is in the app of others; that stands where the rest of its code does."""
    return ledger.contexts[member].apps if member in ledger.contexts and "." not in member else ()


def _told(pairs: Iterable[Pair], ties: Mapping[Pair, int], between: Between) -> tuple[Tie, ...]:
    strongest = sorted(pairs, key=lambda pair: (-ties[pair], pair))[:SHOWN]
    return tuple(Tie(*pair, round(ties[pair] / POINT, 1), _words(between[pair])) for pair in strongest)


def _words(edges: list[Edge]) -> str:
    counts: dict[Kind, int] = {}
    for edge in sorted(edges, key=lambda edge: (-BINDS[nature(edge)], ORDER.index(edge.kind))):
        counts[edge.kind] = counts.get(edge.kind, 0) + 1
    return ", ".join(several(kind, count) for kind, count in counts.items())
