"""The proxy's two protocols between transports made of memory, on a loop with its own clock: thousands of messages a second."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import Callable
from typing import Any

from strangler.domain.table import compile as compile_table
from strangler_proxy.plane import Plane
from strangler_proxy.server import ClientConnection
from strangler_proxy.settings import Endpoint, Limits, Settings
from tests.corpus.recorder import Conversation, Recorder

_LIMITS = Limits()
_ORIGIN = "http://127.0.0.1:1"
SNAPSHOT: dict[str, Any] = {
    "generation": 1, "version": 1, "default": {"targets": [_ORIGIN]}, "contexts": {}, "routes": [], "also": [],
}  # fmt: skip


class Loop(asyncio.SelectorEventLoop):
    """Time stands still but for ``pass_time``. Connections to applications are made by ``connect``."""

    now = 1000.0
    connect: Callable[[asyncio.Protocol], asyncio.Transport]

    def __init__(self) -> None:
        super().__init__()
        self.quiet, self._other = socket.socketpair()  # for who asks a transport's socket whether something has come: never
        self.quiet.setblocking(False)  # as asyncio's are

    def close(self) -> None:
        super().close()
        self.quiet.close()
        self._other.close()

    def time(self) -> float:
        return self.now

    async def create_connection(self, factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        protocol = factory()
        transport = self.connect(protocol)
        protocol.connection_made(transport)
        return transport, protocol

    def settle(self) -> None:
        """Runs until nothing is ready any more."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:  # type: ignore[attr-defined]
                return

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.settle()


class Transport(asyncio.Transport):
    """One end. ``write`` hands to ``said``; what the other end says comes by ``hear``, ``hear_end`` and ``hear_reset``."""

    def __init__(self, loop: Loop, protocol: asyncio.Protocol, said: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        super().__init__(extra={"peername": ("127.0.0.1", 5), "socket": loop.quiet})
        self._loop, self._protocol, self._said, self._ended = loop, protocol, said, ended
        self._waiting: list[bytes] = []
        self._paused = self._closing = self._end_waits = self._half_closed = False

    def write(self, data: Any) -> None:
        assert not self._half_closed, "written after write_eof"
        if not self._closing:
            self._said(bytes(data))

    def hear(self, data: bytes) -> None:
        if self._paused or self._waiting:
            self._waiting.append(data)
        elif not self._closing and data:
            self._protocol.data_received(data)

    def hear_end(self) -> None:
        if self._paused or self._waiting:
            self._end_waits = True
        elif not self._closing and not self._protocol.eof_received():
            self.close()

    def hear_reset(self) -> None:
        self._lose(ConnectionResetError())

    def _lose(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._waiting.clear()
            self._loop.call_soon(self._protocol.connection_lost, error)
            self._ended()

    # -- asyncio.Transport -----------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._half_closed:
            self._half_closed = True
            self._ended()

    def pause_reading(self) -> None:
        assert not self._paused, "paused twice"
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.hear(data)
        if self._end_waits and not self._waiting and not self._paused:
            self._end_waits = False
            self.hear_end()


class Client:
    """Somebody who talks to the proxy. ``closed``: the proxy has ended its side."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.received = b""
        self.closed = False
        protocol = ClientConnection(world.plane)
        self.transport = Transport(world.loop, protocol, self._take, self._end)
        protocol.connection_made(self.transport)

    def _take(self, data: bytes) -> None:
        self.received += data

    def _end(self) -> None:
        self.closed = True

    def say(self, data: bytes) -> None:
        self.transport.hear(data)
        self._world.loop.settle()

    def end(self) -> None:
        self.transport.hear_end()
        self._world.loop.settle()


class Link:
    """A connection that the proxy made to the application. ``cut`` says how its words come: in which pieces."""

    def __init__(self, world: World, protocol: asyncio.Protocol, conversation: Conversation) -> None:
        self._world, self._conversation = world, conversation
        self.transport = Transport(world.loop, protocol, self._take, self._end)
        self.ended_by_proxy = False

    def _take(self, data: bytes) -> None:
        said = self._conversation.hear(data)
        for piece in self._world.cut(said):
            self._world.loop.call_soon(self.transport.hear, piece)
        if self._conversation.ended:
            ends = self.transport.hear_reset if self._conversation.ended == "reset" else self.transport.hear_end
            self._world.loop.call_soon(ends)

    def _end(self) -> None:
        self.ended_by_proxy = True


class World:
    """A plane, an application, and what went wrong in callbacks. Use it in ``with``."""

    def __init__(self, snapshot: dict[str, Any] = SNAPSHOT, limits: Limits = _LIMITS) -> None:
        self.loop = Loop()
        self.loop.connect = self._connect
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(context))
        self.recorder = Recorder()
        self.links: list[Link] = []
        self.cut: Callable[[bytes], list[bytes]] = lambda said: [said]
        settings = Settings(Endpoint("127.0.0.1", 0), None, None, token="secret", access_log=0.0, limits=limits)
        self.plane = Plane(settings, self.loop)
        self.plane.log.wants = lambda status: False  # type: ignore[method-assign]
        with contextlib.redirect_stderr(io.StringIO()):  # where it says that a table is applied
            self.run(lambda: self.plane.tables.apply(compile_table(snapshot)))

    def run(self, step: Callable[[], object]) -> None:
        """Calls it inside the running loop."""
        self.loop.call_soon(step)
        self.loop.settle()

    def _connect(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        link = Link(self, protocol, self.recorder.connect())
        self.links.append(link)
        return link.transport

    def client(self) -> Client:
        return Client(self)

    def forget(self) -> None:
        """Ends every connection, so that the next message meets none of the last one."""
        for link in self.links:
            link.transport.hear_reset()
        for client in list(self.plane.clients):
            client.abort()
        self.loop.settle()
        self.links.clear()
        for url in list(self.plane.pool._targets):
            del self.plane.pool._targets[url]
        self.plane.router._places.clear()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self.loop.close()
        assert not self.errors, self.errors
