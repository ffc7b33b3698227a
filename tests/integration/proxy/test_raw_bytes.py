"""What is ambiguous is refused with 400 and the end of the connection; every message may come in any pieces."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.integration.proxy.harness import Application, Proxy, read_answer, response, running, table, until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

REFUSED = {
    "RFC 9112 2.3: no version": b"GET /\r\n\r\n",
    "RFC 9112 6.1: length and chunked": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "RFC 9112 6.1: chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "RFC 9112 6.3: two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "RFC 9112 6.3: list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "RFC 9110 8.6: signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "RFC 9110 8.6: huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "RFC 9112 6.1: unknown coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "RFC 9112 6.1: coding before chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "RFC 9112 6.1: chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "RFC 9112 6.1: nearly chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "RFC 9112 6.1: chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "RFC 9112 3.2: no Host": b"GET / HTTP/1.1\r\nAccept: a\r\n\r\n",
    "RFC 9112 3.2: two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "RFC 9112 3.2.2: target and Host contradict": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "RFC 9112 3.2: target is no path": b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n",
    "RFC 9112 3.2.3: CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "RFC 9112 5.2: folded line": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "RFC 9112 5.2: folded first line": b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n 2\r\n\r\n",
    "RFC 9112 2.2: bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "RFC 9112 2.2: bare LF between fields": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "RFC 9112 2.2: bare CR": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "RFC 9110 5.5: NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "RFC 9112 5.1: space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "RFC 9112 5.1: no name": b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "RFC 9112 3: space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "RFC 9112 2.3: unknown version": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "RFC 9113 3.4: HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "RFC 9110 9.1: unknown method": b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    "RFC 9110 9.1: method in small letters": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

BROKEN_BODIES = {
    "RFC 9112 7.1: size is no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "RFC 9112 7.1: bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "RFC 9112 7.1: chunk longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "RFC 9112 7.1: overflowing size": b"FFFFFFFFFFFFFFFFF\r\n",
}


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


def to_the_end(one: socket.socket) -> bytes:
    received = b""
    while piece := one.recv(65536):
        received += piece
    return received


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_head_is_refused(name: str, proxy: Proxy, application: Application) -> None:
    before = len(application.asked)
    with proxy.connect() as one:
        one.sendall(REFUSED[name] + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = to_the_end(one)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert len(application.asked) == before


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_is_refused(name: str, proxy: Proxy, application: Application) -> None:
    head = b"POST /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % name.encode().split(b":")[0].replace(b" ", b"")
    before = len(application.asked)
    for together in (True, False):
        with proxy.connect() as one:
            if together:
                one.sendall(head + BROKEN_BODIES[name])
            else:
                one.sendall(head)
                until(lambda: proxy.metric("upstream_connections") > 0, "the head to be passed on")
                one.sendall(BROKEN_BODIES[name])
            answer = to_the_end(one)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer
        assert answer.count(b"HTTP/1.1 ") == 1
    assert len(application.asked) == before, "the application never got a complete request"


def test_requests_before_the_broken_one_are_answered(proxy: Proxy) -> None:
    with proxy.connect() as one:
        one.sendall(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3\r\n\r\n")
        reader = one.makefile("rb")
        assert [read_answer(reader).status for _ in range(3)] == [200, 200, 400]
        assert reader.read() == b""


def test_what_follows_a_last_request_is_ignored(proxy: Proxy) -> None:
    with proxy.connect() as one:
        one.sendall(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert to_the_end(one).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(8000)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 600_000, 431),
    ],
)
def test_a_head_that_is_too_large_is_refused(head: bytes, status: int, proxy: Proxy) -> None:
    with proxy.connect() as one:
        one.sendall(head)
        assert read_answer(one.makefile("rb")).status == status


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


BAD_ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "not HTTP": b"hello\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "nothing": b"",
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a header with NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_502(name: str, proxy: Proxy, application: Application) -> None:
    def bad(asked: object, one: socket.socket, reader: object) -> bool:
        one.sendall(BAD_ANSWERS[name])
        return False

    application.streaming = bad
    try:
        assert proxy.ask("POST", "/", b"x").status == 502
    finally:
        application.streaming = None


def test_bytes_after_an_answer_reach_nobody(proxy: Proxy, application: Application) -> None:
    application.handler = lambda asked: response(body=b"ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with proxy.connect() as one:
        reader = one.makefile("rb")
        for _ in range(3):
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_answer(reader).body == b"ok"
