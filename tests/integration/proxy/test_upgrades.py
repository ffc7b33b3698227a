"""Other protocols after an upgrade: WebSocket by a client library and a server library, and the bytes themselves."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, raw, read_answer, response, table, until

Start = Callable[..., Proxy]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Kept: 1\r\n\r\n"


@pytest.fixture
def echo() -> Iterator[Server]:
    """A WebSocket server that says everything back; "bye" ends it from its side."""

    def talk(connection: ServerConnection) -> None:
        for message in connection:
            if message == "bye":
                return
            connection.send(message)

    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to_echo(echo: Server) -> dict[str, Any]:
    host, port = echo.socket.getsockname()
    target = {"targets": [f"http://{host}:{port}"]}
    return {"generation": 1, "version": 1, "default": target, "contexts": {}, "routes": [], "also": []}


def test_a_conversation_by_web_socket(start: Start, echo: Server) -> None:
    proxy = start(to_echo(echo))
    with connect(f"ws://127.0.0.1:{proxy.port}/chat", open_timeout=PATIENCE) as client:
        for message in ("hello", "ä" * 1000, b"\x00\xff", os.urandom(900_000)):
            client.send(message)
            assert client.recv(timeout=PATIENCE) == message
        assert proxy.metric("tunnels") == 1
    until(lambda: proxy.metric("tunnels") == 0, "the tunnel to end")
    until(lambda: proxy.metric("upstream_connections") == 0, "its connection to be given up")


def test_the_server_may_end_it(start: Start, echo: Server) -> None:
    proxy = start(to_echo(echo))
    with connect(f"ws://127.0.0.1:{proxy.port}/", open_timeout=PATIENCE) as client:
        client.send("bye")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=PATIENCE)
    until(lambda: proxy.metric("tunnels") == 0, "the tunnel to end")


def test_many_at_once(start: Start, echo: Server) -> None:
    proxy = start(to_echo(echo))
    with ExitStack() as stack:
        urls = [f"ws://127.0.0.1:{proxy.port}/{number}" for number in range(30)]
        clients = [stack.enter_context(connect(url, open_timeout=PATIENCE)) for url in urls]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.recv(timeout=PATIENCE) for client in clients] == [str(number) for number in range(30)]
    until(lambda: proxy.metric("tunnels") == 0, "the tunnels to end")


def test_a_refused_upgrade_is_an_ordinary_answer(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(403, b"no")
    proxy = start(table(monolith))
    with proxy.connect() as one:
        reader = one.makefile("rb")
        one.sendall(raw("GET", "/a", Connection="Upgrade", Upgrade="echo") + raw("GET", "/b"))
        assert [read_answer(reader).status for _ in range(2)] == [403, 403]
    asked = monolith.asked[-2]
    assert (asked.get("connection"), asked.get("upgrade")) == ("Upgrade", "echo")
    assert monolith.asked[-1].get("upgrade") is None


def switching(then: Callable[[socket.socket, Any], None]) -> Callable[[Asked, socket.socket, Any], bool]:
    def serve(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(SWITCH + b"greeting")
        then(one, reader)
        return False

    return serve


def test_bytes_before_and_right_behind_the_switch_get_through(start: Start, monolith: Application) -> None:
    """A client that is in a hurry; an application whose first words come with its 101."""
    heard: list[bytes] = []
    monolith.streaming = switching(lambda one, reader: heard.append(reader.read(5)))
    with start(table(monolith)).connect() as one:
        one.sendall(raw("GET", "/", Connection="Upgrade", Upgrade="echo") + b"early")
        reader = one.makefile("rb")
        head = b"".join(iter(reader.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"X-Kept: 1\r\n" in head
        assert reader.read(8) == b"greeting"
        assert reader.read() == b""
    assert heard == [b"early"]


def test_one_side_may_be_silent_and_the_other_still_speak(start: Start, monolith: Application) -> None:
    def answer_at_the_end(one: socket.socket, reader: Any) -> None:
        one.sendall(hashlib.sha256(reader.read()).digest())

    monolith.streaming = switching(answer_at_the_end)
    data = os.urandom(5_000_000)
    with start(table(monolith)).connect() as one:
        one.sendall(raw("GET", "/", Connection="Upgrade", Upgrade="echo"))
        reader = one.makefile("rb")
        while reader.readline() != b"\r\n":
            pass
        assert reader.read(8) == b"greeting"
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        assert reader.read() == hashlib.sha256(data).digest()


def test_who_does_not_read_stops_who_sends(start: Start, monolith: Application) -> None:
    sent = threading.Event()

    def flood(one: socket.socket, reader: Any) -> None:
        one.settimeout(1.0)
        try:
            for _ in range(1000):
                one.sendall(bytes(65536))
        except TimeoutError:
            sent.set()

    monolith.streaming = switching(flood)
    proxy = start(table(monolith))
    before = proxy.resident()
    with proxy.connect() as one:
        one.sendall(raw("GET", "/", Connection="Upgrade", Upgrade="echo"))
        assert sent.wait(PATIENCE), "the application can send without end to a client that does not read"
        assert proxy.resident() - before < 8 * 1024 * 1024


def test_a_proxy_that_stops_ends_its_tunnels_in_time(start: Start, echo: Server) -> None:
    proxy = start(to_echo(echo))
    with connect(f"ws://127.0.0.1:{proxy.port}/", open_timeout=PATIENCE) as client:
        client.send("x")
        client.recv(timeout=PATIENCE)
        proxy.process.terminate()
        client.close()
    assert proxy.process.wait(PATIENCE) == 0


def test_trailers_pass_both_ways_but_not_those_that_belong_into_a_head(start: Start, monolith: Application) -> None:
    ends = b"2\r\nok\r\n0\r\nX-Sum: 7\r\n"
    monolith.handler = lambda asked: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ends + b"Set-Cookie: a=b\r\n\r\n"
    chunks = b"3\r\nabc\r\n0\r\nX-Check: 1\r\nContent-Length: 99\r\nX-Strangler-Epoch: 9\r\n\r\n"
    with start(table(monolith)).connect() as one:
        one.sendall(raw("POST", "/", Transfer_Encoding="chunked", Connection="close") + chunks)
        assert one.makefile("rb").read().endswith(b"\r\n\r\n" + ends + b"\r\n")
    assert monolith.asked[0].trailers == ["X-Check: 1"]
