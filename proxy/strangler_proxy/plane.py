"""What the connections of one worker share: the one place where its parts are put together."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy import ownership
from strangler_proxy.access_log import AccessLog, event
from strangler_proxy.admission import Admission
from strangler_proxy.bucket_memory import BucketMemory
from strangler_proxy.certificates import outgoing
from strangler_proxy.checks import Checks
from strangler_proxy.hold import Holds
from strangler_proxy.hops import Hops
from strangler_proxy.identity import Identities
from strangler_proxy.known import Known
from strangler_proxy.limiting import Limiter
from strangler_proxy.markers import Markers
from strangler_proxy.metrics import Metrics
from strangler_proxy.pool import Pool
from strangler_proxy.positions import CredentialPositions
from strangler_proxy.reports import Reports
from strangler_proxy.request import Request
from strangler_proxy.routing import Router, Way
from strangler_proxy.server import ClientConnection
from strangler_proxy.settings import Settings
from strangler_proxy.shadow import Shadow
from strangler_proxy.signed_overrides import SignedOverrides
from strangler_proxy.table import Tables
from strangler_proxy.tunnel import Tunnel
from strangler_proxy.upstream import UpstreamConnection

_SWEEP = 0.25
_FAREWELL = 0.25


class Plane:
    """The data plane of one worker. ``touched`` is set when what the worker acknowledges may have changed.


    ``buckets``: those of all workers, if there are several. ``note`` is told of each context's count of writes under way.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        number: int = 0,
        buckets: BucketMemory | None = None,
        note: Callable[[str, int], None] | None = None,
    ) -> None:
        self.settings, self.limits, self.loop, self.number = settings, settings.limits, loop, number
        self.secret = settings.token.encode()
        self.touched = asyncio.Event()
        self.quieter = asyncio.Event()
        self.draining = self._hurried = False
        self.metrics = Metrics()
        self.log = AccessLog(settings.access_log, self.metrics.logs_dropped.add)
        self.clients: set[ClientConnection] = set()
        self.half_closed: set[ClientConnection] = set()
        self.pool = Pool(self.limits, loop, functools.cache(lambda: outgoing(settings)), self._target_ejected)
        self.checks = Checks(self.pool, self.limits, loop, self.metrics.checks)
        self.hops = Hops(settings.trusted, "https" if settings.certificates else "http")
        self.markers = Markers()
        self.credentials = CredentialPositions(self.metrics)
        self.limiter = Limiter(buckets or BucketMemory(), self.metrics)
        self.wall = time.time
        self.signed_overrides = SignedOverrides(settings.token, self.wall, self.metrics)
        self.router = Router(self.metrics)
        self.nowhere = self.metrics.served("-", "-", "-", "-")
        self.tables = Tables(disk=settings.table if number == 0 else None, applied=self._applied, metrics=self.metrics)
        self.holds = Holds(
            limit=self.limits.parked,
            changed=self._writes_changed,
            ask=self._ask_owner,
            settle=self._settle,
            metrics=self.metrics,
            note=note,
        )
        self.identities = Identities(self)
        self._inherited: tuple[str, ...] = ()
        self.shadow = Shadow(self)
        self.reports = Reports(self.metrics, wanted=bool(settings.redis))
        self.tunnels: set[Tunnel] = set()
        self.admission = Admission(self)
        self._request_prefix = f"{os.getpid():x}-{os.urandom(6).hex()}-".encode()
        self._requests = 0
        self.known = Known()
        self._traces = b""
        self._traces_used = 0
        self._gauges()

    def _gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge("clients", "Open client connections.", (), lambda: {(): float(len(self.clients))})
        gauge("upstream_connections", "Open connections by target.", ("target",), self.pool.connections)
        gauge("target_ejected", "Whether a target is left out for a while.", ("target",), self.pool.ejected)
        gauge("writes_in_flight", "Writes under way.", ("context",), self._writes_in_flight)
        gauge("tunnels", "Connections that speak another protocol after an upgrade.", (), lambda: {(): float(len(self.tunnels))})
        gauge("requests_in_flight", "Requests under way, the held ones too.", ("context", "side"), self._in_flight)
        gauge(
            "held", "Writes that wait for a hold to end, by each context that they may write.", ("context",), self.holds.waiting
        )
        gauge("upstream_waiting", "Requests that wait for a connection.", ("target",), self.pool.waiting)
        gauge("table_version", "The table in force.", ("generation",), self._table_version)
        gauge("table_age_seconds", "Since it was applied.", (), self._table_age)

    def _in_flight(self) -> dict[tuple[str, ...], float]:
        found: Counter[tuple[str, ...]] = Counter()
        for client in self.clients:
            if client.current is not None:
                way = client.current.way
                found[way.label if way is not None else ("-", "-")] += 1
        return {labels: float(count) for labels, count in found.items()}

    def _writes_in_flight(self) -> dict[tuple[str, ...], float]:
        return {(name,): float(count) for name, count in self.holds.writes.counts.items()}

    def _table_version(self) -> dict[tuple[str, ...], float]:
        table = self.tables.current
        return {(str(table.generation),): float(table.version)} if table else {}

    def _table_age(self) -> dict[tuple[str, ...], float]:
        return {(): self.loop.time() - self.tables.applied_at} if self.tables.current else {}

    def _target_ejected(self, url: str, why: str) -> None:
        self.metrics.ejections.add(url, why)
        event("target.ejected", target=url, why=why)

    # -- tables and owners -----------------------------------------------------------------------------------------------

    def _applied(self, table: RouteTable) -> None:
        self.router.applied(table)
        self.limiter.applied(table)
        urls = [url for context in table.contexts.values() for url in (*context.monolith, *context.service)]
        self.pool.keep_only((*table.default, *urls))
        self.checks.follow(table)
        self.touched.set()
        self.holds.apply(table)

    async def _ask_owner(self, context: str) -> tuple[int, Side] | None:
        table = self.tables.current
        owner = await ownership.ask(self.pool, table, context, self.settings.token) if table else None
        event("hold.lapsed", context=context, owner=owner[1] if owner else "unknown")
        return owner

    def _settle(self, context: str, owner: tuple[int, Side]) -> None:
        self.router.learn(context, *owner)

    # -- for exchanges ---------------------------------------------------------------------------------------------------

    def new_request_id(self) -> bytes:
        self._requests += 1
        return b"%b%x" % (self._request_prefix, self._requests)

    def new_trace(self) -> bytes:
        at = self._traces_used
        if at == len(self._traces):
            self._traces, at = os.urandom(24 * 256).hex().encode(), 0
        self._traces_used = at + 48
        return b"00-%b-%b-01" % (self._traces[at : at + 32], self._traces[at + 32 : at + 48])

    def tell(self, request: Request, way: Way | None, status: int, seconds: float) -> None:
        """Hands an answer to the access log."""
        decision = way.decision if way is not None else None
        context = decision.context if decision else None
        self.log.add(
            at=round(time.time(), 3),
            method=request.method,
            path=request.path,
            status=status,
            ms=round(1000 * seconds, 2),
            context=context.name if context else "-",
            side=decision.side.value if decision else "-",
            why=decision.why.name.lower() if decision else "",
            request_id=request.request_id.decode("latin-1"),
            worker=self.number,
        )

    def unexpected(self, error: BaseException) -> None:
        """A bug of ours: told to the log, never to the user."""
        self.loop.call_exception_handler({"message": "proxy.unexpected", "exception": error})

    def join(
        self,
        client: ClientConnection,
        transport: asyncio.Transport,
        connection: UpstreamConnection,
        application: asyncio.Transport,
        early: bytes,
    ) -> None:
        """Joins a client and an application after an upgrade. ``early``: what the client said before it was answered."""

        def ended(tunnel: Tunnel) -> None:
            self.tunnels.discard(tunnel)
            connection.target.forget(connection)
            self.quieter.set()

        self.clients.discard(client)
        tunnel = Tunnel(transport, application, ended)
        self.tunnels.add(tunnel)
        if early:
            tunnel.send_to_application(early)

    # -- time ------------------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Looks for what is late, four times a second: cheaper than a timer for each request."""
        self.loop.call_later(_SWEEP, self.sweep)
        now = self.loop.time()
        for client in [client for client in self.clients if client.deadline and now > client.deadline]:
            client.expire()
        if self.limits.total:
            for exchange in [client.current for client in self.clients]:
                if exchange is not None:
                    exchange.limit_time(self.limits.total)
        for client in list(self.half_closed):
            client.look_after()
        self.pool.sweep(now)

    def client_gone(self, client: ClientConnection) -> None:
        self.clients.discard(client)
        self.half_closed.discard(client)
        if self.draining:
            self.quieter.set()

    def _writes_changed(self) -> None:
        self.touched.set()
        if self.draining:
            self.quieter.set()

    def inherit(self, contexts: tuple[str, ...]) -> None:
        """A worker died while it wrote these: the application may still be at it, until it would have had to answer."""
        self._inherited = contexts
        self.holds.writes.begin(contexts)
        self.loop.call_later(self.limits.first_byte, self._disinherit)

    def _disinherit(self) -> None:
        contexts, self._inherited = self._inherited, ()
        self.holds.writes.end(contexts)

    async def drain(self) -> None:
        """No more requests: idle connections close now, busy ones after their answer; what takes too long is cut off."""
        self.draining = self.holds.draining = True
        self._disinherit()
        for client in [client for client in self.clients if client.idle]:
            client.close()
        await self._quiet(self.limits.drain)
        if self.holds.give_up():
            self._hurried = False
            await self._quiet(_FAREWELL)
        for client in list(self.clients):
            client.abort()
        for tunnel in list(self.tunnels):
            tunnel.abort()

    def hurry(self) -> None:
        """Told a second time: nothing is waited for any more."""
        self._hurried = True
        self.quieter.set()

    async def _quiet(self, seconds: float) -> None:
        """Waits, not for long, until nobody is served any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._hurried and (self.clients or self.tunnels or any(self.holds.writes.counts.values())):
                    await self.quieter.wait()
                    self.quieter.clear()
