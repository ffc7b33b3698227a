"""The route table: one immutable snapshot, compiled; which target a request goes to, by which rule, and why.

``compile`` refuses an invalid snapshot whole. ``RouteTable.decide`` is pure: the proxy asks it for each request, ``strangler
explain`` asks it for one, and both get the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from strangler.domain import snapshot
from strangler.domain.buckets import bucket, included
from strangler.domain.decision import Access, ContextState, Decision, Hold, Met, Streams, Why
from strangler.domain.freshness import NOWHERE, Awaited, Markers, Positions, unmet
from strangler.domain.override import heeded
from strangler.domain.paths import normal
from strangler.domain.ratelimit import BY, MOST, Limit
from strangler.domain.routes import NO_HEADERS, Matcher, Rule
from strangler.domain.site import Site
from strangler.domain.snapshot import TableError
from strangler.domain.stages import Side, Stage

__all__ = [
    "MOST_CONTEXTS",
    "Access",
    "ContextState",
    "Decision",
    "Hold",
    "Met",
    "RouteTable",
    "Streams",
    "TableError",
    "Why",
    "compile",
]

MOST_CONTEXTS = 1000

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
STICKY = ("user", "cookie", "address")
NO_MARKERS: Markers = {}
Filed = tuple[ContextState, Access, Limit | None, bool]
"""What stands under a rule: context, declared access, limit, whether the edge looks for forgeries."""


@dataclass(frozen=True)
class RouteTable:
    """A compiled snapshot. ``order`` ranks tables: a lower or equal one is ignored (P21)."""

    generation: int
    version: int
    default: tuple[str, ...]
    contexts: Mapping[str, ContextState]
    snapshot: Mapping[str, Any] = field(repr=False)
    _routes: Matcher[Filed] = field(repr=False)
    _also: Matcher[str] = field(repr=False)
    headers: frozenset[str] = frozenset()
    """The header names that some rule looks at."""
    shares_limits: bool = False
    """Whether some limit is counted by all proxies together."""
    site: Site = field(default_factory=Site)
    health: str = ""
    """The health page of the default targets."""

    @property
    def order(self) -> tuple[int, int]:
        return (self.generation, self.version)

    def supersedes(self, other: RouteTable | None) -> bool:
        return other is None or self.order > other.order

    def meet(self, method: str, path: str, headers: Mapping[str, str] = NO_HEADERS) -> Met:
        """The rule for a request. ``path`` is raw, without its query; ``headers`` need only hold those of ``self.headers``."""
        path = normal(path)
        found = self._routes.match(method, path, headers)
        safe = method in SAFE_METHODS
        if found is None:
            rule, context, limit, guarded, access = None, None, None, False, Access.READ if safe else Access.WRITE
        else:
            rule, (context, declared, limit, guarded) = found
            access = declared if declared is not Access.AUTO else Access.READ if safe else Access.WRITE
        writes: tuple[str, ...] = (context.name,) if context is not None and access is Access.WRITE else ()
        if not safe:
            writes += tuple({name: None for _, name in self._also.match_all(method, path, headers) if name not in writes})
        return Met(rule, context, access, writes, limit, guarded and not safe)

    def choose(
        self,
        met: Met,
        user_key: str,
        positions: Positions = NOWHERE,
        markers: Markers = NO_MARKERS,
        asked: Side | None = None,
    ) -> Decision:
        """The side for a request that met a rule. ``user_key`` matters only where ``met.asks_who``.

        ``asked``: the side that a signed override names.
        """
        context = met.context
        if context is None:
            return Decision(Side.MONOLITH, self.default, met, Why.NO_ROUTE, -1, self.behind(met, positions, markers))
        if asked is not None and heeded(met):
            stale = asked is Side.SERVICE and bool(unmet(until_fresh(context, positions), markers))
            why = Why.TESTER_NOT_FRESH if stale else Why.TESTER
            return self.to(Side.MONOLITH if stale else asked, met, why, positions=positions, markers=markers)
        if not met.asks_who:
            side = context.stage.owner
            why = Why.STAGE_READ if met.access is Access.READ else Why.STAGE_WRITE
            return self.to(side, met, why, positions=positions, markers=markers)
        number = bucket(context.salt, user_key)
        if not included(number, context.percent):
            return self.to(Side.MONOLITH, met, Why.OUT_OF_SHARE, number, positions, markers)
        if positions and unmet(until_fresh(context, positions), markers):
            return self.to(Side.MONOLITH, met, Why.NOT_FRESH, number, positions, markers)
        return Decision(Side.SERVICE, context.service, met, Why.IN_SHARE, number, (), context.epoch)

    def to(
        self,
        side: Side,
        met: Met,
        why: Why,
        number: int = -1,
        positions: Positions = NOWHERE,
        markers: Markers = NO_MARKERS,
        epoch: int | None = None,
    ) -> Decision:
        """A decision for a side that is already known, with what it should wait for."""
        context = met.context
        if context is None:
            return Decision(Side.MONOLITH, self.default, met, why, number, self.behind(met, positions, markers))
        awaited: Awaited = ()
        if positions:
            awaited = self.behind(met, positions, markers) if side is Side.MONOLITH else _for_live(context, positions, markers)
        return Decision(side, context.urls(side), met, why, number, awaited, context.epoch if epoch is None else epoch)

    def behind(self, met: Met, positions: Positions, markers: Markers) -> Awaited:
        """Reverse streams that the monolith should have applied before this user looks there (P24).

        A position of an older epoch than a context that came back needs no wait: the hand-over drained it.
        """
        if not positions:
            return ()
        awaited = []
        for database, (epoch, place) in positions.items():
            context = self.contexts.get(database)
            if context is None or context.streams.reverse is None:
                continue
            if context.stage.owner is Side.MONOLITH and epoch < context.epoch:
                continue
            awaited.append((context.streams.reverse, place))
        return unmet(tuple(awaited), markers)

    def decide(
        self,
        method: str,
        path: str,
        user_key: str = "",
        position: Positions = NOWHERE,
        markers: Markers = NO_MARKERS,
        headers: Mapping[str, str] = NO_HEADERS,
        asked: Side | None = None,
    ) -> Decision:
        """Where a request goes, in one call. ``Decision.context.hold`` says whether its writes are held just now."""
        return self.choose(self.meet(method, path.partition("?")[0], headers), user_key, position, markers, asked)

    def held(self, met: Met) -> Hold | None:
        """The hold that parks a request, if any of the contexts it may write is held."""
        for name in met.writes:
            hold = self.contexts[name].hold
            if hold is not None:
                return hold
        return None


def until_fresh(context: ContextState, positions: Positions) -> Awaited:
    """The streams to the service that must have passed the user's last write on the monolith."""
    place = positions.get(Side.MONOLITH.value)
    if place is None:
        return ()
    return tuple((stream, place[1]) for stream in (context.streams.mirror, context.streams.copies) if stream is not None)


def _for_live(context: ContextState, positions: Positions, markers: Markers) -> Awaited:
    place = positions.get(Side.MONOLITH.value)
    if place is None or context.streams.copies is None:
        return ()
    return unmet(((context.streams.copies, place[1]),), markers)


def compile(raw: Any) -> RouteTable:
    """A table out of a decoded JSON snapshot. Raises ``TableError``, which names the place."""
    top = snapshot.table(raw, "the snapshot")
    contexts = {
        snapshot.name(name, f"contexts.{name}"): _context(name, body)
        for name, body in snapshot.table(top.get("contexts", {}), "contexts").items()
    }
    if len(contexts) > MOST_CONTEXTS:
        raise TableError("contexts", f"holds {len(contexts)}; a table has at most {MOST_CONTEXTS}")
    monolith = snapshot.table(top.get("default"), "default")
    default = snapshot.origins(monolith.get("targets"), "default.targets")
    if not default:
        raise TableError("default.targets", "names no target; whatever no route matches goes there")
    routes = [_route(entry, f"routes[{index}]", contexts) for index, entry in _entries(top, "routes")]
    also = [_also(entry, f"also[{index}]", contexts) for index, entry in _entries(top, "also")]
    return RouteTable(
        generation=snapshot.whole(top.get("generation"), "generation"),
        version=snapshot.whole(top.get("version"), "version"),
        default=default,
        contexts=contexts,
        snapshot=top,
        _routes=Matcher(routes),
        _also=Matcher(also),
        headers=frozenset(name for rule, _ in [*routes, *also] for name, _ in rule.headers),
        shares_limits=any(limit is not None and limit.shared for _, (_, _, limit, _) in routes),
        site=snapshot.site(top.get("site", {}), "site"),
        health=snapshot.page(monolith.get("health"), "default.health"),
    )


def _entries(top: Mapping[str, Any], key: str) -> enumerate[Any]:
    return enumerate(snapshot.array(top.get(key, []), key))


def _context(name: str, raw: Any) -> ContextState:
    place = f"contexts.{name}"
    body = snapshot.table(raw, place)
    stage = snapshot.stage(body.get("stage"), f"{place}.stage")
    percent = snapshot.whole(body.get("percent") or 0, f"{place}.percent")
    if percent > 100 or (stage is Stage.CANARY and not percent):
        raise TableError(f"{place}.percent", f"is {percent}; a canary share is 1…100")
    targets = snapshot.table(body.get("targets"), f"{place}.targets")
    service = snapshot.origins(targets.get("service") or [], f"{place}.targets.service")
    if not service and stage.rank >= Stage.SHADOW.rank:
        raise TableError(f"{place}.targets.service", f"names no target, but in stage {stage.value} the service is asked")
    monolith = snapshot.origins(targets.get("monolith"), f"{place}.targets.monolith")
    if not monolith:
        raise TableError(f"{place}.targets.monolith", "names no target")
    shadow = snapshot.table(body.get("shadow") or {}, f"{place}.shadow")
    owner = body.get("owner") or stage.owner.value
    return ContextState(
        name=name,
        stage=stage,
        percent=percent,
        salt=snapshot.text(body.get("salt") or "", f"{place}.salt"),
        sticky=snapshot.one_of(body.get("sticky") or "user", f"{place}.sticky", STICKY),
        epoch=snapshot.whole(body.get("epoch", 0), f"{place}.epoch"),
        owner=Side(snapshot.one_of(owner, f"{place}.owner", tuple(side.value for side in Side))),
        monolith=monolith,
        service=service,
        identity=snapshot.flag(body.get("identity", False), f"{place}.identity"),
        streams=_streams(body.get("streams") or {}, f"{place}.streams"),
        shadow_share=snapshot.number(shadow.get("share", 0.0), f"{place}.shadow.share", 0, 1),
        shadow_noise=snapshot.number(shadow.get("noise", 0.0), f"{place}.shadow.noise", 0, 1),
        hold=_hold(body.get("hold"), f"{place}.hold"),
        health=snapshot.page(body.get("health"), f"{place}.health"),
    )


def _streams(raw: Any, place: str) -> Streams:
    body = snapshot.table(raw, place)
    named = {key: body.get(key) for key in ("mirror", "copies", "reverse")}
    return Streams(**{key: None if value is None else snapshot.name(value, f"{place}.{key}") for key, value in named.items()})


def _hold(raw: Any, place: str) -> Hold | None:
    if raw is None:
        return None
    body = snapshot.table(raw, place)
    operation = snapshot.text(body.get("operation"), f"{place}.operation")
    return Hold(operation, snapshot.whole(body.get("for_ms"), f"{place}.for_ms", 1))


def _of_context(entry: Mapping[str, Any], place: str, contexts: Mapping[str, ContextState]) -> ContextState:
    name = entry.get("context")
    if not isinstance(name, str) or name not in contexts:
        raise TableError(f"{place}.context", f"is {name!r}, which contexts does not hold")
    return contexts[name]


def _route(raw: Any, place: str, contexts: Mapping[str, ContextState]) -> tuple[Rule, Filed]:
    entry = snapshot.table(raw, place)
    rule = snapshot.rule(entry.get("match"), f"{place}.match")
    access = Access(snapshot.one_of(entry.get("access") or "auto", f"{place}.access", tuple(item.value for item in Access)))
    csrf = snapshot.flag(entry.get("csrf", False), f"{place}.csrf")
    return rule, (_of_context(entry, place, contexts), access, _limit(entry.get("limit"), f"{place}.limit"), csrf)


def _limit(raw: Any, place: str) -> Limit | None:
    if raw is None:
        return None
    body = snapshot.table(raw, place)
    rate = snapshot.whole(body.get("rate"), f"{place}.rate", 1, MOST)
    return Limit(
        rate=rate,
        per_s=snapshot.whole(body.get("per_s"), f"{place}.per_s", 1, 86400),
        burst=snapshot.whole(body.get("burst", rate), f"{place}.burst", 1, MOST),
        by=snapshot.one_of(body.get("by") or "user", f"{place}.by", BY),
        shared=snapshot.flag(body.get("shared", False), f"{place}.shared"),
    )


def _also(raw: Any, place: str, contexts: Mapping[str, ContextState]) -> tuple[Rule, str]:
    entry = snapshot.table(raw, place)
    return snapshot.rule(entry.get("match"), f"{place}.match"), _of_context(entry, place, contexts).name
