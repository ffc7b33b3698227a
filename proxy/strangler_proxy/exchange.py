"""One request and its answer: routed, perhaps parked, sent, streamed both ways, ended.

The straight way, from ``begin`` to ``upstream_end``, runs in parser callbacks without a task. Whatever has to wait (a connection,
a marker, a table, Redis) does so in one task, ``_waiting``, and then takes the straight way again. The way in is in
``dispatching`` and ``sending``, the way out in here, the end in ``ending``.
"""

from __future__ import annotations

from strangler.domain.freshness import NOWHERE, Positions, from_header, merge
from strangler_proxy import forwarding, positions, problems
from strangler_proxy.dispatching import Dispatching
from strangler_proxy.misdirected import Misdirected
from strangler_proxy.upstream import UpstreamConnection


class Exchange(Dispatching):
    """The application's answer, as it comes."""

    def upstream_interim(self, connection: UpstreamConnection) -> None:
        if not self._left and self.request.http11:
            self._out.append(connection.head.plain)

    def upstream_head(self, connection: UpstreamConnection) -> None:
        way, head = self._way, connection.head
        assert way is not None
        if head.not_executed and head.status == 421:
            self._misdirected = self._misdirected or Misdirected(self._plane.loop.time())
            self._misdirected.answer.clear()
            self._misdirected.swallowing = True
            return
        self._answered = True
        self.status = head.status
        self._body.clear()
        self._resendable = False
        if self._left:
            if head.position:
                self._after_write(connection)
            return
        if self._client.full:
            connection.read(False)
        if not self.body_done or self._plane.draining:
            self.closes = True
        if way.shadowed and not self._body_size:
            self._shadow = self._plane.shadow.sample(
                self.request, way.decision, connection, self._known or NOWHERE, self._started
            )
        extra = self._after_write(connection) if head.position else b""
        if self._cookie:
            extra += forwarding.own_cookie(self._cookie)
        inside = bool(self._passes)
        text, self._framed, needs_close = forwarding.response_head(self.request, head, extra, self.closes, inside)
        self.closes = self.closes or needs_close
        self._out.append(text)

    def _after_write(self, connection: UpstreamConnection) -> bytes:
        """The position cookie; for a client with a credential the position is stored before the answer leaves."""
        found = from_header(connection.head.position.decode("latin-1"))
        if not found:
            return b""
        merged = merge(self._known or NOWHERE, found)
        merged = {database: place for database, place in merged.items() if place != positions.UNKNOWN.get(database)}
        name = positions.credential(self.request)
        if name:
            connection.read(False)
            self._gate = self._plane.loop.create_task(self._store_position(name, found))
        return positions.set_cookie(merged)

    async def _store_position(self, name: str, found: Positions) -> None:
        await self._plane.credentials.record(name, found)
        self._gate = None
        if self._connection is not None:
            self._connection.read(not self._client.full or self._left)
        if not self._left:
            self.upstream_flush()
            if self._connection is None:
                self._finish()

    def upstream_body(self, data: bytes) -> None:
        if self._misdirected is not None and self._misdirected.swallowing:
            self._misdirected.take(data)
        elif not self._left:
            if self._shadow is not None:
                self._shadow.original(data)
            self._out.append(forwarding.frame(data) if self._framed else data)

    def upstream_flush(self) -> None:
        if self._out and self._gate is None and not self._left:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._client.write(data)

    def upstream_end(self, trailers: bytes) -> None:
        self._connection = None
        if self._counted:
            self._uncount()
        if self._left:
            return
        if self._misdirected is not None and self._misdirected.swallowing:
            self._route_anew(self._misdirected)
            return
        if self._framed:
            self._out.append(forwarding.last_chunk(trailers))
        if self._gate is None:
            self.upstream_flush()
            self._finish()

    def upstream_switched(self, connection: UpstreamConnection, rest: bytes) -> None:
        """The application speaks another protocol from here on: client and application are joined."""
        self._connection = None
        self._uncount()
        self.status = 101
        self._record()
        if self._left:
            connection.close()
        else:
            self._client.switch(self, connection, forwarding.switched_head(connection.head) + rest)

    def upstream_lost(self, began: bool, reused: bool) -> None:
        connection, self._connection = self._connection, None
        self._uncount()
        if self._left or connection is None:
            return
        if self._answered:
            self.status = 502
            self._record()
            self._left = True
            self._client.abort()
        elif not began and self._may_repeat():
            self._retried = True
            way = self._way
            assert way is not None
            if not self._falls_back("lost"):
                self._plane.metrics.retries.add(way.decision.side.value)
                self._dispatch(patient=False)
        else:
            self.answer(problems.BROKEN)

    def _may_repeat(self) -> bool:
        """Only a read that can be sent whole again, and only once: a write is never sent twice."""
        return not self._retried and self._resendable and self._only_reads

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        self._give_up(problems.TIMED_OUT)

    def upstream_full(self, full: bool) -> None:
        self._client.upstream_full(self, full)

    def client_full(self, full: bool) -> None:
        """The client reads slowly, or again."""
        if self._connection is not None and self._gate is None:
            self._connection.read(not full)

    def _route_anew(self, misdirected: Misdirected) -> None:
        """A side that did not execute the request said so (P20): the only answer after which a write is sent again."""
        assert self._way is not None
        decision = self._way.decision
        misdirected.swallowing = False
        context = decision.context
        self._plane.metrics.misdirected.add(context.name if context else "-", decision.side.value)
        if context is None or not self._resendable:
            self.answer(problems.MISDIRECTED)
            return
        if misdirected.newer_owner(decision.epoch) and misdirected.again(self._plane.limits):
            epoch, owner = misdirected.owner()
            self._plane.router.learn(context.name, epoch, owner)
            self._dispatch(patient=False)
        elif misdirected.epoch <= decision.epoch and self._falls_back("stale"):
            return
        else:
            self._wait(self._await_table(misdirected))

    async def _await_table(self, misdirected: Misdirected) -> None:
        """Nobody owns the context just now, or the owner does not know it yet: a newer table, or a moment, will tell."""
        left = misdirected.left(self._plane.loop.time(), self._plane.limits)
        if left <= 0:
            self.answer(problems.MISDIRECTED)
            return
        await self._plane.tables.changed(self._table, min(left, misdirected.pause()))
        self._dispatch(patient=False)
