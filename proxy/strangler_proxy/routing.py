"""From a request to a decision: the table's, unless an owner's own newer word stands against it."""

from __future__ import annotations

from strangler.domain.decision import Decision, Met, Why
from strangler.domain.freshness import Markers, Positions
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy import visitor
from strangler_proxy.request import Request


class Router:
    """Overrides are learnt from 421 answers and from asking the owner; a table that is as new replaces them."""

    def __init__(self) -> None:
        self.overrides: dict[str, tuple[int, Side]] = {}

    def learn(self, context: str, epoch: int, owner: Side) -> None:
        """An application said who owns a context. Older word than what is known is ignored."""
        if epoch >= self.overrides.get(context, (-1, owner))[0]:
            self.overrides[context] = (epoch, owner)

    def applied(self, table: RouteTable) -> None:
        for name, (epoch, _) in list(self.overrides.items()):
            context = table.contexts.get(name)
            if context is None or context.epoch >= epoch:
                del self.overrides[name]

    def meet(self, table: RouteTable, request: Request) -> Met:
        if not table.headers:
            return table.meet(request.method, request.path)
        seen = {name: value for name in table.headers if (value := request.header(name)) is not None}
        return table.meet(request.method, request.path, seen)

    def decide(
        self, table: RouteTable, met: Met, request: Request, address: str, positions: Positions, markers: Markers
    ) -> tuple[Decision, str]:
        """The decision, and the value of the visitor's own cookie if it is to be set."""
        context = met.context
        if context is not None and context.name in self.overrides:
            epoch, owner = self.overrides[context.name]
            if epoch > context.epoch or (epoch == context.epoch and owner is not context.stage.owner):
                return table.to(owner, met, Why.OVERRIDE, positions=positions, markers=markers, epoch=epoch), ""
        if not met.asks_who:
            return table.choose(met, "", positions, markers), ""
        assert context is not None
        user, made = visitor.key(request, context.sticky, address)
        return table.choose(met, user, positions, markers), made
