"""One side's application, as a process: ``python -m tests.soak.application SIDE PORT DIRECTORY``.

Each write leaves a line in a file of its side before it is answered, and in the same breath it is checked who owns its context:
so the file says afterwards what was executed, where, and by which stamp. Ownership lies in a file too: it outlives a kill -9.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

PIECE = bytes(range(256)) * 64
LARGEST = 64 * 1024 * 1024


class Side:
    """Where this side's writes and its knowledge of the owner are kept."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._ownership = directory / f"{name}.ownership.json"
        self._writes = (directory / f"{name}.writes.jsonl").open("a", buffering=1)
        self._count = 0
        try:
            self.owned: dict[str, Any] = json.loads(self._ownership.read_text())
        except FileNotFoundError:
            self.owned = {"context": "payments", "owner": "monolith", "epoch": 0, "operation": None}

    def learn(self, owned: dict[str, Any]) -> None:
        if owned["epoch"] >= self.owned["epoch"]:
            self.owned = owned
            beside = self._ownership.with_suffix(".new")
            beside.write_text(json.dumps(owned))
            beside.replace(self._ownership)

    def refuses(self, request: web.Request) -> bool:
        """P20: a stamp that is newer than what is known here, or a write of a context that is not owned here."""
        if request.headers.get("X-Strangler-Context") != "payments":
            return False
        newer = int(request.headers["X-Strangler-Epoch"]) > self.owned["epoch"]
        writes = request.headers.get("X-Strangler-Access") == "write"
        return newer or (writes and self.owned["owner"] != self.name)

    def execute(self, request: web.Request) -> str:
        """Notes a write as executed; gives its position."""
        self._count += 1
        line = {
            "id": request.query["id"],
            "side": self.name,
            "context": request.headers.get("X-Strangler-Context", "-"),
            "stamp": int(request.headers.get("X-Strangler-Epoch", 0)),
            "owner": self.owned["owner"],
            "epoch": self.owned["epoch"],
        }
        self._writes.write(json.dumps(line) + "\n")
        return f"{'monolith' if self.name == 'monolith' else 'payments'}:{self.owned['epoch']}:{self._count}"


SIDE = web.AppKey("side", Side)


@web.middleware
async def stamps(request: web.Request, handler: Any) -> web.StreamResponse:
    side = request.app[SIDE]
    if side.refuses(request):
        return not_executed(side)
    return await handler(request)


def not_executed(side: Side) -> web.Response:
    return web.json_response({**side.owned, "executed": False}, status=421, headers={"X-Strangler-Not-Executed": "1"})


async def page(request: web.Request) -> web.Response:
    return web.json_response({"side": request.app[SIDE].name, "path": request.path})


async def write(request: web.Request) -> web.Response:
    side = request.app[SIDE]
    digest = hashlib.sha256(await request.read()).hexdigest()
    if side.refuses(request):  # while the body came the owner may have changed: the database's fence would refuse it now
        return not_executed(side)
    position = side.execute(request)
    await asyncio.sleep(random.expovariate(200))
    return web.json_response({"side": side.name, "digest": digest}, status=201, headers={"X-Strangler-Position": position})


async def upload(request: web.Request) -> web.Response:
    digest, size = hashlib.sha256(), 0
    async for data in request.content.iter_chunked(65536):
        digest.update(data)
        size += len(data)
        if "too-large" in request.query:
            return web.json_response({"error": "too large"}, status=413)
    return web.json_response({"digest": digest.hexdigest(), "size": size})


async def download(request: web.Request) -> web.StreamResponse:
    pieces = int(request.query["pieces"])
    answer = web.StreamResponse()
    if "chunked" in request.query:
        answer.enable_chunked_encoding()
    else:
        answer.content_length = pieces * len(PIECE)
    await answer.prepare(request)
    for _ in range(pieces):
        await answer.write(PIECE)
    return answer


async def events(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    for number in range(int(request.query["count"])):
        await answer.write(b"data: %d\n\n" % number)
        await asyncio.sleep(0.05)
    return answer


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=LARGEST)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def ownership(request: web.Request) -> web.Response:
    side = request.app[SIDE]
    if request.method == "PUT":
        side.learn(await request.json())
    return web.json_response(side.owned)


def application(side: Side) -> web.Application:
    app = web.Application(middlewares=[stamps], client_max_size=LARGEST)
    app[SIDE] = side
    app.router.add_route("*", "/_strangler/ownership", ownership)
    app.router.add_post("/upload", upload)
    app.router.add_get("/download", download)
    app.router.add_get("/events", events)
    app.router.add_get("/talk", talk)
    app.router.add_post("/{rest:.*}", write)
    app.router.add_get("/{rest:.*}", page)
    return app


def main(name: str, port: str, directory: str) -> None:
    side = Side(name, Path(directory))
    web.run_app(application(side), host="127.0.0.1", port=int(port), print=None, access_log=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
