"""The published markers of the streams, and requests that wait for one: woken by the push, never by polling (P23, P24)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from strangler.domain.freshness import Awaited, unmet


class Markers:
    """``known`` is what ``strangler.domain`` decides by."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self._waiting: dict[asyncio.Future[bool], Awaited] = {}

    def update(self, published: Mapping[str, int]) -> None:
        """Markers only rise; a lower one is an old message."""
        rose = False
        for stream, marker in published.items():
            if marker > self.known.get(stream, -1):
                self.known[stream] = marker
                rose = True
        if rose:
            for future, awaited in list(self._waiting.items()):
                if not future.done() and not unmet(awaited, self.known):
                    future.set_result(True)

    async def passed(self, awaited: Awaited, within: float) -> bool:
        """Waits until all are passed, or the time is over (False)."""
        if not unmet(awaited, self.known):
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[future] = awaited
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            return False
        finally:
            del self._waiting[future]
