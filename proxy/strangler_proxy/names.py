"""The addresses of a host name: asked of the system every few seconds, one question at a time, never on the loop.

While the name service has no answer the last good one stays: names that can't be resolved for a moment fail nobody.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Callable
from contextlib import suppress

from strangler_proxy.access_log import event


class Addresses:
    """Of one host. ``moved`` is called after an answer that lacks an address of the one before."""

    __slots__ = ("_asked", "_asking", "_fresh", "_host", "_loop", "_moved", "_port", "_unknown", "known")

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop, fresh: float, moved: Callable[[], None]) -> None:
        """``fresh``: for how many seconds an answer is good. A host that is an address is never asked for."""
        self._host, self._port, self._loop, self._fresh, self._moved = host, port, loop, fresh, moved
        self._asked = -1e9
        self._asking: asyncio.Task[None] | None = None
        self._unknown = False
        self.known: tuple[str, ...] = ()
        with suppress(ValueError):
            self.known = (str(ipaddress.ip_address(host)),)
            self._asked = float("inf")

    async def get(self) -> list[str]:
        """In the order to try them: as the system prefers, those of the first one's family shuffled. Raises ``OSError``."""
        if not self.known:
            await asyncio.shield(self.refresh())
        if len(self.known) == 1:
            return list(self.known)
        alike = [address for address in self.known if (":" in address) == (":" in self.known[0])]
        random.shuffle(alike)  # a name of several instances: each gets its share of the connections
        return alike + [address for address in self.known if address not in alike]

    def look(self) -> None:
        """Called now and then: asks anew when the answer is old, so that no connection has to wait for one."""
        if self.known and self._loop.time() - self._asked > self._fresh:
            self.refresh()

    def refresh(self) -> asyncio.Task[None]:
        """Asks, or joins who asks already. The task raises ``OSError`` if there is no answer."""
        if self._asking is None:
            self._asking = self._loop.create_task(self._ask())
            self._asking.add_done_callback(self._answered)
        return self._asking

    async def _ask(self) -> None:
        found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, f"{self._host} has no address")
        before, self.known = self.known, addresses
        if not set(before) <= set(self.known):
            event("target.moved", host=self._host, addresses=" ".join(self.known))
            self._moved()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self._unknown:
            event("target.unresolved", host=self._host, reason=error, kept=" ".join(self.known))
        self._unknown = error is not None
        if self.known:
            self._asked = self._loop.time()
