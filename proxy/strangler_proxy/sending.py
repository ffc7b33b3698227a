"""Sending a request on: a connection is found, the head and what is there of the body leave, the rest follows as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.domain.decision import Access, Why
from strangler.domain.stages import Side, Stage
from strangler_proxy import forwarding, problems
from strangler_proxy.admitting import Admitting
from strangler_proxy.request import IDEMPOTENT_READS
from strangler_proxy.target import Busy

if TYPE_CHECKING:
    from strangler_proxy.routing import Way
    from strangler_proxy.target import Target
    from strangler_proxy.upstream import UpstreamConnection


class Sending(Admitting):
    """A body is kept, up to a limit, until the answer begins: only then the request can't be needed again."""

    def _send(self, way: Way) -> None:
        self._way, decision = way, way.decision
        if way.guarded and not self._may_go(way):
            return
        target = way.target
        if target is None:
            target = self._nearest(way)
        if target.health.until and self._plane.pool.shuns(target.url) and self._falls_back("ejected"):
            return
        connection = None
        if not self._retried:
            connection = target.take() if self._only_reads else target.take_alive()
        if connection is not None:
            self._transmit(connection)
        else:
            others = self._plane.pool.order(decision.urls)
            self._wait(self._connect([target, *(other for other in others if other is not target)]))

    @property
    def _only_reads(self) -> bool:
        """Whether it changes nothing, so that it may be sent a second time when nobody knows what became of the first."""
        met = self._met
        return self.request.method in IDEMPOTENT_READS and met is not None and not met.writes

    def _nearest(self, way: Way) -> Target:
        """The least busy target; the only one is remembered with the way."""
        urls = way.decision.urls
        if len(urls) == 1:
            way.target = self._plane.pool.target(urls[0])
            return way.target
        return self._plane.pool.order(urls, probe=not way.decision.met.writes)[0]

    async def _connect(self, targets: list[Target]) -> None:
        """Nothing was sent yet, so trying again is safe: elsewhere for a canary read, and for a while for all others.

        A write that waits here for its turn is not under way: a hold that comes meanwhile parks it too, a flip routes it anew.
        """
        plane, busy = self._plane, False
        fresh = self._retried or not self._only_reads
        patience = plane.loop.time() + plane.limits.connect_patience
        pause = 0.02
        while True:
            for target in sorted(targets, key=lambda target: target.full):
                try:
                    connection = await target.acquire(fresh=fresh, beyond=bool(self._passes))
                except OSError as error:
                    busy = busy or isinstance(error, Busy)
                    continue
                if self.writes and plane.tables.current is not self._table:
                    target.release(connection)
                    self._dispatch(patient=False)
                else:
                    self._transmit(connection)
                return
            if self._falls_back("busy" if busy else "unreachable"):
                return
            if busy:
                break
            if plane.loop.time() >= patience:
                break
            if await plane.tables.changed(self._table, pause):
                self._dispatch(patient=False)
                return
            pause = min(2 * pause, 0.25)
        self.answer(problems.BUSY if busy else problems.UNREACHABLE)

    def _falls_back(self, cause: str) -> bool:
        """A canary read, or a tester's, whose service is away goes to the monolith, which has the same data."""
        way, table = self._way, self._table
        assert way is not None
        assert table is not None
        decision = way.decision
        context = decision.context
        if context is None or decision.access is not Access.READ:
            return False
        if context.stage is not Stage.CANARY and decision.why is not Why.TESTER:
            return False
        if decision.side is not Side.SERVICE:
            return False
        self._plane.metrics.fallbacks.add(context.name, cause)
        self._send(self._plane.router.way(forwarding.fallback(table, decision)))
        return True

    def _transmit(self, connection: UpstreamConnection) -> None:
        plane, way, request = self._plane, self._way, self.request
        assert way is not None
        if way.decision.met.writes:
            self._counted = way.decision.met.writes
            plane.holds.writes.begin(self._counted)
        self._connection = connection
        head = forwarding.request_head(request, way, plane, self._identity if way.guarded else b"")
        if request.fields.has_body:
            chunked = request.fields.chunked
            parts = [head, *(map(forwarding.frame, self._body) if chunked else self._body)]
            if self.body_done and chunked:
                parts.append(forwarding.last_chunk(self._trailers))
            if not self._resendable:
                self._body.clear()
            head = b"".join(parts)
        connection.begin(
            self,
            head,
            head_only=request.method == "HEAD",
            deadline=plane.loop.time() + plane.limits.first_byte,
            switches=bool(request.upgrade),
        )
        if self.body_done:
            connection.sent()
        elif request.fields.has_body:
            self._client.want_more(self)

    def body(self, data: bytes) -> None:
        """A piece of the request's body has come."""
        self._body_size += len(data)
        connection = self._connection
        if self._resendable:
            if connection is not None and self._body_size > self._plane.limits.kept_body:
                self._resendable = False
                self._body.clear()
            else:
                self._body.append(data)
        if connection is not None:
            connection.deadline = self._plane.loop.time() + self._plane.limits.first_byte
            connection.write(forwarding.frame(data) if self.request.fields.chunked else data)
        if self._awaits_form:
            self._form_grew()

    def body_complete(self, trailers: bytes) -> None:
        self.body_done = True
        self._trailers = trailers
        if self._awaits_form:
            self._form_grew()
            return
        connection = self._connection
        if connection is not None:
            if self.request.fields.chunked:
                connection.write(forwarding.last_chunk(trailers))
            connection.sent()

    @property
    def wants_body(self) -> bool:
        """Whether the client should be read on for this request's body."""
        if self._connection is None:
            return self._body_size < self._plane.limits.kept_body
        return True
