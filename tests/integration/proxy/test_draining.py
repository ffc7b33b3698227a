"""SIGTERM: what is under way ends well, if it ends in time; told twice, the proxy ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, raw, read_answer, response, table, until
from tests.integration.proxy.test_limits import kind
from tests.integration.proxy.test_workers import children, refused

Start = Callable[..., Proxy]
SIZE = 3_000_000
HOLD = {"operation": "op", "for_ms": 60_000}


def term(proxy: Proxy) -> None:
    proxy.process.send_signal(signal.SIGTERM)
    until(lambda: refused(proxy), "the listener to close")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_long_download_ends_whole(start: Start, monolith: Application, workers: str) -> None:
    go = threading.Event()

    def long(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % SIZE)
        assert go.wait(PATIENCE)
        one.sendall(b"x" * (SIZE - 1))
        return True

    monolith.streaming = long
    proxy = start(table(monolith), "--workers", workers)
    busy, idle = proxy.send("GET", "/"), proxy.connect()
    assert busy.recv(15, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    term(proxy)
    assert idle.recv(1) == b""
    go.set()
    assert len(read_answer(busy.makefile("rb")).body) == SIZE
    assert proxy.process.wait(PATIENCE) == 0


def test_a_download_that_takes_too_long_is_cut_off_and_does_not_look_whole(start: Start, monolith: Application) -> None:
    go = threading.Event()

    def endless(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        return not go.wait(PATIENCE)

    monolith.streaming = endless
    proxy = start(table(monolith), "--limit", "drain=500ms")
    busy = proxy.send("GET", "/")
    assert busy.recv(15, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    term(proxy)
    assert proxy.process.wait(PATIENCE) == 0
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := busy.recv(4096):
            received += piece
    assert b"0\r\n\r\n" not in received
    go.set()


def test_a_held_write_goes_on_when_the_hold_ends_in_time(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held = proxy.send("POST", "/api/payments/", b"x")
    until(lambda: proxy.metric("held", context="payments") == 1, "the held write")
    term(proxy)
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    answer = read_answer(held.makefile("rb"))
    assert (answer.status, answer.body, answer.get("connection")) == (200, b"service", "close")
    assert proxy.process.wait(PATIENCE) == 0


def test_a_held_write_is_told_that_nothing_was_executed_when_the_hold_does_not_end(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled("--limit", "drain=500ms")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held = proxy.send("POST", "/api/payments/", b"x")
    until(lambda: proxy.metric("held", context="payments") == 1, "the held write")
    term(proxy)
    answer = read_answer(held.makefile("rb"))
    assert (answer.status, answer.get("retry-after"), kind(answer.body)) == (503, "1", "held")
    assert proxy.process.wait(PATIENCE) == 0
    assert monolith.asked == service.asked == []


def test_a_tunnel_lives_on_until_it_ends(start: Start, monolith: Application) -> None:
    def echo(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while piece := reader.read1(100):
            one.sendall(piece)
        return False

    monolith.streaming = echo
    proxy = start(table(monolith))
    with proxy.connect() as one:
        one.sendall(raw("GET", "/", Connection="Upgrade", Upgrade="echo"))
        reader = one.makefile("rb")
        assert reader.readline() == b"HTTP/1.1 101 X\r\n"
        while reader.readline() != b"\r\n":
            continue
        term(proxy)
        for said in (b"one", b"two"):
            one.sendall(said)
            assert reader.read(3) == said
        assert proxy.process.poll() is None
        one.shutdown(socket.SHUT_WR)
        assert proxy.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_twice_it_ends_at_once(start: Start, monolith: Application, workers: str, how: int) -> None:
    over = threading.Event()

    def hangs(asked: Asked) -> bytes | None:
        assert over.wait(3 * PATIENCE)
        return None

    monolith.handler = hangs
    proxy = start(table(monolith), "--workers", workers, "--limit", "drain=10m")
    busy = proxy.send("GET", "/")
    monolith.wait(1)
    proxy.process.send_signal(how)
    until(lambda: refused(proxy), "the listener to close")
    assert proxy.process.poll() is None
    proxy.process.send_signal(how)
    assert proxy.process.wait(PATIENCE) == 0
    with contextlib.suppress(ConnectionResetError):
        assert busy.recv(1) == b""
    over.set()


def test_one_ctrl_c_reaches_all_processes_and_still_drains(start: Start, monolith: Application) -> None:
    """A terminal sends SIGINT to the parent and to the workers alike; that is once, not twice."""
    go = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert go.wait(PATIENCE)
        return response()

    monolith.handler = slow
    proxy = start(table(monolith), "--workers", "2")
    busy = proxy.send("GET", "/")
    monolith.wait(1)
    for pid in (*children(proxy), proxy.process.pid):
        os.kill(pid, signal.SIGINT)
    until(lambda: refused(proxy), "the listener to close")
    go.set()
    assert read_answer(busy.makefile("rb")).status == 200
    assert proxy.process.wait(PATIENCE) == 0
