"""After an upgrade (WebSocket, for one): bytes pass both ways as they come, with back-pressure, until one side ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Tunnel:
    """Two transports that are joined. ``ended`` is called once, when both are closed. No end knows the other: a tunnel that has
    ended leaves no cycle behind.
    """

    def __init__(self, client: asyncio.Transport, application: asyncio.Transport, ended: Callable[[Tunnel], None]) -> None:
        self._ended = ended
        self._open = 2
        self._client, self._application = client, application
        self.silent = 0
        for transport, other in ((client, application), (application, client)):
            transport.set_protocol(_End(self, other))
            transport.resume_reading()

    def send_to_application(self, data: bytes) -> None:
        self._application.write(data)

    def abort(self) -> None:
        self._client.abort()
        self._application.abort()

    def closed(self) -> None:
        self._open -= 1
        if not self._open:
            self._ended(self)


class _End(asyncio.Protocol):
    """One transport's protocol: what it hears goes to the other transport."""

    __slots__ = ("_other", "_silent", "_tunnel")

    def __init__(self, tunnel: Tunnel, other: asyncio.Transport) -> None:
        self._tunnel, self._other = tunnel, other
        self._silent = False

    def data_received(self, data: bytes) -> None:
        if not self._other.is_closing():
            self._other.write(data)

    def eof_received(self) -> bool:
        """The side is silent from now on; the other may still speak. Once both are, it is over."""
        if not self._silent:
            self._silent = True
            self._tunnel.silent += 1
        other = self._other
        if self._tunnel.silent == 2 or other.is_closing() or not other.can_write_eof():
            other.close()
            return False
        other.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._other.close()
        self._tunnel.closed()

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()
