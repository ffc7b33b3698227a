"""Users of the proxy: each kind does one thing over and over, at its own pace, and says what ended wrongly."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.soak.journal import Failed, Journal

WITHIN = aiohttp.ClientTimeout(total=60.0)
NOT_EXECUTED = frozenset({"no-table", "held", "hold-full", "misdirected", "unreachable"})
"""Problems whose text promises that nothing was executed."""


class Users:
    """What every kind needs: the address, one session with kept connections, the journal."""

    def __init__(self, port: int, journal: Journal, session: aiohttp.ClientSession) -> None:
        self.port, self.journal, self.session = port, journal, session
        self.base = f"http://127.0.0.1:{port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def expect(self, answer: aiohttp.ClientResponse, *statuses: int) -> Any:
        """The answer's JSON. Raises ``Failed`` for another status, with the problem's words."""
        text = await answer.text()
        if answer.status not in statuses:
            raise Failed(f"{answer.status} {text[:150]}", away=answer.status in (502, 503, 504) and kind_of(text) in AWAY)
        return json.loads(text)


AWAY = frozenset({"unreachable", "broken-answer", "timed-out"})


def kind_of(text: str) -> str:
    try:
        return str(json.loads(text)["type"]).removeprefix("urn:strangler:")
    except (ValueError, KeyError, TypeError):
        return ""


@dataclass(frozen=True)
class Kind:
    """``loops`` users of this kind, each ``pause`` seconds idle on average between two rounds."""

    name: str
    loops: int
    pause: float
    once: Callable[[Users], Awaitable[None]]


async def run(users: Users, kind: Kind, stop: asyncio.Event) -> None:
    """One user, until ``stop``. A round that is under way is ended, not cut."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            await kind.once(users)
            users.journal.done[kind.name] += 1
        except (Failed, OSError, EOFError, TimeoutError, aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            users.journal.failed(kind.name, began, error)
        await asyncio.sleep(random.expovariate(1 / kind.pause))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one answer with a length, interim ones skipped."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status >= 200:
            break
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    return status, await reader.readexactly(int(fields[b"content-length"]))
