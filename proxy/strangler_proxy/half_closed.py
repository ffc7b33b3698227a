"""A client that has shut down its side: it asked a whole question and waits for the answer, or it has gone.

``printf … | nc`` does the first, a browser whose user presses "stop" the second, and TCP shows the same for both until something
is sent: whoever has gone then answers with a reset. So before the answer begins it is sent ``100 Continue``, which every client
of HTTP/1.1 reads over (RFC 9110, 15.2), but only where the answer takes its time. An answer that has begun is sent on; where
nothing of it comes for a while, as in a stream of events that nobody reads any more, the client counts as gone.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strangler_proxy.ending import Ending

_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
_QUICK = 1.0


class HalfClosed:
    """One such client. ``since``: when it shut its side down, later when something was last sent to it; the loop's time."""

    __slots__ = ("_probed", "_socket", "_transport", "since")

    def __init__(self, transport: asyncio.Transport, now: float) -> None:
        self._transport, self.since = transport, now
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._probed = False

    @property
    def gone(self) -> bool:
        """Whether a reset has come. Nobody reads from it any more, so only the socket itself knows."""
        return self._transport.is_closing() or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def look(self, exchange: Ending, now: float, patience: float) -> bool:
        """Whether it has gone; asks it where that may be done. ``patience``: how long an answer that has begun may pause."""
        if self.gone:
            return True
        if exchange.answering:
            return now - self.since > patience
        slow = exchange.held or now - self.since > _QUICK
        if slow and not self._probed and exchange.request.http11:
            self._probed = True
            self._transport.write(_PROBE)
        return False


def possible(transport: asyncio.Transport) -> bool:
    """Over TLS there is none: asyncio closes both directions together."""
    return transport.get_extra_info("sslcontext") is None
