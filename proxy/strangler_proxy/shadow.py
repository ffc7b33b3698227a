"""Copies of reads to the service that is not live yet, after the user has the answer; both answers go to a comparer.

The user's answer never waits for a copy and never suffers from one: copies are bounded in number and time, and what does not
fit is dropped and counted. Only GET and HEAD without a body, never what a rule declares as writing.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from strangler.domain.decision import Access, ContextState, Decision
from strangler.domain.freshness import Positions, unmet
from strangler.domain.stages import Side, Stage
from strangler.domain.table import until_fresh
from strangler_proxy import forwarding
from strangler_proxy.identity import Unidentified
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

KEPT_BODY = 256 * 1024
_WITHIN = 5.0


@dataclass(frozen=True)
class Answer:
    """``body`` is None where it was too large to keep; the digest (SHA-256) is always of the whole."""

    status: int
    content_type: bytes
    digest: bytes
    length: int
    body: bytes | None


class Comparer(Protocol):
    """Judges a pair of answers to the same request; True means equal."""

    def __call__(self, request: Request, monolith: Answer, service: Answer) -> bool: ...


def same_status_and_body(request: Request, monolith: Answer, service: Answer) -> bool:
    """The comparer of this stage of the product: status and digest."""
    return monolith.status == service.status and monolith.digest == service.digest


class _Recorder:
    """Takes an answer in pieces."""

    __slots__ = ("_body", "_content_type", "_hash", "_length", "_status")

    def __init__(self, connection: UpstreamConnection) -> None:
        self._status = connection.head.status
        self._content_type = connection.head.get(b"content-type")
        self._hash = hashlib.sha256()
        self._length = 0
        self._body: bytearray | None = bytearray()

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        self._length += len(data)
        if self._body is not None:
            self._body += data
            if len(self._body) > KEPT_BODY:
                self._body = None

    def answer(self) -> Answer:
        body = None if self._body is None else bytes(self._body)
        return Answer(self._status, self._content_type, self._hash.digest(), self._length, body)


class Copy:
    """One read that was sampled: while its answer passes, then as the sink of the service's answer."""

    def __init__(self, request: Request, context: ContextState, decision: Decision, connection: UpstreamConnection) -> None:
        self.request, self.context, self.decision = request, context, decision
        self._original = _Recorder(connection)
        self._service: _Recorder | None = None
        self._done: asyncio.Future[bool] | None = None

    def original(self, data: bytes) -> None:
        self._original.add(data)

    async def run(self, plane: Plane) -> tuple[Answer, Answer]:
        """Sends the copy. Raises ``OSError``, ``TimeoutError`` or ``Unidentified``."""
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        decision = self.decision._replace(side=Side.SERVICE, urls=self.context.service, epoch=self.context.epoch)
        connection = None
        try:
            async with asyncio.timeout(_WITHIN):
                identity = await plane.identities.of_copy(self.request, self.context) if self.context.identity else b""
                head = forwarding.copy_head(self.request, plane.router.way(decision), identity)
                connection = await plane.pool.order(self.context.service)[0].acquire()
                connection.begin(self, head, head_only=self.request.method == "HEAD", deadline=0.0)
                connection.sent()
                complete = await self._done
        except BaseException:
            if connection is not None and not self._done.done():
                connection.abort()
            raise
        if not complete or self._service is None:
            raise ConnectionResetError("the service broke its answer off")
        return self._original.answer(), self._service.answer()

    def upstream_interim(self, connection: UpstreamConnection) -> None: ...

    def upstream_head(self, connection: UpstreamConnection) -> None:
        self._service = _Recorder(connection)

    def upstream_body(self, data: bytes) -> None:
        if self._service is not None:
            self._service.add(data)

    def upstream_flush(self) -> None: ...

    def upstream_end(self, trailers: bytes) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(True)

    def upstream_lost(self, began: bool, reused: bool) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(False)

    def upstream_switched(self, connection: UpstreamConnection, rest: bytes) -> None: ...

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        connection.abort()
        self.upstream_lost(True, False)

    def upstream_full(self, full: bool) -> None: ...


class Shadow:
    def __init__(self, plane: Plane, comparer: Comparer = same_status_and_body) -> None:
        self._plane, self._comparer = plane, comparer
        self._running: set[asyncio.Task[None]] = set()

    def sample(self, request: Request, decision: Decision, connection: UpstreamConnection, known: Positions) -> Copy | None:
        """A copy to be made of this read, if its context is watched, it is safe, and chance wants it."""
        context = decision.context
        if context is None or context.shadow_share <= 0.0 or context.stage not in (Stage.SHADOW, Stage.CANARY):
            return None
        if decision.side is not Side.MONOLITH or decision.access is not Access.READ or request.method not in ("GET", "HEAD"):
            return None
        if random.random() >= context.shadow_share:
            return None
        if unmet(until_fresh(context, known), self._plane.markers.known):
            self._plane.metrics.shadow.add(context.name, "stale")
            return None
        if len(self._running) >= self._plane.limits.shadow_copies:
            self._plane.metrics.shadow.add(context.name, "dropped")
            return None
        return Copy(request, context, decision, connection)

    def submit(self, copy: Copy) -> None:
        """The user has the answer: now the copy may leave."""
        if len(self._running) >= self._plane.limits.shadow_copies:
            self._plane.metrics.shadow.add(copy.context.name, "dropped")
            return
        task = self._plane.loop.create_task(self._compare(copy))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _compare(self, copy: Copy) -> None:
        """An error in here, whatever it is, ends in a counter."""
        outcome = "failed"
        try:
            monolith, service = await copy.run(self._plane)
            outcome = "equal" if self._comparer(copy.request, monolith, service) else "different"
        except Unidentified:
            outcome = "unidentified"
        except (OSError, TimeoutError):
            outcome = "unreachable"
        except Exception as error:
            self._plane.unexpected(error)
        self._plane.metrics.shadow.add(copy.context.name, outcome)
