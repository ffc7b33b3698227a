"""The `websockets` library through the proxy: fragments, pings, close codes, subprotocols, flips of the table, a drain."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Proxy, table, until

Start = Callable[..., Proxy]


@pytest.fixture
def server() -> Iterator[Server]:
    """Says back what it hears, in as many fragments as it came; "code N" makes it close with that code, "flood" send 64 MB."""

    def talk(connection: ServerConnection) -> None:
        while True:
            parts = list(connection.recv_streaming())
            if isinstance(parts[0], str) and parts[0].startswith("code "):
                connection.close(int(parts[0][5:]), "as asked")
                return
            if parts == ["flood"]:
                for _ in range(64):
                    connection.send(bytes(1_000_000))
                return
            connection.send(iter(parts) if len(parts) > 1 else parts[0])

    def quietly(connection: ServerConnection) -> None:
        try:
            talk(connection)
        except ConnectionClosed:
            return

    with serve(quietly, "127.0.0.1", 0, subprotocols=["shop.v2", "shop.v1"], max_size=None) as one:  # type: ignore[list-item]
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def address(server: Server) -> str:
    host, port = server.socket.getsockname()[:2]
    return f"http://{host}:{port}"


def to(server: Server) -> dict[str, Any]:
    return {"generation": 1, "version": 1, "default": {"targets": [address(server)]}, "contexts": {}, "routes": [], "also": []}


def dial(proxy: Proxy, path: str = "/", **more: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{proxy.port}{path}"
    return connect(url, open_timeout=60, max_size=None, proxy=None, subprotocols=["other", "shop.v1"], **more)  # type: ignore[list-item]


def test_fragments_arrive_as_fragments(start: Start, server: Server) -> None:
    parts = ["one ", "two ", "three ä"]
    with dial(start(to(server))) as client:
        client.send(iter(parts))
        assert [part for part in client.recv_streaming() if part] == parts
        client.send(iter([b"\x00" * 100_000, b"\xff"]))
        assert client.recv(timeout=PATIENCE) == b"\x00" * 100_000 + b"\xff"


def test_pings_are_answered_by_the_other_end(start: Start, server: Server) -> None:
    with dial(start(to(server)), ping_interval=None) as client:
        assert client.ping(b"are you there").wait(PATIENCE)
        client.send("between")
        assert client.recv(timeout=PATIENCE) == "between"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_codes_pass(code: int, start: Start, server: Server) -> None:
    with dial(start(to(server))) as client:
        client.send(f"code {code}")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "as asked")


def test_a_subprotocol_is_agreed_on(start: Start, server: Server) -> None:
    proxy = start(to(server))
    with dial(proxy) as client:
        assert client.subprotocol == "shop.v1"


def test_an_upgrade_that_is_refused_keeps_its_status(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    with pytest.raises(InvalidStatus) as refused:
        dial(start(table(monolith)))
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"no")


def test_a_client_that_does_not_read_stops_the_server(start: Start, server: Server) -> None:
    """64 messages of 1 MB, and the proxy keeps a few hundred kB of them."""
    proxy = start(to(server))
    before = proxy.resident()
    with dial(proxy, max_queue=1, ping_interval=None) as client:
        client.send("flood")
        first = client.recv(timeout=PATIENCE)
        assert proxy.resident() - before < 8_000_000
        assert [len(first)] + [len(client.recv(timeout=PATIENCE)) for _ in range(63)] == [1_000_000] * 64
    assert proxy.resident() - before < 8_000_000


def test_many_talk_at_once(start: Start, server: Server) -> None:
    proxy = start(to(server), "--workers", "2")

    def talk(number: int) -> bool:
        with dial(proxy) as client:
            for size in (1, 1_000, 200_000):
                message = os.urandom(size)
                client.send(message)
                if client.recv(timeout=60) != message:
                    return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(talk, range(20)))
    until(lambda: proxy.metric("tunnels") == 0, "the tunnels to end")
    until(lambda: proxy.metric("upstream_connections") == 0, "their connections to be given up")


def test_a_conversation_goes_on_through_a_flip(
    control: ControlPlane, start: Start, monolith: Application, service: Application, server: Server
) -> None:
    """It stays where it began; a new one goes where the table says."""
    snapshot = table(monolith, service, stage="live", epoch=7)
    snapshot["contexts"]["payments"]["targets"]["service"] = [address(server)]
    control.publish(snapshot)
    proxy = start(None, "--redis", control.url)
    with dial(proxy, "/api/payments/talk") as client:
        client.send("before")
        assert client.recv(timeout=PATIENCE) == "before"
        control.apply(table(monolith, service, stage="canary", percent=1, epoch=8, version=2))
        client.send("after")
        assert client.recv(timeout=PATIENCE) == "after"
        monolith.handler = lambda asked: b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(InvalidStatus):
            dial(proxy, "/api/payments/talk", additional_headers={"Authorization": "Bearer x"})


def test_a_drain_waits_for_conversations_and_then_ends_them(hurried: Start, server: Server) -> None:
    proxy = hurried(to(server), drain=3)
    with ExitStack() as stack:
        patient, hurrying = (stack.enter_context(dial(proxy)) for _ in range(2))
        until(lambda: proxy.metric("tunnels") == 2, "two conversations")
        proxy.process.send_signal(signal.SIGTERM)
        until(lambda: "worker.draining" in proxy.log.read_text(), "the drain to begin")
        hurrying.send("still here")
        assert hurrying.recv(timeout=PATIENCE) == "still here"
        hurrying.close()
        with pytest.raises(ConnectionClosed):
            patient.recv(timeout=PATIENCE)
    assert proxy.process.wait(PATIENCE) == 0
