"""Holding writes during a cut-over (PROTOCOL, step 2), with an exact count of those that are under way.

A write counts from the moment it is let through until its response ended or its upstream connection died. That its client has
left does not end it. A hold is drained when every context it names has no such write.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy.metrics import Metrics

Owner = tuple[int, Side]
"""Epoch and owner, as the monolith answered."""


class Parked(Protocol):
    """A request that waits. ``writes`` are the contexts it may write."""

    __slots__ = ()

    @property
    def writes(self) -> tuple[str, ...]: ...

    def released(self) -> None:
        """Nothing holds it any more, or a table changed: it is routed from the start."""

    def hold_failed(self) -> None:
        """The hold ran out and nobody knows the owner: it is answered 503."""


class Writes:
    """How many writes of each context are under way."""

    def __init__(self, turned: Callable[[], None], note: Callable[[str, int], None] | None = None) -> None:
        """``turned`` is called when a context gets its first write or ends its last, ``note`` with every count."""
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._turned, self._note = turned, note

    def begin(self, contexts: tuple[str, ...]) -> None:
        for name in contexts:
            self.counts[name] += 1
            if self._note is not None:
                self._note(name, self.counts[name])
            if self.counts[name] == 1:
                self._turned()

    def end(self, contexts: tuple[str, ...]) -> None:
        for name in contexts:
            self.counts[name] -= 1
            if self._note is not None:
                self._note(name, self.counts[name])
            if not self.counts[name]:
                self._turned()


class _Hold:
    __slots__ = ("asking", "lapsed", "operation", "timer")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.timer: asyncio.TimerHandle | None = None
        self.lapsed = self.asking = False


class Holds:
    """``changed`` is called whenever what ``report`` says may have changed."""

    def __init__(
        self,
        *,
        limit: int,
        changed: Callable[[], None],
        ask: Callable[[str], Awaitable[Owner | None]],
        settle: Callable[[str, Owner], None],
        metrics: Metrics,
        note: Callable[[str, int], None] | None = None,
    ) -> None:
        self.writes = Writes(self._turned, note)
        self._limit, self._changed, self._ask, self._settle, self._metrics = limit, changed, ask, settle, metrics
        self.draining = False
        self._holds: dict[str, _Hold] = {}
        self._over: dict[str, str] = {}
        self._parked: dict[Parked, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, table: RouteTable) -> None:
        """Starts, keeps and ends holds by a new table, and releases what nothing holds any more, in order."""
        for name in [name for name in self._holds if name not in table.contexts or table.contexts[name].hold is None]:
            self._stop(name)
        for name, context in table.contexts.items():
            if context.hold is None:
                self._over.pop(name, None)
            elif self._over.get(name) != context.hold.operation:
                self._start(name, context.hold.operation, context.hold.for_ms / 1000)
        self._changed()
        self._release()

    def _turned(self) -> None:
        if self._holds or self.draining:
            self._changed()

    def _start(self, name: str, operation: str, seconds: float) -> None:
        running = self._holds.get(name)
        if running is not None and running.operation == operation:
            return
        self._stop(name)
        hold = self._holds[name] = _Hold(operation)
        hold.timer = asyncio.get_running_loop().call_later(seconds, self._lapse, name, hold)

    def _stop(self, name: str) -> None:
        hold = self._holds.pop(name, None)
        if hold is not None and hold.timer is not None:
            hold.timer.cancel()

    # -- requests --------------------------------------------------------------------------------------------------------

    def holds(self, contexts: tuple[str, ...], passes: frozenset[str]) -> bool:
        """Whether a request that may write these contexts has to wait."""
        return any(name in self._holds and name not in passes for name in contexts)

    def park(self, request: Parked) -> bool:
        """Keeps a request for later; False if too many wait already."""
        if len(self._parked) >= self._limit:
            self._metrics.parked.add("refused")
            return False
        self._parked[request] = None
        for name in request.writes:
            hold = self._holds.get(name)
            if hold is not None and hold.lapsed:
                self._ask_owner(name, hold)
        self._changed()
        return True

    def drop(self, request: Parked) -> None:
        """The client of a parked request has left: it will not be sent."""
        if self._parked.pop(request, self) is None:
            self._metrics.parked.add("left")
            self._changed()

    def _release(self) -> None:
        for request in list(self._parked):
            if request in self._parked and not self.holds(request.writes, frozenset()):
                del self._parked[request]
                self._metrics.parked.add("released")
                request.released()

    # -- the end of a hold that nobody ended -----------------------------------------------------------------------------

    def _lapse(self, name: str, hold: _Hold) -> None:
        hold.lapsed = True
        self._changed()
        self._ask_owner(name, hold)

    def _ask_owner(self, name: str, hold: _Hold) -> None:
        if hold.asking:
            return
        hold.asking = True
        task = asyncio.get_running_loop().create_task(self._go_on(name, hold))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, name: str, hold: _Hold) -> None:
        owner = await self._ask(name)
        hold.asking = False
        if self._holds.get(name) is not hold:
            return
        if owner is not None and owner[1] is not Side.NONE:
            self._over[name] = hold.operation
            self._settle(name, owner)
            self._stop(name)
            self._changed()
            self._release()
            return
        self._fail([request for request in self._parked if name in request.writes])
        self._changed()

    def give_up(self) -> bool:
        """The process ends: whoever waits is told that nothing was executed. Gives whether anybody was."""
        waiting = list(self._parked)
        self._fail(waiting)
        return bool(waiting)

    def _fail(self, requests: list[Parked]) -> None:
        for request in requests:
            if self._parked.pop(request, self) is None:
                self._metrics.parked.add("failed")
                request.hold_failed()

    # -- reports ---------------------------------------------------------------------------------------------------------

    def waiting(self) -> dict[tuple[str, ...], float]:
        """How many wait, by context; every held one is named."""
        found: dict[tuple[str, ...], float] = {(name,): 0.0 for name in self._holds}
        for request in self._parked:
            for name in request.writes:
                if (name,) in found:
                    found[name,] += 1
        return found

    def report(self) -> dict[str, dict[str, Any]]:
        """For the acknowledgement: by context the operation, whether it is drained, how many wait. Lapsed holds are not in it."""
        return {
            name: {
                "operation": hold.operation,
                "drained": self.writes.counts[name] == 0,
                "parked": sum(name in request.writes for request in self._parked),
            }
            for name, hold in self._holds.items()
            if not hold.lapsed
        }
