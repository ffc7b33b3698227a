"""Large bodies: up and down, counted and in chunks, read and sent at leisure, refused before they are whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator

from tests.soak.application import PIECE
from tests.soak.journal import Failed
from tests.soak.traffic import Kind, Users

BLOCK = os.urandom(1024 * 1024)


async def upload(users: Users) -> None:
    size = random.randrange(1, 12 * len(BLOCK))
    parts = [BLOCK[: min(len(BLOCK), size - at)] for at in range(0, size, len(BLOCK))]

    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    counted = {"Content-Length": str(size)} if random.random() < 0.5 else {}
    async with users.session.post(f"{users.base}/upload", data=pieces(), headers=counted) as answer:
        said = await users.expect(answer, 200)
    if said != {"digest": hashlib.sha256(b"".join(parts)).hexdigest(), "size": size}:
        raise Failed("another body arrived than was sent")


async def download(users: Users, pause: float = 0.0) -> None:
    pieces = random.randrange(1, 100 if pause else 600)
    how = random.choice(("", "&chunked"))
    wanted, found = hashlib.sha256(PIECE * pieces).digest(), hashlib.sha256()
    async with users.session.get(f"{users.base}/download?pieces={pieces}{how}") as answer:
        if answer.status != 200:
            await users.expect(answer, 200)
        async for data in answer.content.iter_chunked(65536):
            found.update(data)
            await asyncio.sleep(pause)
    if found.digest() != wanted:
        raise Failed("another body arrived than was sent")


async def download_slowly(users: Users) -> None:
    await download(users, pause=0.02)


async def upload_slowly(users: Users) -> None:
    """A body that drips: it holds a connection, and nothing else."""
    body = os.urandom(400)

    async def drops() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 20):
            yield body[at : at + 20]
            await asyncio.sleep(0.05)

    async with users.session.post(f"{users.base}/upload", data=drops()) as answer:
        said = await users.expect(answer, 200)
    if said["digest"] != hashlib.sha256(body).hexdigest():
        raise Failed("another body arrived than was sent")


async def refused(users: Users) -> None:
    """413 while the body is still on its way: the answer gets through all the same."""
    reader, writer = await users.connect()
    try:
        writer.write(b"POST /upload?too-large HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % (8 * len(BLOCK)))
        sending = asyncio.create_task(_send(writer))
        try:
            line = await asyncio.wait_for(reader.readline(), 60)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if not line.startswith(b"HTTP/1.1 413 "):
            raise Failed(f"answered {line!r}", away=not line or line[9:12] in (b"502", b"503"))
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter) -> None:
    for _ in range(8):
        writer.write(BLOCK)
        await writer.drain()


KINDS = (
    Kind("uploads", 1, 0.5, upload),
    Kind("downloads", 1, 0.5, download),
    Kind("slow downloads", 2, 0.5, download_slowly),
    Kind("slow uploads", 2, 0.5, upload_slowly),
    Kind("early refusals", 1, 1.0, refused),
)
