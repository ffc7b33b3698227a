"""The state of one exchange, and the ways it ends: answered, broken off, given up, left by its client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Met
from strangler.domain.freshness import Positions
from strangler.domain.override import Override
from strangler.domain.table import RouteTable
from strangler_proxy import problems
from strangler_proxy.hold import Parked
from strangler_proxy.misdirected import Misdirected
from strangler_proxy.problems import Problem
from strangler_proxy.request import Request
from strangler_proxy.routing import Way
from strangler_proxy.upstream import Sink, UpstreamConnection

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.server import ClientConnection
    from strangler_proxy.shadow import Copy


class Ending(Sink, Parked):
    """The base of an exchange. A write that was sent is counted until its answer or its connection has ended, come what may."""

    # What most exchanges never change stands at the class: making one costs half as much so.
    body_done = begun = False
    early: Problem | None = None
    status = 0
    _admitted = _answered = _framed = _left = _parked = _retried = False
    _asked: Override | None = None
    _body_size = 0
    _connection: UpstreamConnection | None = None
    _cookie = ""
    _counted: tuple[str, ...] = ()
    _gate: asyncio.Task[None] | None = None
    _known: Positions | None = None
    _met: Met | None = None
    _misdirected: Misdirected | None = None
    _passes: frozenset[str] = frozenset()
    _resendable = True
    _shadow: Copy | None = None
    _started = 0.0
    _table: RouteTable | None = None
    _trailers = b""
    _waiting: asyncio.Task[None] | None = None
    _way: Way | None = None

    def __init__(self, client: ClientConnection, plane: Plane, request: Request) -> None:
        self._client, self._plane, self.request = client, plane, request
        self.closes = not request.keep_alive
        self._body: list[bytes] = []
        self._out: list[bytes] = []

    @property
    def writes(self) -> tuple[str, ...]:
        return self._met.writes if self._met else ()

    @property
    def body_size(self) -> int:
        return self._body_size

    @property
    def way(self) -> Way | None:
        return self._way

    @property
    def answering(self) -> bool:
        """Whether the application's answer has begun."""
        return self._answered

    @property
    def held(self) -> bool:
        """Whether it is parked."""
        return self._parked

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
        """Counts the answer, and logs it if it is sampled."""
        plane, way, seconds = self._plane, self._way, perf_counter() - self._started
        (way.served if way is not None else plane.nowhere).add(self.status, seconds)
        if plane.log.wants(self.status):
            plane.tell(self.request, way, self.status, seconds)

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

    def limit_time(self, seconds: float) -> None:
        """Ends it if it has taken longer, whatever it waits for or is in the middle of."""
        if self._left or perf_counter() - self._started <= seconds:
            return
        connection = self._connection
        if connection is not None and self.body_done and not self._answered:
            connection.target.failed()
        self._give_up(problems.DELAYED if connection is None else problems.TIMED_OUT)

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
        self._body.clear()
        self._out.clear()
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
