"""Chromium through the proxy: events, uploads, cookies, many requests at once, a WebSocket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.integration.proxy.harness import Application, Proxy, running, table, until
from tests.integration.proxy.shop import open_shop


@pytest.fixture
def shop() -> Iterator[Application]:
    application = open_shop()
    yield application
    application.stop()


@pytest.fixture
def talking() -> Iterator[tuple[str, list[Any]]]:
    """A WebSocket server's address, and how conversations ended."""
    ended: list[Any] = []

    def talk(connection: ServerConnection) -> None:
        try:
            while True:
                connection.send(connection.recv())
        except ConnectionClosed as closed:
            ended.append((closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None)

    with serve(talk, "127.0.0.1", 0, subprotocols=["shop.v1"]) as server:  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}", ended
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(shop: Application, talking: tuple[str, list[Any]], tmp_path: Path) -> Iterator[Proxy]:
    snapshot = table(shop, shop, stage="live", epoch=7)
    snapshot["contexts"]["payments"]["targets"]["service"] = [talking[0]]
    (tmp_path / "table.json").write_text(json.dumps(snapshot))
    with running(tmp_path, "--table", str(tmp_path / "table.json"), "--workers", "2") as one:
        yield one


def test_all_that_a_page_does(page: Page, proxy: Proxy, talking: tuple[str, list[Any]]) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://127.0.0.1:{proxy.port}/site")
    seen = page.evaluate("all()")
    assert seen["events"] == ["0", "1", "2", "3", "4"]
    assert (seen["upload"]["length"], seen["upload"]["method"]) == (3_000_000, "POST")
    assert seen["form"]["length"] > 3_000_000
    assert (seen["page"], seen["zipped"]) == (10_000, 10_000)
    assert seen["many"] == [f"/n{number}" for number in range(30)]
    assert set(seen["cookies"].split("; ")) == {"a=1", "c=3"}, "b is not for scripts"
    assert {cookie["name"] for cookie in page.context.cookies()} >= {"a", "b", "c"}
    assert (seen["talk"], seen["protocol"], seen["closed"]) == ([5, 100_000], "shop.v1", [4001, "enough"])
    assert said == []
    until(lambda: talking[1] == [(4001, "enough")], "the server to hear the end")


def test_a_page_that_is_left_leaves_nothing_behind(page: Page, proxy: Proxy, shop: Application) -> None:
    """A stream of events that nobody reads any more is given up, at the application too."""
    left = threading.Event()

    def events(asked: Any, one: Any, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        reader.read()
        left.set()
        return False

    page.goto(f"http://127.0.0.1:{proxy.port}/site")
    shop.streaming = events
    page.evaluate("new Promise(done => { window.stream = new EventSource('/events'); stream.onmessage = () => done() })")
    page.goto("about:blank")
    assert left.wait(30), "the application goes on for nobody"
