"""A request of the proxy's own to an application: sent whole, the answer taken whole."""

from __future__ import annotations

import asyncio

from strangler_proxy.target import Target
from strangler_proxy.upstream import UpstreamConnection

_MOST = 1024 * 1024


class _Answer:
    """The sink of one fetch."""

    def __init__(self, done: asyncio.Future[tuple[int, bytes]]) -> None:
        self._done = done
        self._status = 0
        self._body = bytearray()

    def upstream_interim(self, connection: UpstreamConnection) -> None: ...

    def upstream_head(self, connection: UpstreamConnection) -> None:
        self._status = connection.head.status

    def upstream_body(self, data: bytes) -> None:
        if len(self._body) < _MOST:
            self._body += data

    def upstream_flush(self) -> None: ...

    def upstream_end(self, trailers: bytes) -> None:
        if not self._done.done():
            self._done.set_result((self._status, bytes(self._body)))

    def upstream_lost(self, began: bool, reused: bool) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionResetError("the connection died before the answer"))

    def upstream_switched(self, connection: UpstreamConnection, rest: bytes) -> None: ...

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        connection.abort()
        self.upstream_lost(True, False)

    def upstream_full(self, full: bool) -> None: ...


async def fetch(target: Target, head: bytes, *, fresh: bool = True) -> tuple[int, bytes]:
    """Status and body of a GET, on a fresh connection or on any. Raises ``OSError``; the caller sets the time-out."""
    connection = await target.acquire(fresh=fresh)
    done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
    connection.begin(_Answer(done), head, head_only=False, deadline=0.0)
    connection.sent()
    try:
        return await done
    except asyncio.CancelledError:
        connection.abort()
        raise
