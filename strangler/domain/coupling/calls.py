"""What a request will ask of another process once a context has left.

A crossing that writes becomes a call through a seam. A crossing that reads does not: the side that is left reads on in the tables
that the mirror keeps fresh, so it is counted apart, as what needs a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import Nature, nature, offered
from strangler.domain.coupling.plain import Plain

REQUEST = "request "
CALLING = (Kind.COMMAND, Kind.TASK, Kind.ON_COMMIT, Kind.LATE_IMPORT, Kind.SEAM)


@dataclass(frozen=True, slots=True)
class EndpointCalls(Plain):
    """At least so many: a place that crosses in a loop counts once. ``basis``: "runtime", what requests were seen to do;
    "static", what stands in the view itself. ``places``: the crossings, ``FILE:QUALNAME``.
    """

    endpoint: str
    calls: int
    copies: int
    basis: str
    places: tuple[str, ...]


def endpoint_calls(ledger: Ledger, crossings: Sequence[Edge]) -> tuple[EndpointCalls, ...] | None:
    """Of every endpoint, of whatever context, that runs some of ``crossings``, those of one context. None where neither a run nor
    the views are known."""
    views = {endpoint: where for facts in ledger.contexts.values() for endpoint, where in facts.views.items()}
    recorded = ledger.asked("runtime")
    if not recorded and not views:
        return None
    met = _seen(crossings) if recorded else _read(crossings, views)
    found: dict[str, dict[tuple[str, str, str], bool]] = {}
    for endpoint, edge, calls in met:
        crossing = (edge.where, edge.source, edge.target)
        found.setdefault(endpoint, {})[crossing] = found.get(endpoint, {}).get(crossing, False) or calls
    basis = "runtime" if recorded else "static"
    return tuple(_one(endpoint, found[endpoint], basis) for endpoint in sorted(found))


def _one(endpoint: str, crossings: dict[tuple[str, str, str], bool], basis: str) -> EndpointCalls:
    calls = sum(crossings.values())
    places = tuple(sorted({where for where, _, _ in crossings}))
    return EndpointCalls(endpoint, calls, len(crossings) - calls, basis, places)


def _seen(crossings: Iterable[Edge]) -> Iterator[tuple[str, Edge, bool]]:
    for edge in crossings:
        if nature(edge) in (Nature.WRITE, Nature.READ):
            for name in dict.fromkeys(name for proof in edge.evidence for name in proof.by):
                if name.startswith(REQUEST):
                    yield name.removeprefix(REQUEST), edge, nature(edge) is Nature.WRITE


def _read(crossings: Iterable[Edge], views: Mapping[str, str]) -> Iterator[tuple[str, Edge, bool]]:
    served: dict[str, list[str]] = {}
    for endpoint, view in views.items():
        served.setdefault(view, []).append(endpoint)
    for edge in crossings:
        calls = nature(edge) is Nature.WRITE or edge.kind in CALLING
        if (calls or nature(edge) is Nature.READ) and not offered(edge):
            for view in _around(edge.where):
                yield from ((endpoint, edge, calls) for endpoint in served.get(view, ()))


def _around(where: str) -> Iterator[str]:
    """The place itself, and the classes and functions around it."""
    file, _, name = where.partition(":")
    while name:
        yield f"{file}:{name}"
        name = name.rpartition(".")[0]
