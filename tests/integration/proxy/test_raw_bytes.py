"""Every message may come in any pieces, over real sockets. What is refused, and all the rest, is in ``test_corpus``."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.integration.proxy.harness import Application, Proxy, read_answer, response, running, table


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    application = Application("monolith")
    yield application
    application.stop()


@pytest.fixture(scope="module")
def proxy(application: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("raw")
    (directory / "table.json").write_text(json.dumps(table(application)))
    with running(directory, "--table", str(directory / "table.json")) as proxy:
        yield proxy


REQUESTS = (
    b"POST /api/payments/ HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\n\r\n"
    b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"
)


def test_requests_split_at_every_byte(proxy: Proxy, application: Application) -> None:
    application.handler = lambda asked: response(body=asked.target.encode() + b" " + asked.body)
    for cut in range(1, len(REQUESTS)):
        with proxy.connect() as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.sendall(REQUESTS[:cut])
            one.sendall(REQUESTS[cut:])
            reader = one.makefile("rb")
            bodies = [read_answer(reader).body for _ in range(3)]
        assert bodies == [b"/api/payments/ hello", b"/x abcde", b"/last "], cut


def test_requests_byte_by_byte(proxy: Proxy, application: Application) -> None:
    application.handler = lambda asked: response(body=asked.target.encode() + b" " + asked.body)
    with proxy.connect() as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in REQUESTS:
            one.sendall(bytes([byte]))
        reader = one.makefile("rb")
        assert [read_answer(reader).body for _ in range(3)] == [b"/api/payments/ hello", b"/x abcde", b"/last "]


RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("answer", RESPONSES)
def test_answers_split_at_every_byte(answer: bytes, proxy: Proxy, application: Application) -> None:
    """The application waits for the first piece to be on its way before it sends the second."""
    cuts: Iterator[int] = iter(range(1, len(answer)))

    def in_two(asked: object, one: socket.socket, reader: object) -> bool:
        cut = next(cuts)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(answer[:cut])
        one.sendall(answer[cut:])
        return True

    application.streaming = in_two
    try:
        with proxy.connect() as one:
            reader = one.makefile("rb")
            for _ in range(1, len(answer)):
                one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                got = read_answer(reader)
                assert (got.status, got.body) == (200, b"hello")
    finally:
        application.streaming = None
