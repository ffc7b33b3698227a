"""Connections that last: WebSockets and streams of events. They go on through flips."""

from __future__ import annotations

import asyncio
import os
import random

import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from tests.soak.journal import Failed
from tests.soak.traffic import Kind, Users


async def talk(users: Users) -> None:
    try:
        async with connect(f"ws://127.0.0.1:{users.port}/talk", max_size=None, ping_interval=5, open_timeout=60) as client:
            await _converse(client, random.randrange(1, 60))
    except InvalidStatus as error:
        raise Failed(str(error), away=error.response.status_code in (502, 503)) from error
    except WebSocketException as error:
        raise ConnectionResetError(str(error)) from error


async def _converse(client: websockets.ClientConnection, messages: int) -> None:
    for _ in range(messages):
        size = random.choice((1, 100, 5_000, 70_000, 300_000))
        message: str | bytes = random.choice((os.urandom(size), "ä" * (size // 2 + 1)))
        await client.send(message)
        if await asyncio.wait_for(client.recv(), 60) != message:
            raise Failed("another message came back than was sent")
        await asyncio.sleep(random.expovariate(20))


async def follow_events(users: Users) -> None:
    count = random.randrange(1, 100)
    async with users.session.get(f"{users.base}/events?count={count}") as answer:
        if answer.status != 200:
            await users.expect(answer, 200)
        said = await answer.read()
    if said != b"".join(b"data: %d\n\n" % number for number in range(count)):
        raise Failed("events are missing")


KINDS = (Kind("WebSockets", 3, 0.5, talk), Kind("event streams", 3, 0.5, follow_events))
