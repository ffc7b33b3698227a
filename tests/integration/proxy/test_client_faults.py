"""Clients that leave or talk nonsense, at each moment: nothing is left of them, and everybody else is served on."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import (
    PATIENCE,
    Application,
    Asked,
    Proxy,
    raw,
    read_answer,
    reset,
    response,
    running,
    table,
    until,
)

Start = Callable[..., Proxy]
Controlled = Callable[..., Proxy]
MEGABYTE = 1024 * 1024
HOLD = {"operation": "op", "for_ms": 60_000}
UPLOAD = b"POST /api/payments/ HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n"


def close(one: socket.socket) -> None:
    one.close()


leaving = pytest.mark.parametrize("leave", [close, reset])


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    one = Application()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def one_for_all(application: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    (directory / "table.json").write_text(json.dumps(table(application)))
    with running(directory, "--table", str(directory / "table.json")) as proxy:
        yield proxy


@pytest.fixture
def proxy(one_for_all: Proxy, application: Application) -> Iterator[Proxy]:
    application.asked.clear()
    yield one_for_all
    application.streaming, application.handler = None, lambda asked: response()
    alone(one_for_all)


def alone(proxy: Proxy) -> None:
    """Waits until nothing is left of those who have gone, and sees that others are served."""
    until(lambda: proxy.metric("clients") == 0, "the connections to be given up")
    until(lambda: proxy.metric("writes_in_flight") == 0, "the end of all writes")
    assert proxy.metric("held") == 0
    assert proxy.ask("GET", "/other").status == 200
    assert "Traceback" not in proxy.log.read_text()


@leaving
@pytest.mark.parametrize("said", [b"", b"GE", b"GET / HTTP/1.1\r\nHo", UPLOAD])
def test_one_that_leaves_before_it_has_asked(said: bytes, leave: Callable[[socket.socket], None], proxy: Proxy) -> None:
    one = proxy.connect()
    one.sendall(said)
    until(lambda: proxy.metric("clients") == 1, "the connection")
    leave(one)


@leaving
def test_one_that_leaves_in_the_middle_of_its_body(
    leave: Callable[[socket.socket], None], proxy: Proxy, application: Application
) -> None:
    """The application hears of it: it must not take half a body for a whole one."""
    ended: list[bool] = []

    def take(asked: Asked, one: socket.socket, reader: Any) -> bool:
        ended.append(len(reader.read(400_000)) < 400_000)
        return False

    application.streaming = take
    one = proxy.connect()
    one.sendall(UPLOAD + bytes(100_000))
    application.wait(1)
    leave(one)
    until(lambda: ended, "the end of the body")
    assert ended == [True]


@leaving
def test_one_that_leaves_while_the_application_works(
    leave: Callable[[socket.socket], None], proxy: Proxy, application: Application
) -> None:
    """A write goes on to its end, and counts until then."""
    go = threading.Event()

    def work(asked: Asked) -> bytes:
        assert asked.method == "GET" or go.wait(PATIENCE)
        return response()

    application.handler = work
    before = proxy.metric("abandoned_total")
    one = proxy.send("POST", "/api/payments/", b"x")
    application.wait(1)
    leave(one)
    until(lambda: proxy.metric("abandoned_total") == before + 1, "the client to be counted as gone")
    assert proxy.metric("writes_in_flight", context="payments") == 1
    go.set()


@leaving
def test_one_that_leaves_in_the_middle_of_the_answer(
    leave: Callable[[socket.socket], None], proxy: Proxy, application: Application
) -> None:
    stopped = threading.Event()

    def flood(asked: Asked, one: socket.socket, reader: Any) -> bool:
        if asked.target != "/flood":
            one.sendall(response())
            return True
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        try:
            while True:
                one.sendall(bytes(65536))
        except OSError:
            stopped.set()
        return False

    application.streaming = flood
    one = proxy.send("GET", "/flood")
    one.recv(100_000)
    leave(one)
    assert stopped.wait(PATIENCE), "the application goes on for nobody"


@leaving
def test_one_that_leaves_while_it_is_parked(
    leave: Callable[[socket.socket], None],
    control: ControlPlane,
    controlled: Controlled,
    monolith: Application,
    service: Application,
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    for request in (raw("POST", "/api/payments/", b"x"), UPLOAD + bytes(100_000)):
        one = proxy.connect()
        one.sendall(request)
        until(lambda: proxy.metric("held") == 1, "the parked write")
        leave(one)
        until(lambda: proxy.metric("held") == 0, "the one that has gone to be noticed")
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    alone(proxy)
    assert not [asked for asked in monolith.asked + service.asked if asked.method == "POST"]


@leaving
def test_one_that_leaves_while_it_waits_for_a_marker(
    leave: Callable[[socket.socket], None],
    control: ControlPlane,
    controlled: Controlled,
    monolith: Application,
    service: Application,
) -> None:
    proxy = controlled(stage="live", epoch=7)
    for _ in range(20):
        leave(proxy.send("GET", "/", Cookie="strangler_position=payments.7.5"))
        leave(proxy.send("GET", "/api/payments/", Cookie="strangler_position=payments.7.5"))
    alone(proxy)


@pytest.mark.parametrize("kept", [True, False])
def test_what_comes_behind_a_request_that_is_no_request(kept: bool, proxy: Proxy, application: Application) -> None:
    """The request is answered; the rest is refused, or nobody's business if the connection was to end anyway."""
    asking = raw("GET", "/", **({} if kept else {"Connection": "close"}))
    with proxy.connect() as one:
        one.sendall(asking + b"\x00\x01 rubbish\r\n\r\n")
        with one.makefile("rb") as reader:
            assert read_answer(reader).status == 200
            rest = reader.read()
    assert rest.startswith(b"HTTP/1.1 400 ") if kept else rest == b""
    assert len(application.asked) == 1


def test_a_crowd_that_leaves_in_mid_body_takes_no_memory(proxy: Proxy, application: Application) -> None:
    """Each had sent 200 kB; what they leave must go with them, not when a collector comes."""

    def crowd(count: int) -> None:
        for _ in range(count):
            one = proxy.connect()
            one.sendall(UPLOAD + bytes(200_000))
            one.close()
        proxy.connections.clear()
        until(lambda: proxy.metric("clients") == 0, "all to be gone")

    application.streaming = lambda asked, one, reader: bool(reader.read(400_000)) and False
    crowd(20)
    before = proxy.resident()
    crowd(150)
    assert proxy.resident() - before < 8 * MEGABYTE
