"""Bodies flow both ways with back-pressure: memory is bounded, slow ends wait for each other."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, read_answer, response, table, until

Start = Callable[..., Proxy]
MEGABYTE = 1024 * 1024
SIZE = 20 * MEGABYTE
ROOM = 8 * MEGABYTE
PIECE = bytes(range(256)) * 256


def test_20_mb_up_in_bounded_memory(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    digests: list[str] = []
    first, go = threading.Event(), threading.Event()

    def slow_reader(asked: Asked, one: socket.socket, reader: Any) -> bool:
        first.set()
        assert go.wait(PATIENCE)
        digest = hashlib.sha256()
        left = SIZE
        while left:
            data = reader.read(min(65536, left))
            digest.update(data)
            left -= len(data)
        digests.append(digest.hexdigest())
        one.sendall(response())
        return True

    monolith.streaming = slow_reader
    proxy.ask("GET", "/_strangler/warm")
    before = proxy.resident()
    sent = hashlib.sha256()
    with proxy.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
        assert first.wait(PATIENCE)
        one.settimeout(0.5)
        taken = 0
        try:
            while taken < SIZE:
                taken += one.send(PIECE[taken % len(PIECE) :])
        except TimeoutError:
            pass
        assert taken < SIZE, "an application that does not read stops the client"
        assert proxy.resident() - before < ROOM
        one.settimeout(PATIENCE)
        go.set()
        while taken < SIZE:
            taken += one.send(PIECE[taken % len(PIECE) :][: SIZE - taken])
        assert read_answer(one.makefile("rb")).status == 200
    for _ in range(SIZE // len(PIECE)):
        sent.update(PIECE)
    assert digests == [sent.hexdigest()]
    assert proxy.resident() - before < ROOM


def test_20_mb_down_in_bounded_memory(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    written: list[int] = [0]

    def endless(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            one.sendall(PIECE)
            written[0] += len(PIECE)
        return True

    monolith.streaming = endless
    proxy.ask("GET", "/_strangler/warm")
    before = proxy.resident()
    with proxy.connect() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        one.recv(1, socket.MSG_PEEK)
        stalled = [-1]

        def stands_still() -> bool:
            last, stalled[0] = stalled[0], written[0]
            threading.Event().wait(0.2)
            return last == written[0]

        until(stands_still, "a stop of the application")
        assert written[0] < SIZE, "a client that does not read stops the application"
        assert proxy.resident() - before < ROOM
        answer = read_answer(one.makefile("rb"))
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(PIECE * (SIZE // len(PIECE))).digest()
    assert proxy.resident() - before < ROOM


def test_pieces_arrive_as_they_are_sent(start: Start, monolith: Application) -> None:
    """Nothing is collected: the client sees the first event before the second is made."""
    seen = threading.Event()

    def events(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        assert seen.wait(PATIENCE)
        one.sendall(b"7\r\nsecond\n\r\n0\r\n\r\n")
        return True

    monolith.streaming = events
    with start(table(monolith)).connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        reader = one.makefile("rb")
        while reader.readline() != b"first\n":
            continue
        seen.set()
        while reader.readline() != b"second\n":
            continue


def test_a_parked_body_beyond_the_limit_waits_at_the_client(
    control: Any, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold={"operation": "op", "for_ms": 60_000}))
    before = proxy.resident()
    body = PIECE * (SIZE // len(PIECE))
    service.handler = lambda asked: response(body=hashlib.sha256(asked.body).hexdigest().encode())
    sender = proxy.connect()
    answers: list[bytes] = []

    def send() -> None:
        sender.sendall(b"POST /api/payments/ HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE + body)
        answers.append(read_answer(sender.makefile("rb")).body)

    thread = threading.Thread(target=send)
    thread.start()
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 1, "the parked write")
    assert proxy.resident() - before < ROOM
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    thread.join(PATIENCE)
    assert answers == [hashlib.sha256(body).hexdigest().encode()]
