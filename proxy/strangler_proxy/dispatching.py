"""Routing one request: by the table of this moment; perhaps parked, perhaps after a short wait.

A wait runs in a task and then routes again from the start, for the table may have changed meanwhile.
"""

from __future__ import annotations

from time import perf_counter

from strangler.domain.decision import Decision
from strangler.domain.freshness import NOWHERE, Positions, merge
from strangler.domain.paths import is_reserved
from strangler_proxy import nested, positions, problems
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
            if request.fields.authorization and plane.credentials.matter(table, met):
                self._wait(self._look_up(known))
                return
            self._known = known
        way, self._cookie = plane.router.decide(table, met, request, request.address, known, plane.markers.known)
        if way.decision.awaited and patient:
            self._wait(self._await_markers(way.decision))
            return
        self._send(way)

    async def _look_up(self, known: Positions) -> None:
        stored = await self._plane.credentials.of(positions.credential(self.request))
        self._known = merge(known, stored)
        self._dispatch()

    async def _await_markers(self, decision: Decision) -> None:
        passed = await self._plane.markers.passed(decision.awaited, self._plane.limits.freshness)
        self._plane.metrics.waits.add("passed" if passed else "timed-out")
        self._dispatch(patient=False)

    def _park(self) -> None:
        self._parked = self._plane.holds.park(self)
        if not self._parked:
            self.answer(problems.HOLD_FULL)

    def released(self) -> None:
        self._parked = False
        self._dispatch()

    def hold_failed(self) -> None:
        self._parked = False
        self.answer(problems.HELD)
