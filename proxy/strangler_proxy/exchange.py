"""One request and its answer: routed, perhaps parked, sent, streamed both ways, ended.

The straight way, from ``begin`` to ``upstream_end``, runs in parser callbacks without a task. Whatever has to wait (a connection,
a marker, a table, Redis) does so in one task, ``_waiting``, and then takes the straight way again. While a request waits, its
body is kept up to a limit; beyond it the client is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Access, Decision, Met
from strangler.domain.freshness import NOWHERE, Positions, from_header, merge
from strangler.domain.paths import is_reserved
from strangler.domain.stages import Side, Stage
from strangler.domain.table import RouteTable
from strangler_proxy import forwarding, nested, positions, problems
from strangler_proxy.misdirected import Misdirected
from strangler_proxy.problems import Problem
from strangler_proxy.request import IDEMPOTENT_READS, Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.pool import Target
    from strangler_proxy.server import ClientConnection
    from strangler_proxy.shadow import Copy
    from strangler_proxy.upstream import UpstreamConnection


class Exchange:
    __slots__ = (
        "_answered",
        "_body",
        "_body_size",
        "_client",
        "_connection",
        "_cookie",
        "_counted",
        "_decision",
        "_framed",
        "_gate",
        "_known",
        "_left",
        "_met",
        "_misdirected",
        "_out",
        "_parked",
        "_passes",
        "_plane",
        "_resendable",
        "_retried",
        "_shadow",
        "_started",
        "_table",
        "_waiting",
        "begun",
        "body_done",
        "closes",
        "early",
        "request",
        "status",
    )

    def __init__(self, client: ClientConnection, plane: Plane, request: Request) -> None:
        self._client, self._plane, self.request = client, plane, request
        self._body: list[bytes] = []
        self._body_size = 0
        self.body_done = self.begun = False
        self.closes = not request.keep_alive
        self.early: Problem | None = None
        self.status = 0
        self._started = 0.0
        self._connection: UpstreamConnection | None = None
        self._counted: tuple[str, ...] = ()
        self._decision: Decision | None = None
        self._met: Met | None = None
        self._table: RouteTable | None = None
        self._known: Positions | None = None
        self._passes: frozenset[str] = frozenset()
        self._misdirected: Misdirected | None = None
        self._shadow: Copy | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._gate: asyncio.Task[None] | None = None
        self._out: list[bytes] = []
        self._cookie = ""
        self._resendable = True
        self._answered = self._framed = self._left = self._parked = self._retried = False

    # -- routing ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Called when it is this request's turn on its connection; parts of its body may have come already."""
        self.begun = True
        self._started = perf_counter()
        request = self.request
        if self.early is not None:
            self.answer(self.early, close=True)
        elif request.refused:
            self._plane.metrics.refused.add("bad-request")
            self.answer(problems.refusal(request.refused), close=True)
        elif is_reserved(request.path):
            self.answer(problems.NOT_FOUND)
        else:
            if not request.request_id:
                request.request_id = self._plane.new_request_id()
            if request.nested:
                self._passes = nested.contexts(self._plane.secret, request.nested, self._plane.wall())
            self._dispatch()

    def _dispatch(self, *, patient: bool = True) -> None:
        """Routes by the table of this moment. ``patient``: may still wait for markers (it does so once)."""
        plane = self._plane
        table = self._table = plane.tables.current
        if table is None:
            self.answer(problems.NO_TABLE)
            return
        met = self._met = plane.router.meet(table, self.request)
        if met.writes and plane.holds.holds(met.writes, self._passes):
            self._park()
            return
        known = self._known
        if known is None:
            known = positions.in_cookie(self.request)
            if self.request.authorization and plane.credentials.matter(table, met):
                self._wait(self._look_up(known))
                return
            self._known = known
        decision, self._cookie = plane.router.decide(table, met, self.request, self._client.address, known, plane.markers.known)
        if decision.awaited and patient:
            self._wait(self._await_markers(decision))
            return
        self._send(decision)

    async def _look_up(self, known: Positions) -> None:
        stored = await self._plane.credentials.of(positions.credential(self.request))
        self._known = merge(known, stored)
        self._dispatch()

    async def _await_markers(self, decision: Decision) -> None:
        passed = await self._plane.markers.passed(decision.awaited, self._plane.limits.freshness)
        self._plane.metrics.waits.add("passed" if passed else "timed-out")
        self._dispatch(patient=False)

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._waiting = self._plane.loop.create_task(coroutine)
        self._waiting.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        if self._waiting is task:
            self._waiting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._plane.unexpected(error)
            self._uncount()
            self.answer(problems.BROKEN, close=True)

    # -- holds -----------------------------------------------------------------------------------------------------------

    @property
    def writes(self) -> tuple[str, ...]:
        return self._met.writes if self._met else ()

    def _park(self) -> None:
        self._parked = self._plane.holds.park(self)
        if not self._parked:
            self.answer(problems.HOLD_FULL)

    def released(self) -> None:
        self._parked = False
        self._dispatch()

    def hold_failed(self) -> None:
        self._parked = False
        self.answer(problems.HELD)

    def _uncount(self) -> None:
        """The write is no longer under way."""
        counted, self._counted = self._counted, ()
        if counted:
            self._plane.holds.writes.end(counted)

    # -- sending ---------------------------------------------------------------------------------------------------------

    def _send(self, decision: Decision) -> None:
        self._decision = decision
        if decision.met.writes:
            self._counted = decision.met.writes
            self._plane.holds.writes.begin(self._counted)
        targets = self._plane.pool.order(decision.urls)
        connection = None if self._retried else targets[0].take()
        if connection is not None:
            self._transmit(connection)
        else:
            self._wait(self._connect(targets))

    async def _connect(self, targets: list[Target]) -> None:
        """Nothing was sent yet, so trying again is safe: elsewhere for a canary read, and for a while for all others."""
        plane, decision = self._plane, self._decision
        assert decision is not None
        patience = plane.loop.time() + plane.limits.connect_patience
        pause = 0.02
        while True:
            for target in targets:
                try:
                    connection = await target.acquire(fresh=self._retried)
                except OSError:
                    continue
                self._transmit(connection)
                return
            if self._falls_back("unreachable"):
                return
            if plane.loop.time() >= patience:
                break
            if await plane.tables.changed(self._table, pause):
                self._uncount()
                self._dispatch(patient=False)
                return
            pause = min(2 * pause, 0.25)
        self._uncount()
        self.answer(problems.UNREACHABLE)

    def _falls_back(self, cause: str) -> bool:
        """A canary read whose service is away goes to the monolith, which has the same data."""
        decision, table = self._decision, self._table
        assert decision is not None
        assert table is not None
        context = decision.context
        if context is None or context.stage is not Stage.CANARY or decision.access is not Access.READ:
            return False
        if decision.side is not Side.SERVICE:
            return False
        self._plane.metrics.fallbacks.add(context.name, cause)
        self._send(forwarding.fallback(table, decision))
        return True

    def _transmit(self, connection: UpstreamConnection) -> None:
        plane, decision, request = self._plane, self._decision, self.request
        assert decision is not None
        self._connection = connection
        head = forwarding.request_head(request, decision, plane)
        parts = [head, *(map(forwarding.frame, self._body) if request.chunked else self._body)]
        if self.body_done and request.chunked:
            parts.append(forwarding.LAST_CHUNK)
        if not self._resendable:
            self._body.clear()
        deadline = plane.loop.time() + plane.limits.first_byte
        connection.begin(self, b"".join(parts), head_only=request.method == "HEAD", deadline=deadline)
        if self.body_done:
            connection.sent()
        elif request.has_body:
            self._client.want_more(self)

    def body(self, data: bytes) -> None:
        """A piece of the request's body has come."""
        self._body_size += len(data)
        connection = self._connection
        if self._resendable:
            if connection is not None and self._body_size > self._plane.limits.kept_body:
                self._resendable = False
                self._body.clear()
            else:
                self._body.append(data)
        if connection is not None:
            connection.deadline = self._plane.loop.time() + self._plane.limits.first_byte
            connection.write(forwarding.frame(data) if self.request.chunked else data)

    def body_complete(self) -> None:
        self.body_done = True
        connection = self._connection
        if connection is not None:
            if self.request.chunked:
                connection.write(forwarding.LAST_CHUNK)
            connection.sent()

    @property
    def wants_body(self) -> bool:
        """Whether the client should be read on for this request's body."""
        if self._connection is None:
            return self._body_size < self._plane.limits.kept_body
        return True

    # -- the answer, as it comes (strangler_proxy.upstream.Sink) ---------------------------------------------------------

    def upstream_interim(self, connection: UpstreamConnection) -> None:
        if not self._left and self.request.http11:
            self._out.append(forwarding.interim_head(connection))

    def upstream_head(self, connection: UpstreamConnection) -> None:
        decision = self._decision
        assert decision is not None
        if connection.status == 421 and connection.not_executed:
            self._misdirected = self._misdirected or Misdirected(self._plane.loop.time())
            self._misdirected.answer.clear()
            self._misdirected.swallowing = True
            return
        self._answered = True
        self.status = connection.status
        self._body.clear()
        self._resendable = False
        if self._left:
            self._after_write(connection)
            return
        if self._client.full:
            connection.read(False)
        if not self.body_done or self._plane.draining:
            self.closes = True
        if not self._body_size:
            self._shadow = self._plane.shadow.sample(self.request, decision, connection, self._known or NOWHERE)
        extra = self._after_write(connection)
        if self._cookie:
            extra += forwarding.own_cookie(self._cookie)
        inside = bool(self._passes)
        head, self._framed, needs_close = forwarding.response_head(self.request, connection, extra, self.closes, inside)
        self.closes = self.closes or needs_close
        self._out.append(head)

    def _after_write(self, connection: UpstreamConnection) -> bytes:
        """The position cookie; for a client with a credential the position is stored before the answer leaves."""
        if not connection.position:
            return b""
        found = from_header(connection.position.decode("latin-1"))
        if not found:
            return b""
        merged = merge(self._known or NOWHERE, found)
        merged = {database: place for database, place in merged.items() if place != positions.UNKNOWN.get(database)}
        name = positions.credential(self.request)
        if name:
            connection.read(False)
            self._gate = self._plane.loop.create_task(self._store_position(name, found))
        return positions.set_cookie(merged)

    async def _store_position(self, name: str, found: Positions) -> None:
        await self._plane.credentials.record(name, found)
        self._gate = None
        if self._connection is not None:
            self._connection.read(not self._client.full or self._left)
        if not self._left:
            self.upstream_flush()
            if self._connection is None:
                self._finish()

    def upstream_body(self, data: bytes) -> None:
        if self._misdirected is not None and self._misdirected.swallowing:
            self._misdirected.take(data)
        elif not self._left:
            if self._shadow is not None:
                self._shadow.original(data)
            self._out.append(forwarding.frame(data) if self._framed else data)

    def upstream_flush(self) -> None:
        if self._out and self._gate is None and not self._left:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._client.write(data)

    def upstream_end(self) -> None:
        self._connection = None
        self._uncount()
        if self._left:
            return
        if self._misdirected is not None and self._misdirected.swallowing:
            self._route_anew(self._misdirected)
            return
        if self._framed:
            self._out.append(forwarding.LAST_CHUNK)
        if self._gate is None:
            self.upstream_flush()
            self._finish()

    def upstream_lost(self, began: bool, reused: bool) -> None:
        connection, self._connection = self._connection, None
        self._uncount()
        if self._left or connection is None:
            return
        if self._answered:
            self.status = 502
            self._record()
            self._left = True
            self._client.abort()
        elif not began and self._may_repeat():
            self._retried = True
            decision = self._decision
            assert decision is not None
            if not self._falls_back("lost"):
                self._plane.metrics.retries.add(decision.side.value)
                self._dispatch(patient=False)
        else:
            self.answer(problems.BROKEN)

    def _may_repeat(self) -> bool:
        """Only a read that can be sent whole again, and only once: a write is never sent twice."""
        met = self._met
        return (
            not self._retried
            and self._resendable
            and self.request.method in IDEMPOTENT_READS
            and met is not None
            and not met.writes
        )

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        self._give_up(problems.TIMED_OUT)

    def body_broken(self, problem: Problem) -> None:
        """The rest of the request's body will never come, or not in time."""
        self.closes = True
        self._give_up(problem)

    def _give_up(self, problem: Problem) -> None:
        """The client is told, the application is left. A write goes on being counted until its answer or its connection's end."""
        if self._left:
            self._detach()
            return
        if self._answered:
            self.status = problem.status
            self._record()
            self._client.abort()
        else:
            self.answer(problem)
        self._left = True
        self._detach()

    def _detach(self) -> None:
        if self._parked:
            self._parked = False
            self._plane.holds.drop(self)
        if self._waiting is not None:
            self._waiting.cancel()
        connection = self._connection
        if connection is None:
            self._uncount()
        elif self._counted:
            connection.deadline = 0.0
            if not self.body_done:
                connection.half_close()
            connection.read(True)
        else:
            self._connection = None
            connection.abort()

    def upstream_full(self, full: bool) -> None:
        self._client.upstream_full(self, full)

    def client_full(self, full: bool) -> None:
        """The client reads slowly, or again."""
        if self._connection is not None and self._gate is None:
            self._connection.read(not full)

    # -- 421 -------------------------------------------------------------------------------------------------------------

    def _route_anew(self, misdirected: Misdirected) -> None:
        """A side that did not execute the request said so (P20): the only answer after which a write is sent again."""
        decision = self._decision
        assert decision is not None
        misdirected.swallowing = False
        context = decision.context
        self._plane.metrics.misdirected.add(context.name if context else "-", decision.side.value)
        if context is None or not self._resendable:
            self.answer(problems.MISDIRECTED)
            return
        if misdirected.newer_owner(decision.epoch) and misdirected.again(self._plane.limits):
            epoch, owner = misdirected.owner()
            self._plane.router.learn(context.name, epoch, owner)
            self._dispatch(patient=False)
        elif misdirected.epoch <= decision.epoch and self._falls_back("stale"):
            return
        else:
            self._wait(self._await_table(misdirected))

    async def _await_table(self, misdirected: Misdirected) -> None:
        """Nobody owns the context just now, or the owner does not know it yet: a newer table, or a moment, will tell."""
        left = misdirected.left(self._plane.loop.time(), self._plane.limits)
        if left <= 0:
            self.answer(problems.MISDIRECTED)
            return
        await self._plane.tables.changed(self._table, min(left, misdirected.pause()))
        self._dispatch(patient=False)

    # -- the end ---------------------------------------------------------------------------------------------------------

    def answer(self, problem: Problem, *, close: bool = False) -> None:
        """An answer of the proxy's own, in place of the application's."""
        if self._left:
            return
        self.status = problem.status
        self._plane.metrics.errors.add(problem.kind)
        if close or not self.body_done or self._plane.draining:
            self.closes = True
        bodiless = self.request.method == "HEAD"
        self._client.write(problems.answer(problem, close=self.closes, bodiless=bodiless, request_id=self.request.request_id))
        self._finish()

    def _record(self) -> None:
        self._plane.answered(self.request, self._decision, self.status, perf_counter() - self._started)

    def _finish(self) -> None:
        self._record()
        self._client.ended(self)
        if self._shadow is not None:
            self._plane.shadow.submit(self._shadow)

    def client_left(self) -> None:
        """The client is gone. A write that was sent goes on to its end; anything else is given up."""
        if self._left:
            return
        self._left = True
        self._plane.metrics.abandoned.add()
        self._detach()
