"""The protocol towards an application: one connection, one response at a time."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from strangler_proxy import grammar, response
from strangler_proxy.bodies import BadBody, Body, Chunked, Counted, ToTheEnd
from strangler_proxy.health import GATEWAY_FAILURES
from strangler_proxy.response import BODILESS, BadAnswer, Head

if TYPE_CHECKING:
    from strangler_proxy.target import Target

_WRITE_HIGH = 128 * 1024
_LONGEST_HEAD = 256 * 1024
_MOST_INTERIM = 100
_PIECE = 64 * 1024


class Sink(Protocol):
    """Who asked. Every request that was begun ends once: with ``upstream_end``, ``upstream_lost`` or ``upstream_switched``."""

    __slots__ = ()

    def upstream_interim(self, connection: UpstreamConnection) -> None:
        """A 1xx head is in ``connection``."""

    def upstream_head(self, connection: UpstreamConnection) -> None:
        """The final head is in ``connection``."""

    def upstream_body(self, data: bytes) -> None: ...

    def upstream_flush(self) -> None:
        """All that came in one piece has been handed over."""

    def upstream_end(self, trailers: bytes) -> None:
        """The response is complete; the connection is no longer the sink's."""

    def upstream_lost(self, began: bool, reused: bool) -> None:
        """The connection died or talked rubbish. ``began``: a byte of the response had come."""

    def upstream_switched(self, connection: UpstreamConnection, rest: bytes) -> None:
        """101, and ``rest`` came behind its head: the connection is the sink's, and speaks another protocol."""

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        """The deadline has passed. The sink decides whether to abort."""

    def upstream_full(self, full: bool) -> None:
        """The send buffer is full, or has room again."""


class UpstreamConnection(asyncio.Protocol):
    """``head`` is that of the response that is being received, its last interim one before that."""

    __slots__ = (
        "_body",
        "_buffer",
        "_forgiven",
        "_full",
        "_head_only",
        "_interim",
        "_reading",
        "_ready",
        "_sent",
        "_sink",
        "_switches",
        "address",
        "began",
        "deadline",
        "head",
        "idle_since",
        "made_at",
        "retired",
        "target",
        "transport",
        "uses",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._body: Body | None = None
        self.deadline = self.idle_since = self.made_at = 0.0
        self.address = ""
        self.uses = self._interim = 0
        self.head = response.NONE
        self._buffer = b""
        self._reading = True
        self._ready: select.poll | None = None
        self.retired = False
        self._sent = self._head_only = self._switches = self.began = self._full = self._forgiven = False

    # -- the asker's side ------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    @property
    def reused(self) -> bool:
        return self.uses > 1

    @property
    def paused(self) -> bool:
        return not self._reading

    def begin(self, sink: Sink, head: bytes, *, head_only: bool, deadline: float, switches: bool = False) -> None:
        """Sends a request's head (with any first piece of its body). ``switches``: another protocol was asked for."""
        self._sink = sink
        self.target.health.requests += 1
        self.uses += 1
        self.deadline = deadline
        self._head_only, self._switches = head_only, switches
        self._sent = self.began = False
        self._body = None
        self._buffer = b""
        self._interim = 0
        self.write(head)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def sent(self) -> None:
        """The request is complete; without this the connection is not used again."""
        self._sent = True

    def half_close(self) -> None:
        """No more of the request will come; the answer may still. That the application breaks off now is not its fault."""
        self._forgiven = True
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.write_eof() if transport.can_write_eof() else transport.close()

    def silent(self) -> bool:
        """Whether nothing has come, not even the end, that the loop has not seen yet."""
        if self._ready is None:
            assert self.transport is not None
            self._ready = select.poll()
            self._ready.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._ready.poll(0)

    def abort(self) -> None:
        """Gives the response up; the sink hears nothing more."""
        self._sink = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def drop(self) -> None:
        """Nobody took it: uvloop closes a connection whose making was cancelled without a word to its protocol."""
        if self.transport is not None:
            self.transport.abort()
            self.connection_lost(None)

    def read(self, wanted: bool) -> None:
        """Back-pressure: stops or resumes reading."""
        if wanted != self._reading and self.usable:
            self._reading = wanted
            assert self.transport is not None
            self.transport.resume_reading() if wanted else self.transport.pause_reading()

    def expire(self) -> None:
        """The deadline has passed. While the request's body is on its way the client is waited for, unless nobody reads it."""
        if self._sink is None:
            return
        if not self._sent and not self._full and not self.began:
            self.deadline = self.target.next_deadline()
            return
        self.target.failed()
        self._sink.upstream_timeout(self)

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.made_at = self.target.made()

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            self.close()
            return
        self.began = True
        try:
            if self._body is None:
                data = self._heads(data, sink)
                if self._body is None:
                    if self._sink is sink:
                        sink.upstream_flush()
                        self._put_off()
                    return
            body = self._body
            if not body.done and data:
                pieces: list[bytes] = []
                data = body.feed(data, pieces)
                for piece in pieces:
                    sink.upstream_body(piece)
        except (BadAnswer, BadBody):
            sink.upstream_flush()
            self._lose()
            return
        except Exception as error:
            self.target.unexpected(error)
            self._lose()
            return
        if self._sink is not sink:
            return
        if body.done:
            self._end(clean=not data)
        else:
            sink.upstream_flush()
            self._put_off()

    def _put_off(self) -> None:
        """Something came: there is time again for the rest."""
        if self.deadline:
            self.deadline = self.target.next_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return  # it was dropped
        if isinstance(exc, OSError) and self._sink is not None:
            self._hear_out(self.transport)
        self.transport = None
        self.target.forget(self)
        if self._sink is None:
            return
        if exc is None and isinstance(self._body, ToTheEnd):
            self._end(clean=False)
        else:
            self._lose()

    def _hear_out(self, transport: asyncio.Transport) -> None:
        """An application that answers before it has read the body, and closes, resets the connection: sending fails first, while
        its answer lies in the socket still. Not over TLS.
        """
        if transport.get_extra_info("sslcontext") is not None:
            return
        descriptor = transport.get_extra_info("socket").fileno()
        with suppress(OSError):
            while self._sink is not None and (data := os.read(descriptor, _PIECE)):
                self.data_received(data)

    def pause_writing(self) -> None:
        self._full = True
        if self._sink is not None:
            self._sink.upstream_full(True)

    def resume_writing(self) -> None:
        self._full = False
        if self._sink is not None:
            self._sink.upstream_full(False)

    def _end(self, *, clean: bool) -> None:
        """``clean``: nothing came behind the response."""
        sink, self._sink = self._sink, None
        assert sink is not None
        assert self._body is not None
        target = self.target
        if self.head.status in GATEWAY_FAILURES:
            target.failed()
        elif target.health.troubled:
            target.succeeded()
        if self.head.keep_alive and clean and self._sent and not self.retired:
            if not self._reading:
                self.read(True)
            target.release(self)
        else:
            self.close()
        sink.upstream_end(self._body.trailers)

    def _lose(self) -> None:
        sink, self._sink = self._sink, None
        self.close()
        if not self._forgiven and (self.began or not self.reused):  # a kept connection may be closed under our feet
            self.target.failed()
        if sink is not None:
            sink.upstream_lost(self.began, self.reused)

    # -- heads -----------------------------------------------------------------------------------------------------------

    def _heads(self, data: bytes, sink: Sink) -> bytes:
        """Takes the interim heads and the final one; gives what comes behind."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        known = self.target.heads
        while True:
            end = data.find(grammar.END)
            if end < 0:
                if len(data) > _LONGEST_HEAD or grammar.BROKEN.search(data):
                    raise BadAnswer
                self._buffer = data
                return b""
            if end > _LONGEST_HEAD:
                raise BadAnswer
            text = data[: end + 2]
            head = self.head = known.get(text) or known.read(text)
            data = data[end + 4 :]
            if head.status >= 200:
                if head.length == len(data) and not self._head_only and head.status not in BODILESS:
                    self._body = _COMPLETE  # small answers come in one piece
                    sink.upstream_head(self)
                    if data and self._sink is sink:
                        sink.upstream_body(data)
                    return b""
                self._body = self._framing(head)
                sink.upstream_head(self)
                return data
            if head.status == 101:
                self._switch(sink, data)
                return b""
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise BadAnswer  # an application that only ever says "wait" would never be given up
            sink.upstream_interim(self)

    def _framing(self, head: Head) -> Body:
        if self._head_only or head.status in BODILESS:
            return Counted(0)
        if head.chunked:
            return Chunked()
        if head.length >= 0:
            return Counted(head.length)
        return ToTheEnd()

    def _switch(self, sink: Sink, rest: bytes) -> None:
        if not self._switches:
            raise BadAnswer
        self._sink = None
        self.deadline = 0.0
        sink.upstream_switched(self, rest)


_COMPLETE = Counted(0)
