"""200 MB each way, counted and in chunks, in bounded memory; `make soak` sends a gigabyte."""

from __future__ import annotations

import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.harness import Application, Asked, Proxy, read_answer, response, table

Start = Callable[..., Proxy]
MEGABYTE = 1024 * 1024
SIZE, ROOM = 200 * MEGABYTE, 40 * MEGABYTE
PIECE = bytes(range(256)) * 1024
COUNT = SIZE // len(PIECE)


def peak(proxy: Proxy) -> int:
    """The most memory that was ever resident, in bytes."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def pieces(chunked: bool) -> Iterator[bytes]:
    for _ in range(COUNT):
        yield b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    if chunked:
        yield b"0\r\n\r\n"


def framing(chunked: bool) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % SIZE


def take(reader: Any, chunked: bool) -> tuple[int, int]:
    """Length and checksum of a body."""
    length = checksum = 0
    while True:
        left = int(reader.readline(), 16) if chunked else SIZE
        if chunked and not left:
            reader.readline()
            return length, checksum
        while left:
            data = reader.read(min(left, MEGABYTE))
            assert data, f"the body ended after {length} bytes"
            length, left, checksum = length + len(data), left - len(data), zlib.crc32(data, checksum)
        if not chunked:
            return length, checksum
        reader.readline()


def whole() -> tuple[int, int]:
    checksum = 0
    for _ in range(COUNT):
        checksum = zlib.crc32(PIECE, checksum)
    return SIZE, checksum


@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
def test_200_mb_up(chunked: bool, start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    found: list[tuple[int, int]] = []

    def receive(asked: Asked, one: socket.socket, reader: Any) -> bool:
        found.append(take(reader, chunked))
        one.sendall(response())
        return False

    monolith.streaming = receive
    before = proxy.resident()
    with proxy.connect() as one, one.makefile("rb") as reader:
        one.settimeout(90)
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing(chunked))
        for piece in pieces(chunked):
            one.sendall(piece)
        assert read_answer(reader).status == 200
    assert found == [whole()]
    assert peak(proxy) - before < ROOM


@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
def test_200_mb_down(chunked: bool, start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))

    def send(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\n" + framing(chunked))
        for piece in pieces(chunked):
            one.sendall(piece)
        return False

    monolith.streaming = send
    before = proxy.resident()
    with proxy.connect() as one, one.makefile("rb") as reader:
        one.settimeout(90)
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while reader.readline() != b"\r\n":
            continue
        assert take(reader, chunked) == whole()
    assert peak(proxy) - before < ROOM


def test_an_answer_before_the_body_has_come_reaches_a_client_that_sends_on(start: Start, monolith: Application) -> None:
    """413 after the head, and the application closes, which resets its connection, for it has not read the body.

    Neither may that reset cost the proxy the answer, nor the proxy's own end the client, which sends all it has first.
    """

    def refuse(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(response(413, b"too large", [("Connection", "close")]))
        return False

    monolith.streaming = refuse
    proxy = start(table(monolith))
    for _ in range(30):
        with proxy.connect() as one, one.makefile("rb") as reader:
            one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (4 * MEGABYTE))
            sender = threading.Thread(target=one.sendall, args=(bytes(4 * MEGABYTE),))
            sender.start()
            sender.join(60)
            answer = read_answer(reader)
            assert (answer.status, answer.body) == (413, b"too large")
