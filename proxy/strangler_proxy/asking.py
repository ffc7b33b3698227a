"""Asking one side the question of a sampled read once more, beside the user's own exchange."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from strangler.domain.decision import Decision
from strangler.domain.stages import Side
from strangler_proxy import forwarding
from strangler_proxy.answers import Answer, Recorder
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

WITHIN = 5.0


class _Sink:
    """Takes one answer."""

    def __init__(self, done: asyncio.Future[Recorder | None]) -> None:
        self._done, self._sent_at = done, perf_counter()
        self._recorder: Recorder | None = None

    def upstream_interim(self, connection: UpstreamConnection) -> None: ...

    def upstream_head(self, connection: UpstreamConnection) -> None:
        self._recorder = Recorder(connection.head, perf_counter() - self._sent_at)

    def upstream_body(self, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.add(data)

    def upstream_flush(self) -> None: ...

    def upstream_end(self, trailers: bytes) -> None:
        self._end(self._recorder)

    def upstream_lost(self, began: bool, reused: bool) -> None:
        self._end(None)

    def upstream_switched(self, connection: UpstreamConnection, rest: bytes) -> None: ...

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        connection.abort()
        self._end(None)

    def upstream_full(self, full: bool) -> None: ...

    def _end(self, recorder: Recorder | None) -> None:
        if not self._done.done():
            self._done.set_result(recorder)


async def ask(plane: Plane, request: Request, decision: Decision, side: Side) -> Answer:
    """The answer of one side. Raises ``OSError``, ``TimeoutError``, ``Unidentified`` (the service only) or ``TooLarge``."""
    context = decision.context
    assert context is not None
    asked = decision._replace(side=side, urls=context.urls(side), epoch=context.epoch)
    done: asyncio.Future[Recorder | None] = plane.loop.create_future()
    connection = None
    try:
        async with asyncio.timeout(WITHIN):
            identity = await plane.identities.of_copy(request, context) if asked.identified else b""
            head = forwarding.copy_head(request, plane.router.way(asked), identity)
            connection = await plane.pool.order(asked.urls)[0].acquire()
            connection.begin(_Sink(done), head, head_only=request.method == "HEAD", deadline=0.0)
            connection.sent()
            found = await done
    except BaseException:
        if connection is not None and not done.done():
            connection.abort()
        raise
    if found is None:
        raise ConnectionResetError("the answer was broken off")
    return found.answer()
