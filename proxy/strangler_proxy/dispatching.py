"""Routing one request: by the table of this moment; perhaps parked, perhaps after a short wait.

A wait runs in a task and then routes again from the start, for the table may have changed meanwhile.
"""

from __future__ import annotations

from time import perf_counter

from strangler.domain.decision import Decision, Met
from strangler.domain.freshness import NOWHERE, Positions, merge
from strangler.domain.paths import is_reserved
from strangler.domain.ratelimit import Limit
from strangler_proxy import limiting, nested, positions, problems
from strangler_proxy.sending import Sending


class Dispatching(Sending):
    """Where a request goes, and when."""

    def begin(self) -> None:
        """Called when it is this request's turn on its connection; parts of its body may have come already."""
        self.begun = True
        self._started = perf_counter()
        request = self.request
        if self.early is not None:
            self.answer(self.early, close=True)
        elif request.refused:
            self._plane.metrics.refused.add("bad-request")
            self.answer(problems.refusal(request.refused), close=True)
        else:
            fields = request.fields
            if not request.request_id:
                request.request_id = self._plane.new_request_id()
            if fields.nested:
                self._passes = nested.contexts(self._plane.secret, fields.nested, self._plane.wall())
            self._dispatch()

    def _dispatch(self, *, patient: bool = True) -> None:
        """Routes by the table of this moment. ``patient``: may still wait for markers (it does so once)."""
        plane, request = self._plane, self.request
        table = self._table = plane.tables.current
        if table is None:
            self.answer(problems.NOT_FOUND if is_reserved(request.path) else problems.NO_TABLE)
            return
        place = plane.router.place(table, request)
        if place.reserved:
            self.answer(problems.NOT_FOUND)
            return
        met = self._met = place.met
        if place.limit is not None and not self._admitted and not self._admit(met, place.limit):
            return
        if met.writes and plane.holds.holds(met.writes, self._passes):
            self._park()
            return
        known = self._known
        if known is None:
            if request.fields.plain and not plane.router.overrides:
                self._known = NOWHERE
                way, self._cookie = plane.router.usual(table, place, request, request.address)
                self._send(way)
                return
            known = positions.in_cookie(request)
            asked = self._asked = plane.signed_overrides.asked(request.fields)
            if request.fields.authorization and (asked is not None or plane.credentials.matter(table, met)):
                self._wait(self._look_up(known))
                return
            self._known = known
        way, self._cookie = plane.router.decide(table, met, request, request.address, known, plane.markers.known, self._asked)
        if way.decision.awaited and patient:
            self._wait(self._await_markers(way.decision))
            return
        self._send(way)

    def _admit(self, met: Met, limit: Limit) -> bool:
        """Whether a limited route lets it in now; else it was refused, or waits for Redis's word. Asked once a request.

        What an application asks itself, while it answers a write that was let in, is a part of that write.
        """
        self._admitted = True
        if self._passes:
            return True
        if limit.shared:
            self._wait(self._ask_redis(met, limit))
            return False
        return self._passes_limit(limit, self._plane.limiter.alone(met, limit, self.request))

    async def _ask_redis(self, met: Met, limit: Limit) -> None:
        if self._passes_limit(limit, await self._plane.limiter.together(met, limit, self.request)):
            self._dispatch()

    def _passes_limit(self, limit: Limit, wait: float) -> bool:
        if wait:
            self.answer(limiting.refusal(limit, wait))
        return not wait

    async def _look_up(self, known: Positions) -> None:
        stored = await self._plane.credentials.of(positions.credential(self.request))
        self._known = merge(known, stored)
        self._dispatch()

    async def _await_markers(self, decision: Decision) -> None:
        passed = await self._plane.markers.passed(decision.awaited, self._plane.limits.freshness)
        self._plane.metrics.waits.add("passed" if passed else "timed-out")
        self._patient = False
        self._dispatch(patient=False)

    def _park(self) -> None:
        self._parked = self._plane.holds.park(self)
        if not self._parked:
            self.answer(problems.HOLD_FULL)

    def released(self) -> None:
        self._parked = self._unidentified = False
        if self._client.gone:
            self.client_left()
            self._client.abort()
        else:
            self._dispatch()

    def hold_failed(self) -> None:
        self._parked = False
        self.answer(problems.HELD)
