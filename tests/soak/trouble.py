"""Clients that do the wrong thing. They may get any refusal, or none; they may not get a success, and nobody else may suffer."""

from __future__ import annotations

import asyncio
import os
import random

from tests.soak.journal import Failed
from tests.soak.traffic import Kind, Users

HEAD = b"POST /api/payments/ HTTP/1.1\r\nHost: shop\r\n"
RUBBISH = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded: yes\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    HEAD + b"Content-Length: -1\r\n\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
)


async def rubbish(users: Users) -> None:
    reader, writer = await users.connect()
    try:
        writer.write(random.choice((*RUBBISH, os.urandom(random.randrange(4, 4000)) + b"\r\n\r\n")))
        writer.write_eof()
        said = await asyncio.wait_for(reader.read(), 60)
        if b"HTTP/1.1 2" in said:
            raise Failed(f"rubbish was answered {said[:100]!r}")
    except (ConnectionResetError, BrokenPipeError):
        return
    finally:
        writer.close()


async def leave(users: Users) -> None:
    """Away at any moment: in the head, before the answer, in the middle of either body."""
    noted = users.journal.write()
    target = f"POST /api/payments/?id={noted.id} HTTP/1.1\r\nHost: shop\r\n".encode()
    asked = random.choice(
        (
            target[: random.randrange(1, len(target))],
            target + b"Content-Length: 3\r\n\r\nabc",
            target + b"Content-Length: 300000\r\n\r\n" + bytes(200_000),
            target + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"GET /download?pieces=2000 HTTP/1.1\r\nHost: shop\r\n\r\n",
            b"GET /events?count=1000 HTTP/1.1\r\nHost: shop\r\n\r\n",
            b"GET /talk HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
    )
    reader, writer = await users.connect()
    writer.write(asked)
    try:
        async with asyncio.timeout(random.expovariate(20)):
            await reader.read(random.randrange(1, 100_000))
    except (TimeoutError, ConnectionResetError):
        pass
    if random.random() < 0.5:
        writer.transport.abort()
    else:
        writer.close()


KINDS = (Kind("rubbish", 1, 0.2, rubbish), Kind("leaving clients", 2, 0.1, leave))
