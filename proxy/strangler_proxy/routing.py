"""From a request to a way: the table's decision, unless an owner's own newer word stands against it.

What only depends on method, path and user is worked out once for a table and remembered; most requests cost two look-ups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.domain.decision import Decision, Met, Why
from strangler.domain.freshness import NOWHERE, Markers, Positions
from strangler.domain.override import Override
from strangler.domain.paths import is_reserved
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy import visitor
from strangler_proxy.metrics import Metrics, Served
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.target import Target

_MOST_PLACES, _MOST_USERS = 4096, 1024


class Way:
    """A decision with all that goes with it for each request: whom it counts for, the stamp's header lines (P20), whether reads
    are copied, whether it is guarded (by CSRF or identity), and the one target that there is, if it is only one.
    """

    __slots__ = ("decision", "guarded", "served", "shadowed", "stamp", "target")

    def __init__(self, decision: Decision, served: Served) -> None:
        self.decision, self.served = decision, served
        self.target: Target | None = None
        context = decision.context
        self.shadowed = context is not None and context.shadow_share > 0.0 and decision.side is Side.MONOLITH
        self.guarded = decision.identified or decision.checked
        stamp = decision.stamp
        text = "X-Strangler-Context: {}\r\nX-Strangler-Epoch: {}\r\nX-Strangler-Access: {}\r\n".format(*stamp) if stamp else ""
        self.stamp = text.encode()

    @property
    def label(self) -> tuple[str, str]:
        """Context and side, for metrics."""
        context = self.decision.context
        return (context.name if context is not None else "-", self.decision.side.value)


class Place:
    """What a method and a path meet in a table, and the ways of those users that were seen there."""

    __slots__ = ("asks_who", "limit", "met", "reserved", "sticky", "ways")

    def __init__(self, met: Met, reserved: bool) -> None:
        self.met, self.reserved, self.limit = met, reserved, met.limit
        self.asks_who = met.asks_who
        self.sticky = met.context.sticky if met.context is not None else ""
        self.ways: dict[str, Way] = {}


class Router:
    """Overrides are learnt from 421 answers and from asking the owner; a table that is as new replaces them."""

    def __init__(self, metrics: Metrics) -> None:
        self.overrides: dict[str, tuple[int, Side]] = {}
        self._metrics = metrics
        self._places: dict[tuple[str, str], Place] = {}
        self._session = b""

    def learn(self, context: str, epoch: int, owner: Side) -> None:
        """An application said who owns a context. Older word than what is known is ignored."""
        if epoch >= self.overrides.get(context, (-1, owner))[0]:
            self.overrides[context] = (epoch, owner)

    def applied(self, table: RouteTable) -> None:
        self._places.clear()
        self._session = table.site.session_cookie.encode()
        for name, (epoch, _) in list(self.overrides.items()):
            context = table.contexts.get(name)
            if context is None or context.epoch >= epoch:
                del self.overrides[name]

    def place(self, table: RouteTable, request: Request) -> Place:
        """``table`` is the one that was last told to ``applied``."""
        found = self._places.get((request.method, request.path))
        return found if found is not None else self._look_up(table, request)

    def _look_up(self, table: RouteTable, request: Request) -> Place:
        reserved = is_reserved(request.path)
        if table.headers:
            seen = {name: value for name in table.headers if (value := request.fields.get(name)) is not None}
            return Place(table.meet(request.method, request.path, seen), reserved)
        found = Place(table.meet(request.method, request.path), reserved)
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        if len(request.path) < 256:
            self._places[request.method, request.path] = found
        return found

    def usual(self, table: RouteTable, place: Place, request: Request, address: str) -> tuple[Way, str]:
        """The way of a user who wrote nowhere lately, and the value of the visitor's own cookie if it is to be set."""
        user = made = ""
        if place.asks_who:
            user = request.fields.user if place.sticky == "user" else ""
            if not user:
                user, made = visitor.key(request, place.sticky, address, self._session)
        way = place.ways.get(user)
        if way is None:
            way = self.way(self._decide(table, place.met, user, NOWHERE, {}))
            if len(place.ways) >= _MOST_USERS:
                place.ways.clear()
            place.ways[user] = way
        return way, made

    def decide(
        self,
        table: RouteTable,
        met: Met,
        request: Request,
        address: str,
        positions: Positions,
        markers: Markers,
        asked: Override | None = None,
    ) -> tuple[Way, str]:
        """The way of a user who wrote somewhere or asks for a side, or while an owner's word stands."""
        user = made = ""
        if met.context is not None and met.asks_who:
            user, made = visitor.key(request, met.context.sticky, address, self._session)
        side = asked.side_for(met) if asked is not None else None
        return self.way(self._decide(table, met, user, positions, markers, side)), made

    def _decide(
        self, table: RouteTable, met: Met, user: str, positions: Positions, markers: Markers, asked: Side | None = None
    ) -> Decision:
        context = met.context
        if context is not None and context.name in self.overrides:
            epoch, owner = self.overrides[context.name]
            if epoch > context.epoch or (epoch == context.epoch and owner is not context.stage.owner):
                return table.to(owner, met, Why.OVERRIDE, positions=positions, markers=markers, epoch=epoch)
        return table.choose(met, user, positions, markers, asked)

    def way(self, decision: Decision) -> Way:
        context = decision.context
        name, stage = (context.name, context.stage.value) if context else ("-", "-")
        return Way(decision, self._metrics.served(name, decision.side.value, stage, decision.access.value))
