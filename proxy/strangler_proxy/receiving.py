"""What a client sends: heads and bodies out of bytes as they come, exchanges into a queue, and what can't be read refused."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from strangler_proxy import grammar, problems
from strangler_proxy.bodies import BadBody, Body, Chunked, Counted
from strangler_proxy.exchange import Exchange
from strangler_proxy.request import Fields, Line, Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane

_NO_FIELDS, _NO_LINE = Fields(b"\r\n"), Line(b"")


class Receiving(asyncio.Protocol):
    """The base of a client's connection. ``_receiving`` is the exchange whose body is being read, ``_current`` the one being
    answered; the rest is queued. ``_deaf``: whatever else comes is ignored.
    """

    __slots__ = (
        "_body",
        "_body_time",
        "_buffer",
        "_checked",
        "_current",
        "_deaf",
        "_forwarded",
        "_peer",
        "_plane",
        "_queue",
        "_receiving",
        "_trusted",
        "_upgrading",
        "deadline",
        "full",
    )

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._buffer = b""
        self._checked = 0
        self._body: Body | None = None
        self._receiving: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._deaf = self._trusted = self._upgrading = self.full = False
        self._peer = ""
        self._forwarded = b""
        self.deadline = self._body_time = 0.0

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
        exchange = Exchange(self, self._plane, request)  # type: ignore[arg-type]  # only its child is ever made
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
        exchange = Exchange(self, self._plane, Request(_NO_LINE, _NO_FIELDS))  # type: ignore[arg-type]
        exchange.early = problem
        self._queue.append(exchange)
