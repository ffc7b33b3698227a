"""The protocol towards a client: one connection, requests parsed by httptools, answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from strangler_proxy import problems
from strangler_proxy.exchange import Exchange
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.ending import Ending
    from strangler_proxy.plane import Plane

_WRITE_HIGH = 128 * 1024


class ClientConnection(asyncio.Protocol):
    """``_receiving`` is the exchange whose body is being parsed, ``_current`` the one being answered; the rest is queued."""

    __slots__ = (
        "_current",
        "_deaf",
        "_head_fed",
        "_parser",
        "_plane",
        "_queue",
        "_reading",
        "_receiving",
        "_request",
        "_starting",
        "_target",
        "_transport",
        "_upstream_full",
        "address",
        "deadline",
        "forwarded",
        "full",
    )

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None
        self._target = b""
        self._head_fed = 0
        self._receiving: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._deaf = self._starting = self._upstream_full = self.full = False
        self._reading = True
        self.address = ""
        self.forwarded = b""
        self.deadline = 0.0

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "local"
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\n" % self.address.encode()
        self.deadline = self._plane.loop.time() + self._plane.limits.header_time
        self._plane.clients.add(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._receiving is not None:
            self.deadline = self._plane.loop.time() + self._plane.limits.body_idle
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                self._plane.unexpected(error)
            self._malformed(str(error))
        if self._request is not None and not self._deaf:
            self._head_fed += len(data)
            if self._head_fed > self._plane.limits.head:
                self._refuse_head(problems.HEAD_TOO_LARGE)
        if self._queue and self._current is None:
            self._start()
        self._adjust_reading()

    def eof_received(self) -> None:
        """A client that closes its side has left: asyncio closes the transport."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._plane.client_gone(self)
        self._deaf = True
        current, self._current = self._current, None
        if current is not None:
            current.client_left()
        self._queue.clear()

    def pause_writing(self) -> None:
        self.full = True
        self.deadline = self._plane.loop.time() + self._plane.limits.stalled_reader
        if self._current is not None:
            self._current.client_full(True)

    def resume_writing(self) -> None:
        self.full = False
        self.deadline = 0.0 if self._current is not None else self._plane.loop.time() + self._plane.limits.keep_alive
        if self._current is not None:
            self._current.client_full(False)

    # -- httptools callbacks ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._request = Request()
        self._target = b""
        self._head_fed = 0
        if self._current is None:
            self.deadline = self._plane.loop.time() + self._plane.limits.header_time

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is not None:
            self._request.field(name, value)

    def on_headers_complete(self) -> None:
        request, self._request = self._request, None
        if request is None or self._deaf:
            return
        parser = self._parser
        request.finish(parser.get_method(), self._target, parser.get_http_version(), parser.should_keep_alive())
        request.forwarded = self.forwarded
        exchange = Exchange(self, self._plane, request)
        self._queue.append(exchange)
        if len(self._target) > self._plane.limits.target:
            exchange.early = problems.TARGET_TOO_LONG
        elif request.size > self._plane.limits.head:
            exchange.early = problems.HEAD_TOO_LARGE
        if request.refused or exchange.early is not None:
            self._deaf = True
        elif request.has_body:
            self._receiving = exchange
            self.deadline = self._plane.loop.time() + self._plane.limits.body_idle
        else:
            exchange.body_done = True
            if self._current is None:
                self.deadline = 0.0

    def on_body(self, data: bytes) -> None:
        if self._receiving is not None:
            self._receiving.body(data)

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        if exchange is not None:
            if not self.full:
                self.deadline = 0.0
            exchange.body_complete()

    # -- input that goes wrong -------------------------------------------------------------------------------------------

    def _after_upgrade(self, data: bytes, offset: int) -> None:
        """An upgrade was asked for. It is not granted: the request is an ordinary one, and what follows is the next."""
        self._parser = httptools.HttpRequestParser(self)
        rest = data[offset:]
        if rest and not self._deaf:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                self._after_upgrade(rest, upgrade.args[0])
            except httptools.HttpParserError as error:
                self._malformed(str(error))

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
        elif self._request is not None or (self._current is None and not self._queue):
            self._refuse_head(problems.refusal(reason))
        else:
            last = self._queue[-1] if self._queue else self._current
            if last is not None and last.request.keep_alive:
                self._refuse_head(problems.refusal(reason))

    def _refuse_head(self, problem: problems.Problem) -> None:
        """The head will never be complete: an answer in its turn, then the end."""
        self._deaf = True
        self._plane.metrics.refused.add(problem.kind)
        self._request = None
        exchange = Exchange(self, self._plane, Request())
        exchange.early = problem
        self._queue.append(exchange)

    def expire(self) -> None:
        """The deadline has passed."""
        if self.full:
            self.abort()
        elif self._receiving is not None and self._receiving.begun:
            self._deaf = True
            late, self._receiving = self._receiving, None
            late.body_broken(problems.BODY_TOO_SLOW)
        elif self._request is not None and self._current is None:
            self._refuse_head(problems.BODY_TOO_SLOW)
            self._start()
        elif self._current is None:
            self.close()
        else:
            self.deadline = 0.0

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

    def ended(self, exchange: Ending) -> None:
        """The answer of the current exchange is written."""
        if exchange is not self._current:
            return
        self._current = None
        self._upstream_full = False
        if exchange.closes or self._plane.draining:
            self._close_after(exchange)
            return
        self.deadline = self._plane.loop.time() + self._plane.limits.keep_alive
        if self._queue:
            self._start()
        self._adjust_reading()

    def _close_after(self, exchange: Ending) -> None:
        """Closes. A client that may still be sending is read for a moment, or the reset would destroy the answer."""
        deaf, self._deaf = self._deaf, True
        self._queue.clear()
        self._receiving = self._request = None
        if self._transport is None:
            return
        if (deaf or not exchange.body_done) and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self.deadline = self._plane.loop.time() + self._plane.limits.linger
            self._adjust_reading()
        else:
            self._transport.close()

    @property
    def idle(self) -> bool:
        return self._current is None and not self._queue

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

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
        wanted = self._deaf or (
            not self._upstream_full
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
                self.deadline = self._plane.loop.time() + self._plane.limits.body_idle
        else:
            transport.pause_reading()
            if not self.full:
                self.deadline = 0.0
