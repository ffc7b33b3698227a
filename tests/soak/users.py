"""People and programs with small requests: they read, write, pipeline, and speak old or careless HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator

import aiohttp

from tests.soak.journal import Failed
from tests.soak.traffic import NOT_EXECUTED, Kind, Users, kind_of, read_answer

PAGES = ("/", "/api/orders/7", "/api/payments/", "/api/payments/42?page=2")


async def read(users: Users) -> None:
    user = str(random.randrange(200))
    headers = {"Cookie": f"sessionid=s{user}", "X-Request-ID": f"soak-{user}", "Accept-Language": "en"}
    path = random.choice(PAGES)
    async with users.session.get(users.base + path, headers=headers) as answer:
        said = await users.expect(answer, 200)
    if said["path"] != path.partition("?")[0]:
        raise Failed(f"asked for {path}, was answered {said}")


async def write(users: Users) -> None:
    """A write that must have been executed once, or not at all if the answer says so."""
    noted = users.journal.write()
    body = os.urandom(random.randrange(1, 3000))
    where = random.choice(("/api/payments/", "/api/payments/7", "/api/orders/", "/api/orders/checkout"))
    headers = {"Authorization": f"Bearer token-{random.randrange(50)}"} if random.random() < 0.5 else {}
    chunked = random.random() < 0.3

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 500):
            yield body[at : at + 500]

    async with users.session.post(
        f"{users.base}{where}?id={noted.id}", data=pieces() if chunked else body, headers=headers, expect100=random.random() < 0.1
    ) as answer:
        text = await answer.text()
        if answer.status == 503 and kind_of(text) in NOT_EXECUTED:
            noted.acknowledged = False
        if answer.status != 201:
            raise Failed(f"{answer.status} {text[:150]}", away=kind_of(text) in ("unreachable", "broken-answer", "timed-out"))
        noted.acknowledged = True
    if json.loads(text)["digest"] != hashlib.sha256(body).hexdigest():
        raise Failed("the body was not the one that was sent")


async def pipeline(users: Users) -> None:
    reader, writer = await users.connect()
    try:
        count = random.randrange(2, 40)
        writer.write(b"".join(b"GET /page/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % number for number in range(count)))
        for number in range(count):
            status, body = await read_answer(reader)
            if status != 200:
                raise Failed(f"{status} {body[:150]!r}", away=kind_of(body.decode()) in ("unreachable", "broken-answer"))
            if json.loads(body)["path"] != f"/page/{number}":
                raise Failed(f"answers are out of order: {body!r} came {number}th")
    finally:
        writer.close()


async def plain(users: Users) -> None:
    """HTTP/1.0, or a client that shuts its side down after the question: the answer ends with the connection."""
    reader, writer = await users.connect()
    try:
        if random.random() < 0.5:
            writer.write(b"GET /old HTTP/1.0\r\n\r\n")
        else:
            writer.write(b"GET /silent HTTP/1.1\r\nHost: shop\r\n\r\n")
            writer.write_eof()
        said = await asyncio.wait_for(reader.read(), 60)
        if b"HTTP/1.1 200 " not in said:
            raise Failed(
                f"answered {said[:150]!r}", away=not said or b"urn:strangler:unreachable" in said or b"broken-answer" in said
            )
    finally:
        writer.close()


async def many_hands(users: Users) -> None:
    """A client without kept connections: these are spread over all workers."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.get(f"{users.base}/api/payments/{random.randrange(1000)}") as answer,
    ):
        await users.expect(answer, 200)


KINDS = (
    Kind("reads", 4, 0.03, read),
    Kind("writes", 6, 0.04, write),
    Kind("pipelines", 1, 0.3, pipeline),
    Kind("plain clients", 1, 0.1, plain),
    Kind("new connections", 1, 0.1, many_hands),
)
