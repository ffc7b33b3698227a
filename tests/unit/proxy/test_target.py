"""Connections of one target, on real listeners; the name service is the test's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from strangler_proxy.settings import Limits
from strangler_proxy.target import Busy, Target
from strangler_proxy.upstream import UpstreamConnection


class Names:
    """Stands in for the system's resolver of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *addresses: str) -> None:
        self.addresses, self.asked = list(addresses), 0
        loop.getaddrinfo = self._answer  # type: ignore[method-assign]
        self.gate: asyncio.Event | None = None

    async def _answer(self, host: Any, port: Any, **_: Any) -> list[Any]:
        if host != "app.test":  # asyncio asks for literal addresses too
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (str(host), port))]
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


class Listeners:
    """The same port on several addresses; ``open`` has the connections that stand, by address."""

    def __init__(self) -> None:
        self.port = 0
        self.servers: list[asyncio.Server] = []
        self.open: dict[str, set[asyncio.Transport]] = {}

    async def start(self, address: str) -> None:
        self.open[address] = set()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Accepted(self.open[address]), address, self.port)
        self.servers.append(server)
        self.port = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for transports in self.open.values():
            for transport in list(transports):
                transport.abort()
        await true(lambda: not any(self.open.values()))


class _Accepted(asyncio.Protocol):
    def __init__(self, among: set[asyncio.Transport]) -> None:
        self._among = among

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._among.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self._transport)


def target(url: str, **limits: Any) -> Target:
    def no_tls() -> Any:
        raise AssertionError

    return Target(url, Limits(**limits), asyncio.get_running_loop(), no_tls, lambda url, why: None)


def inside(body: Callable[[Listeners], Awaitable[None]]) -> None:
    async def run() -> None:
        listeners = Listeners()
        try:
            async with asyncio.timeout(20):
                await body(listeners)
        finally:
            await listeners.stop()

    asyncio.run(run())


async def true(condition: Callable[[], Any]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come true within 10 s")


def test_a_name_that_moves_takes_its_kept_connections_along() -> None:
    async def body(listeners: Listeners) -> None:
        names = Names(asyncio.get_running_loop(), "127.0.0.1")
        await listeners.start("127.0.0.1")
        await listeners.start("127.0.0.2")
        app = target(f"http://app.test:{listeners.port}", resolve=0.001)
        idle, busy = await app.acquire(fresh=True), await app.acquire(fresh=True)
        app.release(idle)
        names.addresses = ["127.0.0.2"]
        await asyncio.sleep(0.002)
        app.mark(asyncio.get_running_loop().time())
        await true(lambda: app.open == 1)
        assert not idle.usable
        assert busy.usable, "a request that is under way is not cut off"
        assert busy.retired, "but its connection is not kept afterwards"
        assert (await app.acquire()).address == "127.0.0.2"

    inside(body)


def test_every_address_is_tried_and_only_if_all_fail_it_is_a_failure() -> None:
    async def body(listeners: Listeners) -> None:
        names = Names(asyncio.get_running_loop(), "127.0.0.3", "127.0.0.4", "127.0.0.1")
        await listeners.start("127.0.0.1")
        app = target(f"http://app.test:{listeners.port}")
        for _ in range(10):
            assert (await app.acquire(fresh=True)).address == "127.0.0.1"
        assert not app.health.troubled
        assert names.asked == 1, "ten connections, one question"
        names.addresses.pop()
        await app._addresses.refresh()
        for _ in range(5):
            with pytest.raises(OSError, match="."):
                await app.acquire(fresh=True)
        assert app.health.ejected

    inside(body)


def test_an_address_that_says_nothing_is_not_waited_for() -> None:
    async def body(listeners: Listeners) -> None:
        await listeners.start("127.0.0.1")
        silent = socket.create_server(("127.0.0.2", listeners.port), backlog=0)
        fillers = []
        for _ in range(4):  # a full queue: further connections hang
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", listeners.port))
            fillers.append(filler)
        Names(asyncio.get_running_loop(), "127.0.0.2", "127.0.0.1")
        app = target(f"http://app.test:{listeners.port}", connect=10.0)
        for _ in range(6):
            assert (await app.acquire(fresh=True)).address == "127.0.0.1"
        for one in (silent, *fillers):
            one.close()

    inside(body)


def test_all_addresses_get_their_share() -> None:
    async def body(listeners: Listeners) -> None:
        Names(asyncio.get_running_loop(), "127.0.0.1", "127.0.0.2")
        await listeners.start("127.0.0.1")
        await listeners.start("127.0.0.2")
        app = target(f"http://app.test:{listeners.port}")
        assert {(await app.acquire(fresh=True)).address for _ in range(40)} == {"127.0.0.1", "127.0.0.2"}

    inside(body)


def test_a_storm_of_connections_is_one_question_and_the_last_answer_stays_when_there_is_none() -> None:
    async def body(listeners: Listeners) -> None:
        names = Names(asyncio.get_running_loop(), "127.0.0.1")
        names.gate = asyncio.Event()
        await listeners.start("127.0.0.1")
        app = target(f"http://app.test:{listeners.port}", resolve=0.001)
        storm = [asyncio.ensure_future(app.acquire(fresh=True)) for _ in range(50)]
        await true(lambda: names.asked)
        names.gate.set()
        await asyncio.gather(*storm)
        assert names.asked == 1
        names.addresses = []
        await asyncio.sleep(0.002)
        app.mark(asyncio.get_running_loop().time())
        await true(lambda: names.asked == 2)
        assert (await app.acquire(fresh=True)).address == "127.0.0.1"
        assert app.open == 51, "nobody lost a connection either"

    inside(body)


def test_old_connections_are_retired() -> None:
    async def body(listeners: Listeners) -> None:
        await listeners.start("127.0.0.1")
        app = target(f"http://127.0.0.1:{listeners.port}", upstream_age=100.0)
        idle, busy = await app.acquire(fresh=True), await app.acquire(fresh=True)
        app.release(idle)
        app.mark(idle.made_at + 99)
        assert idle.usable
        app.mark(idle.made_at + 101)
        assert not idle.usable
        assert busy.retired

    inside(body)


def test_a_full_target_is_waited_for_and_then_it_is_busy() -> None:
    async def body(listeners: Listeners) -> None:
        await listeners.start("127.0.0.1")
        app = target(f"http://127.0.0.1:{listeners.port}", connections_per_target=1, waiting_per_target=2, queue=0.2)
        only = await app.acquire()
        first, second = (asyncio.ensure_future(app.acquire()) for _ in range(2))
        await true(lambda: app.waiting == 2)
        with pytest.raises(Busy, match="too many requests wait"):
            await app.acquire()
        app.release(only)
        assert await first is only
        with pytest.raises(Busy, match=r"no connection was free within 0\.2 s"):
            await second
        assert app.waiting == 0
        assert not app.health.troubled, "being busy is no failure"

    inside(body)


def test_a_fresh_connection_is_made_at_the_limit_too() -> None:
    async def body(listeners: Listeners) -> None:
        await listeners.start("127.0.0.1")
        app = target(f"http://127.0.0.1:{listeners.port}", connections_per_target=1)
        app.release(kept := await app.acquire())
        assert await app.acquire(fresh=True) is not kept

    inside(body)


def test_a_write_takes_no_connection_that_has_ended_or_been_idle_for_long() -> None:
    async def body(listeners: Listeners) -> None:
        await listeners.start("127.0.0.1")
        app = target(f"http://127.0.0.1:{listeners.port}")
        ended = await app.acquire()
        await true(lambda: listeners.open["127.0.0.1"])
        app.release(ended)
        [other] = listeners.open["127.0.0.1"]
        with socket.socket(fileno=socket.dup(other.get_extra_info("socket").fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)  # the loop has not seen it yet
        assert ended.usable
        assert app.take_alive() is None
        old = await app.acquire(fresh=True)
        app.release(old)
        old.idle_since -= 2.0
        assert app.take_alive() is None
        assert app.take() is old, "good enough for a read, which can be sent again"
        app.release(old)
        assert app.take_alive() is old

    inside(body)


class Nobody:
    """A sink."""

    def upstream_lost(self, began: bool, reused: bool) -> None: ...

    def upstream_timeout(self, connection: UpstreamConnection) -> None:
        connection.abort()


def test_10000_abandoned_requests_are_not_the_targets_failures_and_five_time_outs_are() -> None:
    async def body(listeners: Listeners) -> None:
        app = target("http://127.0.0.1:1")
        for number in range(10_000):
            connection = UpstreamConnection(app)
            connection.transport = _Transport()  # type: ignore[assignment]
            connection.made_at = app.made()
            connection.begin(Nobody(), b"", head_only=False, deadline=1.0)  # type: ignore[arg-type]
            if number % 2:
                connection.abort()  # its client left before the answer
            else:
                connection.half_close()  # a write's client left in the middle of its body
            connection.connection_lost(None)
        assert not app.health.troubled
        for _ in range(5):
            connection = UpstreamConnection(app)
            connection.transport = _Transport()  # type: ignore[assignment]
            connection.made_at = app.made()
            connection.begin(Nobody(), b"", head_only=False, deadline=1.0)  # type: ignore[arg-type]
            connection.expire()
            assert not app.health.ejected, "while the client still sends, the application owes nothing"
            connection.sent()
            connection.expire()
            connection.connection_lost(None)
        assert app.health.ejected

    inside(body)


class _Transport:
    """Swallows."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False
