"""The parallel run, as far as it is the proxy's: reads that are answered by the owner and, afterwards, by the service too.

The user's answer never waits for a copy and never suffers from one: copies are bounded in number and time, and what does not
fit is dropped and counted. Only GET and HEAD without a body, never what a rule declares as writing.

Bodies are not compared here. Equal by status, headers and digest is a count; anything else is a pair that the engine judges.
Before it goes there it is made sure that nothing was in flight: the owner is asked once more, so that the engine sees what the
owner did not answer twice alike, and where a row may have been on its way (see ``flight``) both sides are asked again after the
watermark has passed. A share of samples asks the owner twice in any case: from these, and from no others, noise is learned.
"""

from __future__ import annotations

import asyncio
import random
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any

from strangler.domain.decision import Access, ContextState, Decision
from strangler.domain.freshness import Positions, unmet
from strangler.domain.stages import Side, Stage
from strangler.domain.table import until_fresh
from strangler_proxy import asking, flight, forwarding
from strangler_proxy.answers import Answer, Recorder, TooLarge
from strangler_proxy.identity import Unidentified
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

_LONGEST_TARGET = 2048


class Copy:
    """One read that was sampled: while its answer passes, then as what becomes of it."""

    def __init__(
        self, request: Request, decision: Decision, connection: UpstreamConnection, seconds: float, markers: dict[str, int]
    ) -> None:
        context = decision.context
        assert context is not None
        self.request, self.context, self.decision = request, context, decision
        self.noisy = random.random() < context.shadow_noise
        self._markers = markers
        self._original: Recorder | None = None
        if not forwarding.is_conditional(request):
            self._original = Recorder(connection.head, seconds)
        self.answers: dict[str, Answer] = {}
        self.settled: bool | None = None

    def original(self, data: bytes) -> None:
        if self._original is not None:
            self._original.add(data)

    async def run(self, plane: Plane) -> str:
        """The outcome. Raises what ``asking.ask`` raises for the service."""
        answers = self.answers
        original = self._original.answer() if self._original is not None else await self._ask(plane, Side.MONOLITH)
        answers["old"] = original
        if self.noisy:
            answers["new"], _ = await asyncio.gather(self._ask(plane, Side.SERVICE), self._ask_owner(plane, "again"))
        else:
            answers["new"] = await self._ask(plane, Side.SERVICE)
        if answers["new"].same(original):
            return "equal"
        if "again" in answers or await self._ask_owner(plane, "again"):
            self.settled = await self._settle(plane)
        return "different"

    async def _ask(self, plane: Plane, side: Side) -> Answer:
        return await asking.ask(plane, self.request, self.decision, side)

    async def _ask_owner(self, plane: Plane, name: str) -> bool:
        """Whether it answered; that it did not is no fault of the service."""
        try:
            self.answers[name] = await self._ask(plane, Side.MONOLITH)
        except (OSError, TimeoutError, TooLarge):
            return False
        return True

    async def _settle(self, plane: Plane) -> bool | None:
        """Whether it is sure that nothing was in flight, if need be by asking again later. None: nobody could say."""
        context = self.context
        said = await flight.ask(plane.pool, context, plane.settings.token)
        if said is None:
            return None
        if flight.settled(context, said, self._markers):
            return True
        if not await plane.markers.passed(flight.awaited(context, said), plane.limits.shadow_watermark):
            return False
        later = await self._ask(plane, Side.SERVICE)
        if not await self._ask_owner(plane, "old later"):
            return False
        self.answers["new later"] = later
        return True


class Shadow:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._running: set[asyncio.Task[None]] = set()

    def sample(
        self, request: Request, decision: Decision, connection: UpstreamConnection, known: Positions, started: float
    ) -> Copy | None:
        """A copy to be made of this read, if its context is watched, it is safe, and chance wants it.

        ``started``: when it came, on ``perf_counter``.
        """
        context = decision.context
        if context is None or random.random() >= context.shadow_share or context.stage not in (Stage.SHADOW, Stage.CANARY):
            return None
        if decision.side is not Side.MONOLITH or decision.access is not Access.READ or request.method not in ("GET", "HEAD"):
            return None
        plane = self._plane
        if plane.reports.full or len(self._running) >= plane.limits.shadow_copies:
            plane.reports.lose(context.name)
            return None
        if unmet(until_fresh(context, known), plane.markers.known):
            self._tell(request, context, "stale")
            return None
        return Copy(request, decision, connection, perf_counter() - started, dict(plane.markers.known))

    def submit(self, copy: Copy) -> None:
        """The user has the answer: now the copy may leave."""
        if len(self._running) >= self._plane.limits.shadow_copies:
            self._plane.reports.lose(copy.context.name)
            return
        task = self._plane.loop.create_task(self._compare(copy))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _compare(self, copy: Copy) -> None:
        """An error in here, whatever it is, ends in a counter."""
        outcome = "failed"
        try:
            outcome = await copy.run(self._plane)
        except Unidentified:
            outcome = "unidentified"
        except (OSError, TimeoutError):
            outcome = "unreachable"
        except TooLarge:
            outcome = "large"
        except Exception as error:
            self._plane.unexpected(error)
        self._tell(copy.request, copy.context, outcome, copy)

    def _tell(self, request: Request, context: ContextState, outcome: str, copy: Copy | None = None) -> None:
        """Counts it here, and tells the engine. Of the request only method and target go there."""
        self._plane.metrics.shadow.add(context.name, outcome)
        said: dict[str, Any] = {
            "method": request.method,
            "target": request.target[:_LONGEST_TARGET].decode("latin-1"),
            "outcome": outcome,
            "at": round(time.time(), 3),
        }
        answers = copy.answers if copy is not None else {}
        if "old" in answers and "new" in answers:
            said["ms"] = [round(answers["old"].ms, 2), round(answers["new"].ms, 2)]
        if copy is not None and copy.noisy and "again" in answers:
            said["noise"] = True
        if copy is not None and outcome == "different":
            said["settled"] = copy.settled
        noisy = "again" in answers and not answers["again"].same(answers["old"])
        self._plane.reports.add(context.name, said, answers if noisy or outcome == "different" else None)
