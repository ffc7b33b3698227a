"""What a transition changes, exactly: who serves each route before and after, in words (``--dry-run``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from strangler.domain.decision import Access
from strangler.domain.estate import Context, Route
from strangler.domain.stages import Position, Stage
from strangler.domain.table import SAFE_METHODS

SAFE, OTHERS = "GET,HEAD", "POST,PUT,PATCH,DELETE"


@dataclass(frozen=True)
class Change:
    """One thing, as it is and as it would be."""

    what: str
    now: str
    then: str

    def __str__(self) -> str:
        return f"{self.what}: {self.now} → {self.then}"


def served(at: Position, access: Access) -> str:
    """Who answers requests of this access in a position, as ``table.RouteTable.choose`` decides it."""
    if access is Access.READ and at.stage is Stage.CANARY and at.percent < 100:
        return f"monolith {100 - at.percent} % / service {at.percent} %"
    if access is Access.READ and at.stage is Stage.CANARY:
        return "service"
    return str(at.stage.owner)


def entries(route: Route) -> list[tuple[str, Access]]:
    """(methods in words, access) for each kind of request that a route takes."""
    if route.access != "auto":
        return [(",".join(route.methods) or "any method", Access(route.access))]
    if not route.methods:
        return [(SAFE, Access.READ), (OTHERS, Access.WRITE)]
    safe = [method for method in route.methods if method in SAFE_METHODS]
    others = [method for method in route.methods if method not in SAFE_METHODS]
    listed = [(",".join(safe), Access.READ), (",".join(others), Access.WRITE)]
    return [(methods, access) for methods, access in listed if methods]


def routes(context: Context, at: Position, to: Position) -> list[Change]:
    """The entries of the route table that are served by another side, or another share of it, afterwards."""
    found = []
    for route in context.routes:
        place = route.path or route.pattern or f"{route.prefix}/…"
        for methods, access in entries(route):
            found.append(Change(f"{methods} {place}", served(at, access), served(to, access)))
    return differing(found)


def parked(context: Context, most_ms: float) -> list[Change]:
    """What a hand-over holds back for its moment: the context's own writes, and those of others that write it too."""
    bound = f"parked for at most {most_ms:g} ms"
    own = [f"{methods} {route.path or route.pattern or f'{route.prefix}/…'}" for route, methods in _writes(context.routes)]
    return [Change(what, "goes on", bound) for what in [*own, *(f"{OTHERS} {prefix}/…" for prefix in context.also_written_by)]]


def _writes(listed: Sequence[Route]) -> Iterable[tuple[Route, str]]:
    return ((route, methods) for route in listed for methods, access in entries(route) if access is Access.WRITE)


def differing(listed: Iterable[Change]) -> list[Change]:
    return [change for change in listed if change.now != change.then]
