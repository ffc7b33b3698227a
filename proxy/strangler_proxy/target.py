"""Connections to one application's address: kept, limited, aged, and made to whatever its name stands for just now."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

from strangler_proxy import dialing
from strangler_proxy.health import Health, Patience
from strangler_proxy.names import Addresses
from strangler_proxy.response import KnownHeads
from strangler_proxy.settings import Limits
from strangler_proxy.upstream import UpstreamConnection

Tls = Callable[[], ssl.SSLContext]
Ejected = Callable[[str, str], None]
P = TypeVar("P", bound=asyncio.Protocol)


class Busy(OSError):
    """All connections to the target are taken, and too many requests wait for one, or this one has waited too long."""


class Target:
    """An origin: a server process, or the name of several. ``take`` is the fast way to a connection, ``acquire`` the sure one."""

    __slots__ = (
        "_addresses", "_connecting", "_ejected", "_host", "_idle", "_limits", "_loop", "_path", "_port", "_tls", "_waiting",
        "busy", "heads", "health", "open", "url",
    )  # fmt: skip

    def __init__(self, url: str, limits: Limits, loop: asyncio.AbstractEventLoop, tls: Tls, ejected: Ejected) -> None:
        parts = urlsplit(url)
        self.url = url
        self._path = parts.path if parts.scheme == "unix" else ""
        self._host = parts.hostname or ""
        self._tls = tls() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._limits, self._loop = limits, loop
        self._addresses = Addresses(self._host, self._port, loop, limits.resolve, self._moved)
        self._idle: deque[UpstreamConnection] = deque()
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self.busy: set[UpstreamConnection] = set()
        self.heads = KnownHeads()
        self.health = Health(Patience(checks=limits.check_failures))
        self._ejected = ejected
        self.open = self._connecting = 0

    def unexpected(self, error: BaseException) -> None:
        """A bug of ours, met in a parser's callback: told to the log."""
        self._loop.call_exception_handler({"message": "proxy.unexpected", "exception": error})

    def next_deadline(self) -> float:
        return self._loop.time() + self._limits.idle_response

    def failed(self, *, connecting: bool = False) -> None:
        """A connection could not be made or broke, an answer did not come in time or was 502 or 504."""
        self._tell(self.health.failed(self._loop.time(), connecting=connecting))

    def succeeded(self) -> None:
        self.health.succeeded(self._loop.time())

    def checked(self, well: bool) -> None:
        """What an active check found."""
        self._tell(self.health.checked(well, self._loop.time()))

    def _tell(self, why: str) -> None:
        if why:
            self._ejected(self.url, why)

    # -- connections for requests ----------------------------------------------------------------------------------------

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the most recently used first; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            transport = connection.transport
            if transport is not None and not transport.is_closing():
                self.busy.add(connection)
                return connection
        return None

    def take_alive(self) -> UpstreamConnection | None:
        """For what must not be sent twice: only a connection that was used a moment ago and has not been closed since.

        What is left is an application that closes within the time that the request needs to get there.
        """
        while self._idle:
            if self._loop.time() - self._idle[-1].idle_since > self._limits.write_idle:
                return None  # the others have been idle for longer still
            connection = self._idle.pop()
            if connection.usable and connection.silent():
                self.busy.add(connection)
                return connection
            connection.close()
        return None

    @property
    def full(self) -> bool:
        return self.open + self._connecting >= self._limits.connections_per_target

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self, *, fresh: bool = False, beyond: bool = False) -> UpstreamConnection:
        """A connection, made if need be, waited for at the limit. Raises ``Busy``, ``OSError`` or ``TimeoutError``.

        ``beyond`` the limit goes what an answer that is being made waits for: that answer may itself be what fills the target.
        """
        until = self._loop.time() + self._limits.queue
        while True:
            connection = None if fresh else self.take()
            if connection is not None:
                return connection
            if beyond or not self.full:
                return await self._connect()
            if fresh and self._idle:
                self._idle.popleft().close()  # makes room
            connection = await self._wait(until)
            if connection is not None and connection.usable:
                return connection

    async def _connect(self) -> UpstreamConnection:
        self._connecting += 1
        try:
            async with asyncio.timeout(self._limits.connect):
                connection = await self.dial(lambda: UpstreamConnection(self))
        except BaseException as error:
            self._wake()
            if isinstance(error, (OSError, TimeoutError)):
                self.failed(connecting=True)
            raise
        finally:
            self._connecting -= 1
        self.busy.add(connection)
        return connection

    async def dial(self, made: Callable[[], P]) -> P:
        """A connection beside the kept ones, at any of the name's addresses. Raises ``OSError``; the caller sets the time-out."""
        if self._path:
            return await self._made(made, lambda make: self._loop.create_unix_connection(make, self._path))
        tls, name = self._tls, self._host if self._tls else None

        async def connect(address: str) -> P:
            protocol = await self._made(
                made, lambda make: self._loop.create_connection(make, address, self._port, ssl=tls, server_hostname=name)
            )
            if isinstance(protocol, UpstreamConnection):
                protocol.address = address
            return protocol

        def discard(late: P) -> None:
            if isinstance(late, UpstreamConnection):
                late.close()

        return await dialing.first(await self._addresses.get(), connect, discard)

    @staticmethod
    async def _made(made: Callable[[], P], connecting: Callable[[Callable[[], P]], Coroutine[Any, Any, tuple[Any, P]]]) -> P:
        """uvloop closes a connection whose making was cancelled without a word to its protocol: it is told here."""
        begun: list[P] = []

        def make() -> P:
            begun.append(made())
            return begun[-1]

        try:
            return (await connecting(make))[1]
        except BaseException:
            for unwanted in begun:
                if isinstance(unwanted, UpstreamConnection):
                    unwanted.drop()
            raise

    async def _wait(self, until: float) -> UpstreamConnection | None:
        if len(self._waiting) >= self._limits.waiting_per_target:
            raise Busy(f"{self.url}: too many requests wait for a connection")
        waiting: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout_at(until):
                return await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():
                connection = waiting.result()
                self.release(connection) if connection is not None else self._wake()
            else:
                self._waiting.remove(waiting)
            if isinstance(error, TimeoutError):
                raise Busy(f"{self.url}: no connection was free within {self._limits.queue:g} s") from error
            raise

    def _wake(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def release(self, connection: UpstreamConnection) -> None:
        """Gives a connection back for the next request; one that went beyond the limit is not kept."""
        if self.open > self._limits.connections_per_target:
            connection.close()
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return
        self.busy.discard(connection)
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def made(self) -> float:
        """A connection stands. Gives the time."""
        self.open += 1
        return self._loop.time()

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is closed."""
        self.busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self.open -= 1
        self._wake()

    # -- time ------------------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Closes what has been idle for long (well before the application would), and expires what is late."""
        while self._idle and now - self._idle[0].idle_since > self._limits.upstream_idle:
            self._idle.popleft().close()
        for connection in list(self.busy):
            if connection.deadline and now > connection.deadline and not connection.paused:
                connection.expire()

    def mark(self, now: float) -> None:
        """Once a second."""
        self.health.mark(now)
        if not self._path:
            self._addresses.look()
        age = self._limits.upstream_age
        if age:
            self._retire(lambda connection: now - connection.made_at > age)

    def _moved(self) -> None:
        """The name stands for other addresses now."""
        known = frozenset(self._addresses.known)
        self._retire(lambda connection: connection.address not in known)

    def _retire(self, wanted: Callable[[UpstreamConnection], bool]) -> None:
        """Closes connections that should not be used again: idle ones now, busy ones after their answer."""
        for connection in [connection for connection in self._idle if wanted(connection)]:
            self._idle.remove(connection)
            connection.close()
        for connection in self.busy:
            if wanted(connection):
                connection.retired = True

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().close()
