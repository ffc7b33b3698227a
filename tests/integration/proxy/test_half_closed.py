"""Clients that shut down their side after asking: served if they wait, noticed if they have gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, raw, response, table, until

Start = Callable[..., Proxy]
Controlled = Callable[..., Proxy]
HOLD = {"operation": "op", "for_ms": 60_000}


def silent(proxy: Proxy, request: bytes) -> socket.socket:
    """A client that says ``request`` and nothing more, and listens."""
    one = proxy.connect()
    one.sendall(request)
    one.shutdown(socket.SHUT_WR)
    return one


def everything(one: socket.socket) -> bytes:
    with one, one.makefile("rb") as reader:
        return reader.read()


def test_it_gets_its_answer(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    for request in (raw("GET", "/"), raw("POST", "/", b"body"), b"GET / HTTP/1.0\r\n\r\n"):
        said = everything(silent(proxy, request))
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\nmonolith")
    until(lambda: proxy.metric("clients") == 0, "the connections to be closed")
    assert proxy.metric("abandoned_total") == 0


def test_all_it_asked_is_answered_in_order(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(body=asked.target.encode())
    asking = b"".join(raw("GET", f"/{number}") for number in range(100))
    said = everything(silent(start(table(monolith)), asking))
    assert [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 ")[1:]] == [
        b"/%d" % number for number in range(100)
    ]


def test_a_large_answer_to_one_that_reads_slowly_is_whole(start: Start, monolith: Application) -> None:
    body = bytes(range(256)) * 40_000
    monolith.handler = lambda asked: response(body=body)
    one = silent(start(table(monolith)), raw("GET", "/"))
    monolith.wait(1)
    assert everything(one).partition(b"\r\n\r\n")[2] == body


def test_rubbish_behind_the_question_is_answered_too(start: Start, monolith: Application) -> None:
    said = everything(silent(start(table(monolith)), raw("GET", "/") + b"\x00\x01\r\n\r\n"))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in said


def test_a_slow_answer_comes_after_a_100_that_clients_read_over(start: Start, monolith: Application) -> None:
    """The probe: the answer is not lost by it, and a client that is there is not taken for gone."""
    go = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert go.wait(PATIENCE)
        return response(body=b"late")

    monolith.handler = slow
    with silent(start(table(monolith)), raw("GET", "/")) as one, one.makefile("rb") as reader:
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        go.set()
        assert reader.readline().startswith(b"HTTP/1.1 200 ")
        assert reader.read().endswith(b"late")


def test_one_that_has_gone_is_noticed_while_the_application_thinks(start: Start, monolith: Application) -> None:
    lost = threading.Event()

    def think(asked: Asked, one: socket.socket, reader: Any) -> bool:
        lost.set() if not reader.read(1) else None
        return False

    monolith.streaming = think
    proxy = start(table(monolith))
    proxy.send("GET", "/").close()
    monolith.wait(1)
    assert lost.wait(PATIENCE), "the application is not left"
    until(lambda: proxy.metric("abandoned_total") == 1, "the client to be counted as gone")
    until(lambda: proxy.metric("clients") == 0, "the connection to be given up")


def test_one_that_has_gone_from_a_silent_stream_is_noticed(hurried: Start, monolith: Application) -> None:
    began, lost = threading.Event(), threading.Event()

    def events(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        began.set()
        lost.set() if not reader.read(1) else None
        return False

    monolith.streaming = events
    proxy = hurried(table(monolith), silent_answer=0.5)
    with proxy.send("GET", "/") as one, one.makefile("rb") as reader:
        while reader.readline() != b"first\n":
            continue
        assert began.wait(PATIENCE)
    assert lost.wait(PATIENCE), "the stream goes on for nobody"


def test_a_parked_write_waits_for_one_that_listens_and_is_dropped_for_one_that_has_gone(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    listening = silent(proxy, raw("POST", "/api/payments/", b"listening"))
    gone = proxy.send("POST", "/api/payments/", b"gone")
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 2, "two parked writes")
    gone.close()
    until(lambda: proxy.metric("parked_total", outcome="left") == 1, "the one that has gone to be noticed")
    assert proxy.metric("held") == 1
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert everything(listening).endswith(b"service")
    assert [asked.body for asked in service.asked] == [b"listening"]
    assert not monolith.asked


def test_one_that_shuts_down_in_the_middle_of_its_body_has_left(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    assert everything(silent(proxy, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")) == b""
    until(lambda: proxy.metric("abandoned_total") == 1, "the client to be counted as gone")
    assert proxy.ask("GET", "/").status == 200
