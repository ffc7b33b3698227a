"""The state of one exchange, and the ways it ends: answered, broken off, given up, left by its client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Decision, Met
from strangler.domain.freshness import Positions
from strangler.domain.table import RouteTable
from strangler_proxy import problems
from strangler_proxy.hold import Parked
from strangler_proxy.misdirected import Misdirected
from strangler_proxy.problems import Problem
from strangler_proxy.request import Request
from strangler_proxy.upstream import Sink, UpstreamConnection

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.server import ClientConnection
    from strangler_proxy.shadow import Copy


class Ending(Sink, Parked):
    """The base of an exchange. A write that was sent is counted until its answer or its connection has ended, come what may."""

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

    @property
    def writes(self) -> tuple[str, ...]:
        return self._met.writes if self._met else ()

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

    def _uncount(self) -> None:
        """The write is no longer under way."""
        counted, self._counted = self._counted, ()
        if counted:
            self._plane.holds.writes.end(counted)

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

    def _dispatch(self, *, patient: bool = True) -> None:
        """Routes the request from the start; see ``Dispatching``."""
        raise NotImplementedError
