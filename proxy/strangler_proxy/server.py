"""The protocol towards a client: one connection, requests answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

from strangler_proxy import grammar, half_closed, problems
from strangler_proxy.bodies import BadBody, Body, Chunked, Counted
from strangler_proxy.exchange import Exchange
from strangler_proxy.half_closed import HalfClosed
from strangler_proxy.request import Fields, Line, Request

if TYPE_CHECKING:
    from strangler_proxy.ending import Ending
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

_WRITE_HIGH = 128 * 1024
_NO_FIELDS, _NO_LINE = Fields(b"\r\n"), Line(b"")


class ClientConnection(asyncio.Protocol):
    """``_receiving`` is the exchange whose body is being read, ``_current`` the one being answered; the rest is queued."""

    __slots__ = (
        "_body",
        "_body_time",
        "_buffer",
        "_checked",
        "_current",
        "_deaf",
        "_forwarded",
        "_half",
        "_peer",
        "_plane",
        "_queue",
        "_reading",
        "_receiving",
        "_served",
        "_starting",
        "_transport",
        "_trusted",
        "_upgrading",
        "_upstream_full",
        "deadline",
        "full",
    )

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._checked = 0
        self._body: Body | None = None
        self._receiving: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._half: HalfClosed | None = None
        self._deaf = self._served = self._starting = self._upgrading = self._upstream_full = self.full = False
        self._reading = True
        self._peer = ""
        self._forwarded = b""
        self._trusted = False
        self.deadline = self._body_time = 0.0

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

    # -- requests --------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Heads and bodies, one after the other; what is not complete is kept."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while data and not self._deaf:
            if self._receiving is not None:
                data = self._take_body(self._receiving, data)
            elif self._upgrading:
                self._buffer = data  # whether it is HTTP will be known when the upgrade is answered
                return
            else:
                data = self._take_head(data)

    def _take_head(self, data: bytes) -> bytes:
        """One request's head; gives what comes behind it."""
        if data[:2] == b"\r\n" and (empty := grammar.EMPTY_LINES.match(data)) is not None:
            return data[empty.end() :]  # RFC 9112, 2.2: empty lines before a request are read over
        end = data.find(grammar.END)
        if end < 0:
            self._incomplete(data)
            return b""
        self._checked = 0
        line_end = data.find(b"\r\n")
        block = data[line_end : end + 2]
        known, first = self._plane.known, data[:line_end]
        fields = known.fields.get(block) or known.new_fields(block)
        request = Request(known.lines.get(first) or known.new_line(first), fields)
        if self._trusted:
            request.address, request.forwarded, request.host = self._plane.hops.behind(self._peer, fields)
        else:
            request.address, request.forwarded = self._peer, self._forwarded
        exchange = Exchange(self, self._plane, request)
        self._queue.append(exchange)
        limits = self._plane.limits
        if request.refused or line_end > limits.target or end > limits.head:
            self._deaf = True
            if line_end > limits.target:
                exchange.early = problems.TARGET_TOO_LONG
            elif end > limits.head:
                exchange.early = problems.HEAD_TOO_LARGE
        elif fields.has_body:
            if fields.length > limits.body > 0:
                self._deaf = True
                exchange.early = problems.BODY_TOO_LARGE
            else:
                self._receiving = exchange
                self._body = Chunked() if fields.chunked else Counted(fields.length)
                self._body_time = 0.0
                self._expect_body()
        else:
            exchange.body_done = True
            if fields.upgrade and request.http11:
                self._upgrading = True
            if self._current is None:
                self.deadline = 0.0
        return data[end + 4 :]

    def _take_body(self, exchange: Exchange, data: bytes) -> bytes:
        assert self._body is not None
        self._expect_body(len(data))
        pieces: list[bytes] = []
        try:
            rest = self._body.feed(data, pieces)
        except BadBody as error:
            self._malformed(str(error))
            return b""
        most = self._plane.limits.body
        if most and exchange.body_size + sum(map(len, pieces)) > most:
            self._too_large(exchange)
            return b""
        for piece in pieces:
            exchange.body(piece)
        if self._body.done:
            self._receiving = None
            if not self.full:
                self.deadline = 0.0
            exchange.body_complete(self._body.trailers)
        return rest

    def _expect_body(self, came: int = 0) -> None:
        """When the next piece has to be here: soon, and early enough to keep up a least rate; what was fast counts for a while.

        Without it a client that sends a byte now and then holds an application's worker for as long as it likes.
        """
        if self.full:
            return
        limits, now = self._plane.limits, self._plane.loop.time()
        self.deadline = now + limits.body_idle
        if limits.body_rate:
            earned = self._body_time + came / limits.body_rate if came else max(self._body_time, self.deadline)
            self._body_time = min(earned, now + 2 * limits.body_idle)
            self.deadline = min(self.deadline, self._body_time)

    def _incomplete(self, data: bytes) -> None:
        """The end of the head has not come yet: kept, unless it is too large or wrong already."""
        if not self._checked and self._current is None:
            self.deadline = self._plane.loop.time() + self._plane.limits.header_time
        self._buffer = data
        if len(data) > self._plane.limits.head:
            long = data.find(b"\r\n", 0, self._plane.limits.target) < 0
            self._refuse_head(problems.TARGET_TOO_LONG if long else problems.HEAD_TOO_LARGE)
        elif grammar.BROKEN.search(data, max(0, self._checked - 2)):
            self._malformed("the request is malformed")
        self._checked = len(data)

    # -- input that goes wrong -------------------------------------------------------------------------------------------

    def _malformed(self, reason: str) -> None:
        if self._deaf:
            return
        self._deaf = True
        if self._receiving is not None:
            broken, self._receiving = self._receiving, None
            if broken.begun:
                broken.body_broken(problems.refusal(reason))
            else:
                broken.request.refused = reason
            return
        last = self._queue[-1] if self._queue else self._current
        if last is None or last.request.keep_alive:
            self._refuse_head(problems.refusal(reason))

    def _too_large(self, exchange: Exchange) -> None:
        """A body in chunks turned out to be larger than bodies may be."""
        self._deaf = True
        self._receiving = None
        if exchange.begun:
            exchange.body_broken(problems.BODY_TOO_LARGE)
        else:
            exchange.early = problems.BODY_TOO_LARGE

    def _refuse_head(self, problem: problems.Problem) -> None:
        """The head will never be complete: an answer in its turn, then the end."""
        self._deaf = True
        self._plane.metrics.refused.add(problem.kind)
        self._buffer = b""
        exchange = Exchange(self, self._plane, Request(_NO_LINE, _NO_FIELDS))
        exchange.early = problem
        self._queue.append(exchange)

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
