"""The protocol towards an application: one connection, one response at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from strangler_proxy import grammar, headers
from strangler_proxy.bodies import BadBody, Body, Chunked, Counted, ToTheEnd
from strangler_proxy.health import GATEWAY_FAILURES

if TYPE_CHECKING:
    from strangler_proxy.pool import Target

_WRITE_HIGH = 128 * 1024
_LONGEST_HEAD = 256 * 1024


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


class _BadAnswer(Exception):
    """It breaks the grammar."""


class UpstreamConnection(asyncio.Protocol):
    """``line`` is the status line, ``kept`` the fields that pass on (each line begins where the one before it ended)."""

    __slots__ = (
        "_body",
        "_buffer",
        "_head_only",
        "_keep_alive",
        "_reading",
        "_sent",
        "_sink",
        "_switches",
        "began",
        "chunked",
        "deadline",
        "idle_since",
        "kept",
        "length",
        "line",
        "not_executed",
        "position",
        "status",
        "target",
        "transport",
        "uses",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._body: Body | None = None
        self.deadline = self.idle_since = 0.0
        self.uses = self.status = 0
        self.length = -1
        self.line = self.kept = self.position = self._buffer = b""
        self._reading = True
        self._sent = self._head_only = self._keep_alive = self._switches = self.began = False
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
        self.status = 0
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
            self.target.failed()
            self._sink.upstream_timeout(self)

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.target.made()

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
        except (_BadAnswer, BadBody):
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
        self.target.forget(self)
        if self._sink is None:
            return
        if exc is None and isinstance(self._body, ToTheEnd):
            self._keep_alive = False
            self._end(clean=False)
        else:
            self._lose()

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_full(True)

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_full(False)

    def _end(self, *, clean: bool) -> None:
        """``clean``: nothing came behind the response."""
        sink, self._sink = self._sink, None
        assert sink is not None
        assert self._body is not None
        target = self.target
        if self.status in GATEWAY_FAILURES:
            target.failed()
        elif target.health.troubled:
            target.succeeded()
        if self._keep_alive and clean and self._sent:
            if not self._reading:
                self.read(True)
            target.release(self)
        else:
            self.close()
        sink.upstream_end(self._body.trailers)

    def _lose(self) -> None:
        sink, self._sink = self._sink, None
        self.close()
        if self.began or not self.reused:  # a kept connection may be closed under our feet
            self.target.failed()
        if sink is not None:
            sink.upstream_lost(self.began, self.reused)

    # -- heads -----------------------------------------------------------------------------------------------------------

    def _heads(self, data: bytes, sink: Sink) -> bytes:
        """Takes the interim heads and the final one; gives what comes behind."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while True:
            end = data.find(grammar.END)
            if end < 0:
                if len(data) > _LONGEST_HEAD or grammar.BROKEN.search(data):
                    raise _BadAnswer
                self._buffer = data
                return b""
            self._head(data[: end + 2])
            data = data[end + 4 :]
            if self.status >= 200:
                if self.length == len(data) and not self._head_only and self.status not in (204, 304):
                    self._body = _COMPLETE  # small answers come in one piece
                    sink.upstream_head(self)
                    if data and self._sink is sink:
                        sink.upstream_body(data)
                    return b""
                self._body = self._framing()
                sink.upstream_head(self)
                return data
            if self.status == 101:
                self._switch(sink, data)
                return b""
            sink.upstream_interim(self)

    def _head(self, head: bytes) -> None:
        line_end = head.index(b"\r\n")
        self.line = head[:line_end]
        known = _STATUS_LINES.get(self.line) or _status(self.line)
        http11, self.status = known
        block = head[line_end:]
        if grammar.PLAIN.fullmatch(block) is None and grammar.is_malformed(block):
            raise _BadAnswer
        self.length = -1
        self.chunked = self.not_executed = False
        self.position = b""
        cuts: list[tuple[int, int]] = []
        named: list[bytes] = []
        for found in headers.IN_RESPONSE.finditer(block.lower()):
            name, value = found[1], found[2].rstrip(b" \t")
            if name == b"content-length":
                if self.length >= 0 or not grammar.NUMBER.fullmatch(value):
                    raise _BadAnswer
                self.length = int(value)
                if self.status != 204:
                    continue
            elif name == b"connection":
                if value != b"keep-alive" or not http11:
                    named += grammar.tokens(value)
            elif name == b"transfer-encoding":
                if self.chunked or value != b"chunked" or not http11:
                    raise _BadAnswer
                self.chunked = True
            elif name == b"x-strangler-position":
                position = block[found.start(2) : found.end(2)].rstrip(b" \t")
                self.position = b",".join((self.position, position)) if self.position else position
            elif name == b"x-strangler-not-executed":
                self.not_executed = value == b"1"
            elif name == b"upgrade" and self.status == 101:
                continue
            cuts.append((found.start() + 1, found.end() + 2))
        if self.chunked and self.length >= 0:
            raise _BadAnswer
        kept = grammar.without(block, cuts) if cuts else block
        self._keep_alive = b"close" not in named if http11 else b"keep-alive" in named
        if named:
            beyond = frozenset(named) - _OF_THIS_HOP
            kept = grammar.without_named(kept, beyond) if beyond else kept
        self.kept = kept

    def _framing(self) -> Body:
        if self._head_only or self.status in (204, 304):
            return Counted(0)
        if self.chunked:
            return Chunked()
        if self.length >= 0:
            return Counted(self.length)
        return ToTheEnd()

    def _switch(self, sink: Sink, rest: bytes) -> None:
        if not self._switches:
            raise _BadAnswer
        self._sink = None
        self.deadline = 0.0
        sink.upstream_switched(self, rest)

    def header(self, name: bytes) -> bytes:
        """A field of the answer by its name in lower case; nothing if there is none."""
        at = self.kept.lower().find(b"\n" + name + b":")
        if at < 0:
            return b""
        return self.kept[at + len(name) + 2 : self.kept.index(b"\r\n", at + 1)].strip(b" \t")


_COMPLETE = Counted(0)
_OF_THIS_HOP = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"content-length", b"set-cookie"})
_STATUS_LINES: dict[bytes, tuple[bool, int]] = {}


def _status(line: bytes) -> tuple[bool, int]:
    """Whether it speaks HTTP/1.1, and the status. Applications have few status lines, so they are remembered."""
    found = grammar.STATUS_LINE.fullmatch(line)
    if found is None:
        raise _BadAnswer
    known = (found[1] == b"1", int(found[2]))
    if len(_STATUS_LINES) < 256 and len(line) < 64:
        _STATUS_LINES[line] = known
    return known
