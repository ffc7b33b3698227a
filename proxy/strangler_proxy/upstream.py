"""The protocol towards an application: one connection, one response at a time, parsed by httptools."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from strangler_proxy import headers
from strangler_proxy.headers import CONNECTION, ENCODING, LENGTH, NOT_EXECUTED, PASS, POSITION

if TYPE_CHECKING:
    from strangler_proxy.pool import Target

_WRITE_HIGH = 128 * 1024


class Sink(Protocol):
    """Who asked. Every request that was begun ends with exactly one ``upstream_end`` or ``upstream_lost``."""

    __slots__ = ()

    def upstream_interim(self, connection: UpstreamConnection) -> None:
        """A 1xx head is in ``connection``."""

    def upstream_head(self, connection: UpstreamConnection) -> None:
        """The final head is in ``connection``."""

    def upstream_body(self, data: bytes) -> None: ...

    def upstream_flush(self) -> None:
        """All that came in one piece has been handed over."""

    def upstream_end(self) -> None:
        """The response is complete; the connection is no longer the sink's."""

    def upstream_lost(self, began: bool, reused: bool) -> None:
        """The connection died or talked rubbish. ``began``: a byte of the response had come."""

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        """The deadline has passed. The sink decides whether to abort."""

    def upstream_full(self, full: bool) -> None:
        """The send buffer is full, or has room again."""


class UpstreamConnection(asyncio.Protocol):
    __slots__ = (
        "_broken",
        "_clean",
        "_complete",
        "_head_only",
        "_interim",
        "_keep_alive",
        "_parser",
        "_reading",
        "_sent",
        "_sink",
        "began",
        "chunked",
        "deadline",
        "idle_since",
        "length",
        "lines",
        "named",
        "not_executed",
        "position",
        "reason",
        "status",
        "target",
        "transport",
        "uses",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self.deadline = self.idle_since = 0.0
        self.uses = 0
        self._reading = self._clean = True
        self._sent = self._broken = False
        self._reset(False)

    def _reset(self, head_only: bool) -> None:
        self._head_only = head_only
        self._complete = self._interim = self._keep_alive = self.began = False
        self._reset_head()

    def _reset_head(self) -> None:
        self.lines: list[bytes] = []
        self.reason = self.position = self.named = b""
        self.status = 0
        self.length = b""
        self.chunked = self.not_executed = False

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

    def begin(self, sink: Sink, head: bytes, *, head_only: bool, deadline: float) -> None:
        """Sends a request's head (with any first piece of its body)."""
        self._sink = sink
        self._sent = False
        self.uses += 1
        self.deadline = deadline
        self._reset(head_only)
        self.write(head)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def sent(self) -> None:
        """The request is complete; without this the connection is not used again."""
        self._sent = True

    def half_close(self) -> None:
        """No more of the request will come; the answer may still."""
        if self.transport is not None and not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    def abort(self) -> None:
        """Gives the response up; the sink hears nothing more."""
        self._sink = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def read(self, wanted: bool) -> None:
        """Back-pressure: stops or resumes reading."""
        if wanted != self._reading and self.usable:
            self._reading = wanted
            assert self.transport is not None
            self.transport.resume_reading() if wanted else self.transport.pause_reading()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._sink is not None:
            self._sink.upstream_timeout(self)

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.target.made()

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            self.close()
            return
        self.began = True
        if self.deadline:
            self.deadline = self.target.next_deadline()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._clean = False
            if isinstance(error, httptools.HttpParserCallbackError):
                self.target.unexpected(error)
        except httptools.HttpParserUpgrade:
            self._clean = False
            self._complete = False
        sink = self._sink
        if sink is None:
            return
        sink.upstream_flush()
        if self._complete:
            self._end()
        elif not self._clean:
            self._lose()

    def connection_lost(self, exc: Exception | None) -> None:
        self.target.forget(self)
        if self._sink is None:
            return
        if exc is None and self.status >= 200 and not self.length and not self.chunked and self._clean:
            self._keep_alive = False
            self._end()
        else:
            self._lose()

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_full(True)

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_full(False)

    def _end(self) -> None:
        sink, self._sink = self._sink, None
        assert sink is not None
        if self._head_only:
            self._parser = httptools.HttpResponseParser(self)
        if self._keep_alive and self._clean and self._sent:
            self.read(True)
            self.target.release(self)
        else:
            self.close()
        sink.upstream_end()

    def _lose(self) -> None:
        sink, self._sink = self._sink, None
        self.close()
        assert sink is not None
        sink.upstream_lost(self.began, self.reused)

    # -- httptools callbacks ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._clean = False

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return
        kind = headers.response_field(name.lower())
        if kind == PASS:
            self.lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == LENGTH:
            self.length = value.strip()
        elif kind == ENCODING:
            self.chunked = True
            if value.strip().lower() != b"chunked":
                self._clean = False
        elif kind == CONNECTION:
            self.named = b", ".join((self.named, value)) if self.named else value
        elif kind == POSITION:
            self.position = b",".join((self.position, value)) if self.position else value
        elif kind == NOT_EXECUTED:
            self.not_executed = value.strip() == b"1"

    def on_headers_complete(self) -> None:
        if self._complete or self._sink is None or not self._clean:
            self._clean = False
            return
        if self.named and headers.is_named_beyond(self.named):
            self.lines = headers.without(self.lines, self.named)
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self._interim = True
            if self.status == 101:
                self._clean = False
                return
            self._sink.upstream_interim(self)
            return
        self._keep_alive = self._parser.should_keep_alive()
        self._complete = self._head_only
        self._sink.upstream_head(self)

    def on_body(self, data: bytes) -> None:
        if self._complete or self._sink is None:
            self._clean = False
            return
        self._sink.upstream_body(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self._reset_head()
            return
        self._complete = True
