"""Connections to applications: kept, limited, aged. One ``Target`` an origin; ``Pool`` finds the least busy of several."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from strangler_proxy.health import Health
from strangler_proxy.response import KnownHeads
from strangler_proxy.settings import Limits
from strangler_proxy.upstream import UpstreamConnection

Tls = Callable[[], ssl.SSLContext]
Ejected = Callable[[str, str], None]


class Target:
    """One server process's address. ``take`` is the fast way to a connection, ``acquire`` the patient one."""

    __slots__ = (
        "_connecting", "_ejected", "_host", "_idle", "_limits", "_loop", "_path", "_port", "_tls", "_waiting", "busy", "heads",
        "health", "open", "url",
    )  # fmt: skip

    def __init__(self, url: str, limits: Limits, loop: asyncio.AbstractEventLoop, tls: Tls, ejected: Ejected) -> None:
        parts = urlsplit(url)
        self.url = url
        self._path = parts.path if parts.scheme == "unix" else ""
        self._host = parts.hostname or ""
        self._tls = tls() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._limits, self._loop = limits, loop
        self._idle: deque[UpstreamConnection] = deque()
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self.busy: set[UpstreamConnection] = set()
        self.health = Health()
        self.heads = KnownHeads()
        self._ejected = ejected
        self.open = self._connecting = 0

    def unexpected(self, error: BaseException) -> None:
        """A bug of ours, met in a parser's callback: told to the log."""
        self._loop.call_exception_handler({"message": "proxy.unexpected", "exception": error})

    def next_deadline(self) -> float:
        return self._loop.time() + self._limits.idle_response

    def failed(self) -> None:
        """A connection could not be made or broke, an answer did not come in time or was 502 or 504."""
        why = self.health.failed(self._loop.time())
        if why:
            self._ejected(self.url, why)

    def succeeded(self) -> None:
        self.health.succeeded(self._loop.time())

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the most recently used first; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            transport = connection.transport
            if transport is not None and not transport.is_closing():
                self.busy.add(connection)
                return connection
        return None

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """A connection, made if need be, waited for at the limit. Raises ``OSError`` or ``TimeoutError``."""
        while True:
            connection = None if fresh else self.take()
            if connection is not None:
                return connection
            if self.open + self._connecting < self._limits.connections_per_target:
                return await self._connect()
            connection = await self._wait()
            if connection is not None and connection.usable:
                return connection

    async def _connect(self) -> UpstreamConnection:
        self._connecting += 1
        begun: list[UpstreamConnection] = []

        def made() -> UpstreamConnection:
            begun.append(UpstreamConnection(self))
            return begun[-1]

        try:
            async with asyncio.timeout(self._limits.connect):
                if self._path:
                    _, connection = await self._loop.create_unix_connection(made, self._path)
                else:
                    _, connection = await self._loop.create_connection(made, self._host, self._port, ssl=self._tls)
        except BaseException as error:
            for unwanted in begun:
                unwanted.drop()
            self._wake()
            if isinstance(error, (OSError, TimeoutError)):
                self.failed()
            raise
        finally:
            self._connecting -= 1
        self.busy.add(connection)
        return connection

    async def _wait(self) -> UpstreamConnection | None:
        waiting: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                connection = waiting.result()
                self.release(connection) if connection is not None else self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def release(self, connection: UpstreamConnection) -> None:
        """Gives a connection back for the next request."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self.busy.discard(connection)
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def made(self) -> None:
        """A connection stands."""
        self.open += 1

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is closed."""
        self.busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self.open -= 1
        self._wake()

    def sweep(self, now: float) -> None:
        """Closes what has been idle for long (well before the application would), and expires what is late."""
        while self._idle and now - self._idle[0].idle_since > self._limits.upstream_idle:
            self._idle.popleft().close()
        for connection in list(self.busy):
            if connection.deadline and now > connection.deadline and not connection.paused:
                connection.expire()

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().close()


class Pool:
    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop, tls: Tls, ejected: Ejected) -> None:
        """``tls`` gives the context for https targets; it is asked only if there are some. ``ejected`` is told url and reason."""
        self._limits, self._loop, self._tls, self._ejected = limits, loop, tls, ejected
        self._marked = 0.0
        self._targets: dict[str, Target] = {}

    def target(self, url: str) -> Target:
        found = self._targets.get(url)
        if found is None:
            found = self._targets[url] = Target(url, self._limits, self._loop, self._tls, self._ejected)
        return found

    def order(self, urls: tuple[str, ...], *, probe: bool = False) -> list[Target]:
        """The targets of some origins: the less busy of two drawn ones first. Ejected ones only if there are no others.

        ``probe``: this request may find out whether an ejected one is back.
        """
        if len(urls) == 1:
            return [self.target(urls[0])]
        now, targets = self._loop.time(), [self.target(url) for url in urls]
        if probe:
            back = [target for target in targets if target.health.until and target.health.admits(now)]
            if back:
                return back + [target for target in targets if not target.health.until]
        well = [target for target in targets if not target.health.until] or targets
        random.shuffle(well)
        well[:2] = sorted(well[:2], key=lambda target: len(target.busy))
        if random.random() >= well[0].health.weight(now):
            well.append(well.pop(0))  # it came back a moment ago
        return well

    def shuns(self, url: str) -> bool:
        """Whether a target is ejected, and this request not the one that finds out whether it is back."""
        health, now = self.target(url).health, self._loop.time()
        return bool(health.until) and health.probed_at != now and not health.admits(now)

    def keep_only(self, urls: Iterable[str]) -> None:
        """Closes idle connections to origins that no table names any more."""
        wanted = set(urls)
        for url in [url for url in self._targets if url not in wanted]:
            self._targets[url].close()
            if not self._targets[url].busy:
                del self._targets[url]

    def sweep(self, now: float) -> None:
        mark = now - self._marked >= 1.0
        if mark:
            self._marked = now
        for target in list(self._targets.values()):
            target.sweep(now)
            if mark:
                target.health.mark(now)

    def close(self) -> None:
        for target in self._targets.values():
            target.close()

    def ejected(self) -> dict[tuple[str, ...], float]:
        return {(url,): float(target.health.ejected) for url, target in self._targets.items()}

    def connections(self) -> dict[tuple[str, ...], float]:
        return {(url,): float(target.open) for url, target in self._targets.items()}
