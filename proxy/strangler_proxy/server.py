"""The protocol towards a client: one connection, requests answered in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from strangler_proxy import half_closed, problems
from strangler_proxy.exchange import Exchange
from strangler_proxy.half_closed import HalfClosed
from strangler_proxy.receiving import Receiving

if TYPE_CHECKING:
    from strangler_proxy.ending import Ending
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

_WRITE_HIGH = 128 * 1024


class ClientConnection(Receiving):
    """What was received is begun in its turn; answers leave in order."""

    __slots__ = ("_half", "_reading", "_served", "_starting", "_transport", "_upstream_full")

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self._transport: asyncio.Transport | None = None
        self._half: HalfClosed | None = None
        self._served = self._starting = self._upstream_full = False
        self._reading = True

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        peer = transport.get_extra_info("peername")
        hops = self._plane.hops
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._forwarded = hops.of_peer(self._peer)
        self._trusted = hops.trusts(self._peer)
        self.deadline = self._plane.loop.time() + self._plane.limits.header_time
        self._plane.clients.add(self)
        if not self._plane.admission.admits():
            self._plane.metrics.refused.add(problems.FULL.kind)
            self._deaf = True
            self.write(problems.answer(problems.FULL, close=True))
            self.close()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._take(data)
        except Exception as error:
            self._plane.unexpected(error)
            self._malformed("the proxy could not read it")
        queue = self._queue
        if queue and self._current is None:
            self._start()
        if queue or self._receiving is not None or not self._reading or self._upgrading or self._upstream_full:
            self._adjust_reading()

    def eof_received(self) -> bool:
        """A client that has asked all it wanted still gets its answers; one in the middle of something has left."""
        transport = self._transport
        if transport is None or self._current is None or self._receiving is not None or self._upgrading:
            return False
        if not half_closed.possible(transport):
            return False
        self._half = HalfClosed(transport, self._plane.loop.time())
        self._plane.half_closed.add(self)
        self.look_after()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._plane.client_gone(self)
        self._deaf = True
        current, self._current = self._current, None
        if current is not None:
            current.client_left()
        self._queue.clear()
        self._receiving = self._body = None  # it knows us: the two would live until the collector comes
        self._buffer = b""

    def pause_writing(self) -> None:
        self.full = True
        self.deadline = self._plane.loop.time() + self._plane.limits.stalled_reader
        if self._current is not None:
            self._current.client_full(True)

    def resume_writing(self) -> None:
        self.full = False
        self.deadline = 0.0 if self._current is not None else self._plane.loop.time() + self._plane.limits.keep_alive
        if self._receiving is not None:
            self._expect_body()
        if self._current is not None:
            self._current.client_full(False)

    # -- time ------------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline has passed."""
        if self.full or self._transport is None or self._transport.is_closing():
            self.abort()
        elif self._receiving is not None and self._receiving.begun:
            self._deaf = True
            late, self._receiving = self._receiving, None
            late.body_broken(problems.BODY_TOO_SLOW)
        elif self._buffer and self._current is None:
            self._refuse_head(problems.BODY_TOO_SLOW)
            self._start()
        elif self._current is None:
            self.close()
        else:
            self.deadline = 0.0

    # -- upgrades --------------------------------------------------------------------------------------------------------

    def switch(self, exchange: Ending, connection: UpstreamConnection, greeting: bytes) -> None:
        """The application agreed to another protocol: this connection and the application's are joined from here on."""
        client, application = self._transport, connection.transport
        if exchange is not self._current or client is None or application is None or client.is_closing():
            connection.close()
            return
        early, self._buffer = self._buffer, b""
        client.write(greeting)
        self._current = None
        self._deaf = True
        self._plane.join(self, client, connection, application, early)

    # -- answers ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Begins what is next, one after the other; an exchange may end before ``begin`` returns."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._queue and self._current is None and self._transport is not None and not self._transport.is_closing():
                self._current = self._queue.popleft()
                self._current.begin()
        finally:
            self._starting = False

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self._half is not None:
                self._half.since = self._plane.loop.time()

    def ended(self, exchange: Ending) -> None:
        """The answer of the current exchange is written."""
        if exchange is not self._current:
            return
        self._current = None
        self._served = True
        self._upstream_full = False
        if exchange.closes or self._plane.draining or (self._half is not None and not self._queue):
            self._close_after(exchange)
            return
        limits = self._plane.limits
        self.deadline = self._plane.loop.time() + (limits.header_time if self._buffer else limits.keep_alive)
        if self._upgrading:
            self._upgrading = False  # refused: what follows is HTTP
            self._take(b"")
        if self._queue:
            self._start()
        if not self._reading or self._upstream_full:
            self._adjust_reading()

    def _close_after(self, exchange: Ending) -> None:
        """Closes. A client that may still be sending is read for a moment, or the reset would destroy the answer."""
        deaf, self._deaf = self._deaf, True
        self._queue.clear()
        self._receiving = None
        self._buffer = b""
        if self._transport is None:
            return
        lingers = (deaf or not exchange.body_done) and self._half is None
        if lingers and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self.deadline = self._plane.loop.time() + self._plane.limits.linger
            self._adjust_reading()
        else:
            self.close()

    @property
    def gone(self) -> bool:
        """Whether a client that shut down its side turned out to have left; nobody else would have said so."""
        return self._half is not None and self._half.gone

    def look_after(self) -> None:
        """Called now and then while the client's side is shut down."""
        half, current, plane = self._half, self._current, self._plane
        if half is not None and current is not None and half.look(current, plane.loop.time(), plane.limits.silent_answer):
            self.abort()

    @property
    def idle(self) -> bool:
        return self._current is None and not self._queue

    @property
    def idle_since(self) -> float:
        """Since when it has been open for nothing, by the loop's clock; 0 while something is asked or answered."""
        limits, transport = self._plane.limits, self._transport
        if not self.idle or self._buffer or self._deaf or not self.deadline or transport is None or transport.is_closing():
            return 0.0
        return self.deadline - (limits.keep_alive if self._served else limits.header_time)

    @property
    def current(self) -> Exchange | None:
        return self._current

    def close(self) -> None:
        """After what is written has left; a client that does not read it is not waited for without end."""
        if self._transport is not None:
            self._transport.close()
            self.deadline = self._plane.loop.time() + self._plane.limits.stalled_reader

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- back-pressure ---------------------------------------------------------------------------------------------------

    def upstream_full(self, exchange: Ending, full: bool) -> None:
        if exchange is self._current:
            self._upstream_full = full
            self._adjust_reading()

    def want_more(self, exchange: Ending) -> None:
        """The exchange was sent on; its body may flow."""
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        if self._half is not None:
            return
        wanted = self._deaf or (
            not self._upstream_full
            and not (self._upgrading and self._buffer)
            and len(self._queue) < self._plane.limits.pipelined
            and (self._receiving is None or self._receiving.wants_body)
        )
        transport = self._transport
        if wanted == self._reading or transport is None or transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            transport.resume_reading()
            if self._receiving is not None:
                self._expect_body()
        else:
            transport.pause_reading()
            if not self.full:
                self.deadline = 0.0
