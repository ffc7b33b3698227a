"""Active health checks: every target that may be asked is looked at now and then, whether users come or not.

Where the table names a health page (``health``) it must answer 200 … 399 in time. Elsewhere a connection is made and closed: a
monolith need not have a page. Both are beside the pool, so that a target that is only busy does not seem dead.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import cast

from strangler.domain.stages import Stage
from strangler.domain.table import RouteTable
from strangler_proxy import cancelling
from strangler_proxy.metrics import Counter
from strangler_proxy.pool import Pool
from strangler_proxy.settings import Limits
from strangler_proxy.target import Target

_MOST = 8 * 1024
_HEAD = "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: strangler-proxy health check\r\nAccept: */*\r\nConnection: close\r\n\r\n"


def wanted(table: RouteTable) -> dict[str, str]:
    """The targets that may be asked, each with its health page or "". A service that nothing is sent to need not run yet."""
    return dict(_wanted(table))


def _wanted(table: RouteTable) -> Iterator[tuple[str, str]]:
    for context in table.contexts.values():
        yield from ((url, "") for url in context.monolith)
    for context in table.contexts.values():
        if context.stage.rank >= Stage.SHADOW.rank:
            yield from ((url, context.health) for url in context.service)
    yield from ((url, table.health) for url in table.default)


class Checks:
    """One task a target. ``outcomes`` counts by target and outcome, ``well`` or ``failed``."""

    def __init__(self, pool: Pool, limits: Limits, loop: asyncio.AbstractEventLoop, outcomes: Counter) -> None:
        self._pool, self._limits, self._loop, self._outcomes = pool, limits, loop, outcomes
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def follow(self, table: RouteTable) -> None:
        """Begins and ends checks by a new table; those that it names as before go on undisturbed."""
        pages = wanted(table) if self._limits.check_every else {}
        for key in [key for key in self._tasks if pages.get(key[0]) != key[1]]:
            self._tasks.pop(key).cancel()
        for url, page in pages.items():
            target = self._pool.target(url)
            target.health.watched = bool(page)
            if (url, page) not in self._tasks:
                self._tasks[url, page] = self._loop.create_task(self._watch(target, page))

    async def stop(self) -> None:
        await cancelling.end(self._tasks.values())

    async def _watch(self, target: Target, page: str) -> None:
        """For ever. Spread out, so that workers and proxies that start together don't ask together."""
        seen = 0
        await asyncio.sleep(self._limits.check_every * random.random())
        while True:
            seen, before = target.health.requests, seen
            if page or target.health.troubled or seen == before:  # else the users' requests have just shown that it is well
                await self._look(target, page)
            await asyncio.sleep(self._limits.check_every * random.uniform(0.8, 1.2))

    async def _look(self, target: Target, page: str) -> None:
        try:
            async with asyncio.timeout(self._limits.check):
                well = await _ask(target, page)
        except OSError:
            well = False
        except Exception as error:
            target.unexpected(error)
            well = False
        self._outcomes.add(target.url, "well" if well else "failed")
        target.checked(well)


async def _ask(target: Target, page: str) -> bool:
    """Whether it is well. Raises ``OSError`` or ``TimeoutError`` if it is not."""
    check = await target.dial(lambda: _Check(asyncio.get_running_loop()))
    try:
        if not page:
            return True
        check.send(_HEAD.format(page, target.url.partition("://")[2] or "localhost").encode())
        line = await check.line
        return line.startswith(b"HTTP/1.") and line[9:10] in (b"2", b"3")
    finally:
        check.abort()


class _Check(asyncio.Protocol):
    """``line`` becomes the first line of what comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.line: asyncio.Future[bytes] = loop.create_future()
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.line.done() and (b"\n" in self._data or len(self._data) > _MOST):
            self.line.set_result(self._data.partition(b"\n")[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.line.done():
            self.line.set_result(b"")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.close()
