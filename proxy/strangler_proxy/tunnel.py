"""After an upgrade (WebSocket, for one): bytes pass both ways as they come, with back-pressure, until one side ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast


class Tunnel:
    """Two transports that are joined. ``ended`` is called once, when both are closed."""

    def __init__(self, client: asyncio.Transport, application: asyncio.Transport, ended: Callable[[Tunnel], None]) -> None:
        self._ended = ended
        self._open = 2
        self._ends = (_End(self, client), _End(self, application))
        self._ends[0].other, self._ends[1].other = self._ends[1], self._ends[0]
        for end in self._ends:
            end.transport.set_protocol(end)
            end.transport.resume_reading()

    def send_to_application(self, data: bytes) -> None:
        self._ends[1].transport.write(data)

    def abort(self) -> None:
        for end in self._ends:
            end.transport.abort()

    def closed(self) -> None:
        self._open -= 1
        if not self._open:
            self._ended(self)


class _End(asyncio.Protocol):
    """One transport's protocol: what it hears goes to the other."""

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self._tunnel, self.transport = tunnel, transport
        self.other: _End = self
        self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """The side is silent from now on; the other may still speak. Once both are, it is over."""
        self._silent = True
        other = self.other
        if other._silent or other.transport.is_closing() or not other.transport.can_write_eof():
            other.transport.close()
            return False
        other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.transport.close()
        self._tunnel.closed()

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()
