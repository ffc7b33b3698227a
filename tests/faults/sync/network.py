"""The addresses between the processes, which can be cut, slow, silent or closed: a TCP forwarder each, all in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from deploy.local.ports import HOST

SLOW_S = 0.15
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


class Weather(StrEnum):
    CLEAR = "clear"
    SLOW = "slow"
    HOLE = "hole"  # nothing passes and nobody hears of it; what was sent arrives when it ends, also of those who have left
    REFUSED = "refused"  # no new connection
    MUTE = "mute"  # what is asked arrives, the answer does not


class Tape:
    """The batches that went by: bodies of ``POST /_strangler/changes``."""

    def __init__(self, kept: int = 200) -> None:
        self.bodies: deque[bytes] = deque(maxlen=kept)

    def listener(self) -> Callable[[bytes], None]:
        """For what one connection's client says."""
        held = bytearray()

        def hear(data: bytes) -> None:
            held.extend(data)
            while (end := held.find(b"\r\n\r\n")) >= 0:
                head = bytes(held[:end]).lower()
                found = LENGTH.search(head)
                size = end + 4 + (int(found[1]) if found else 0)
                if len(held) < size:
                    return
                if head.startswith(b"post /_strangler/changes"):
                    self.bodies.append(bytes(held[end + 4 : size]))
                del held[:size]

        return hear


class Link:
    """One way: ``port`` stands for the port ``target``."""

    def __init__(self, name: str, target: int, loop: asyncio.AbstractEventLoop) -> None:
        self.name, self.target, self.port, self.tape = name, target, 0, Tape()
        self._loop, self._weather, self._changed = loop, Weather.CLEAR, asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- from any thread ----------------------------------------------------------------------------------------------

    def set(self, weather: Weather) -> None:
        self._loop.call_soon_threadsafe(self._set, weather)

    def cut(self) -> None:
        """Every open connection is reset."""
        self._loop.call_soon_threadsafe(self._cut)

    # ---- in the loop --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        carrying = list(self._tasks)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    def _set(self, weather: Weather) -> None:
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        beyond = None
        try:
            if self._weather is Weather.REFUSED:
                return
            await self._passable()
            back, beyond = await asyncio.open_connection(HOST, self.target)
            self._writers.add(beyond)
            await asyncio.gather(
                self._pump(reader, beyond, self.tape.listener(), is_answer=False),
                self._pump(back, writer, lambda _: None, is_answer=True),
            )
        except OSError:
            pass  # one of the two ends has gone
        finally:
            for each in (writer, beyond):
                if each:
                    self._writers.discard(each)
                    each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None], *, is_answer: bool
    ) -> None:
        while data := await reader.read(65536):
            hear(data)
            await self._passable()
            if self._weather is Weather.MUTE and is_answer:
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _passable(self) -> None:
        if self._weather is Weather.SLOW:
            await asyncio.sleep(SLOW_S)
        while self._weather is Weather.HOLE:
            await self._changed.wait()


class Network:
    """All links, in a thread of their own. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self.links: dict[str, Link] = {}

    def start(self) -> None:
        self._thread.start()

    def link(self, name: str, target: int) -> Link:
        made = self.links[name] = Link(name, target, self._loop)
        asyncio.run_coroutine_threadsafe(made.open(), self._loop).result(10)
        return made

    def clear(self) -> None:
        for link in self.links.values():
            link.set(Weather.CLEAR)

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    async def _close(self) -> None:
        await asyncio.gather(*(link.close() for link in self.links.values()))
