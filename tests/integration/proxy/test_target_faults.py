"""Applications that fail, each in its own way: what the client gets, and that everybody else is served on."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.proxy.harness import (
    PATIENCE,
    Answer,
    Application,
    Asked,
    Proxy,
    read_answer,
    response,
    running,
    table,
    until,
)

Start = Callable[..., Proxy]
Fault = Callable[[Asked, socket.socket, Any], bool]
HURRY = {"first_byte": 0.6, "idle_response": 0.6, "connect": 0.4, "connect_patience": 0.5}
MEGABYTE = 1024 * 1024


def reset(one: socket.socket) -> None:
    """Ends a connection as a crash does."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.shutdown(socket.SHUT_RD)


def faulty(fault: Fault) -> Fault:
    """``fault`` at /fault, and an ordinary answer everywhere else."""

    def serve(asked: Asked, one: socket.socket, reader: Any) -> bool:
        if asked.target == "/fault":
            return fault(asked, one, reader)
        one.sendall(response(body=b"served"))
        return True

    return serve


@pytest.fixture(scope="module")
def monolith() -> Iterator[Application]:
    application = Application()
    yield application
    application.stop()


@pytest.fixture(scope="module")
def one_for_all(monolith: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    (directory / "table.json").write_text(json.dumps(table(monolith)))
    with running(directory, "--table", str(directory / "table.json"), limits=HURRY) as proxy:
        yield proxy


@pytest.fixture
def proxy(one_for_all: Proxy, monolith: Application) -> Iterator[Proxy]:
    """Others are served after the fault, and nothing of it is left behind."""
    proxy = one_for_all
    monolith.asked.clear()
    yield proxy
    assert proxy.ask("GET", "/other").body == b"served"
    until(lambda: proxy.metric("writes_in_flight") == 0, "the end of all writes")
    monolith.drop()
    until(lambda: proxy.metric("upstream_connections") == 0, "the end of all connections")
    assert "Traceback" not in proxy.log.read_text()


def hang(asked: Asked, one: socket.socket, reader: Any) -> bool:
    reader.read()  # until the proxy gives up
    return False


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body.decode().partition("urn:strangler:")[2].partition('"')[0]


def broken_off(proxy: Proxy, method: str = "GET") -> bytes:
    """What a client has of the body when its connection breaks; fails if the answer looks complete."""
    with proxy.send(method, "/fault") as one, one.makefile("rb") as reader:
        found = b""
        assert reader.readline().startswith(b"HTTP/1.1 200 ")
        with pytest.raises((EOFError, ConnectionResetError)):  # noqa: PT012
            while reader.readline() != b"\r\n":
                continue
            while data := reader.read1(65536):
                found += data
            raise EOFError
    return found


# ---- that hang ----------------------------------------------------------------------------------------------------------


def test_one_that_no_longer_accepts_is_503(hurried: Start, monolith: Application) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        with contextlib.suppress(TimeoutError):
            while True:  # fill its queue
                stack.enter_context(socket.create_connection(deaf.getsockname(), timeout=0.3))
        snapshot = table(monolith)
        snapshot["contexts"]["orders"]["targets"]["monolith"] = [f"http://127.0.0.1:{deaf.getsockname()[1]}"]
        proxy = hurried(snapshot, **HURRY)
        monolith.streaming = faulty(hang)
        assert problem(proxy.ask("POST", "/api/orders/", b"x")) == (503, "unreachable")
        assert proxy.ask("GET", "/").body == b"served"


def test_one_that_accepts_and_says_nothing_is_504(proxy: Proxy, monolith: Application) -> None:
    monolith.streaming = faulty(hang)
    asking = proxy.send("POST", "/fault", b"x")
    assert proxy.ask("GET", "/other").body == b"served", "while it hangs"
    assert problem(read_answer(asking.makefile("rb"))) == (504, "timed-out")


def test_one_that_stops_within_its_head_is_504(proxy: Proxy, monolith: Application) -> None:
    def stop(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        return hang(asked, one, reader)

    monolith.streaming = faulty(stop)
    assert problem(proxy.ask("GET", "/fault")) == (504, "timed-out")


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_one_that_stops_within_its_body_is_broken_off(framing: bytes, proxy: Proxy, monolith: Application) -> None:
    def stop(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + (b"4\r\nhalf\r\n" if b"chunked" in framing else b"half"))
        return hang(asked, one, reader)

    monolith.streaming = faulty(stop)
    assert b"half" in broken_off(proxy)


def test_one_that_never_reads_the_body_is_504_and_its_client_waits(proxy: Proxy, monolith: Application) -> None:
    done = threading.Event()

    def ignore(asked: Asked, one: socket.socket, reader: Any) -> bool:
        assert done.wait(PATIENCE)
        return False

    monolith.streaming = faulty(ignore)
    with proxy.connect() as one:
        one.sendall(b"POST /fault HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        sent, answer = 0, b""
        one.setblocking(False)
        end = time.monotonic() + PATIENCE
        while not answer and time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                sent += one.send(bytes(65536))
            with contextlib.suppress(BlockingIOError):
                answer = one.recv(65536)
        done.set()
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert sent < 64 * MEGABYTE, "the client could send without end to an application that does not read"


# ---- that break off -----------------------------------------------------------------------------------------------------


def test_a_write_whose_application_resets_is_502_and_not_sent_again(proxy: Proxy, monolith: Application) -> None:
    def crash(asked: Asked, one: socket.socket, reader: Any) -> bool:
        reset(one)
        return False

    monolith.streaming = faulty(crash)
    assert problem(proxy.ask("POST", "/fault", b"x")) == (502, "broken-answer")
    assert [asked.target for asked in monolith.asked] == ["/fault"]


def test_a_read_whose_application_resets_is_sent_again_once(proxy: Proxy, monolith: Application) -> None:
    def crash(asked: Asked, one: socket.socket, reader: Any) -> bool:
        reset(one)
        return False

    monolith.streaming = faulty(crash)
    assert problem(proxy.ask("GET", "/fault")) == (502, "broken-answer")
    assert [asked.target for asked in monolith.asked] == ["/fault"] * 2


def test_a_reset_in_the_middle_of_the_body_is_passed_on(proxy: Proxy, monolith: Application) -> None:
    def crash(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        assert asked_again.wait(PATIENCE)
        reset(one)
        return False

    asked_again = threading.Event()
    monolith.streaming = faulty(crash)
    with proxy.send("GET", "/fault") as one, one.makefile("rb") as reader:
        while reader.readline() != b"\r\n":
            continue
        assert reader.read(4) == b"half"
        asked_again.set()
        with contextlib.suppress(ConnectionResetError):
            assert reader.read() == b""


# ---- that lie -----------------------------------------------------------------------------------------------------------


def test_a_body_shorter_than_its_length_is_broken_off(proxy: Proxy, monolith: Application) -> None:
    def lie(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        return False

    monolith.streaming = faulty(lie)
    assert broken_off(proxy) == b"short"


@pytest.mark.parametrize("second", [b"and more", response(body=b"a second answer")])
@pytest.mark.parametrize("pause", [False, True])
def test_what_comes_behind_an_answer_reaches_nobody(second: bytes, pause: bool, proxy: Proxy, monolith: Application) -> None:
    """A body longer than its length, or two answers; at once, or when the connection is already kept for others."""
    go = threading.Event()

    def lie(asked: Asked, one: socket.socket, reader: Any) -> bool:
        first = response(body=b"first")
        if not pause:
            one.sendall(first + second)
            return True
        one.sendall(first)
        assert go.wait(PATIENCE)
        one.sendall(second)
        return True

    monolith.streaming = faulty(lie)
    assert proxy.ask("GET", "/fault").body == b"first"
    go.set()
    until(lambda: proxy.metric("upstream_connections") == 0, "the connection to be given up")
    for _ in range(3):
        assert proxy.ask("GET", "/other").body == b"served"
    assert monolith.asked[1].connection != monolith.asked[0].connection


def test_an_application_that_speaks_before_it_is_asked_is_not_believed(
    hurried: Start, proxy: Proxy, monolith: Application
) -> None:
    """Its greeting, like that of a mail server, would otherwise be somebody's answer."""

    def greet(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listening.accept()
                one.sendall(b"220 welcome\r\n")
                one.recv(65536)
                one.close()

    monolith.streaming = faulty(hang)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet, args=(listening,), daemon=True)
        thread.start()
        snapshot = table(monolith)
        snapshot["contexts"]["orders"]["targets"]["monolith"] = [f"http://127.0.0.1:{listening.getsockname()[1]}"]
        assert problem(hurried(snapshot, **HURRY).ask("POST", "/api/orders/", b"x")) == (502, "broken-answer")
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\xff rubbish\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: nobody-asked\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_rubbish_is_502(said: bytes, proxy: Proxy, monolith: Application) -> None:
    def talk(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(said)
        return False

    monolith.streaming = faulty(talk)
    assert problem(proxy.ask("POST", "/fault", b"x")) == (502, "broken-answer")


@pytest.mark.parametrize("line", [b"X-More: and more and more and more\r\n", b"x"])
def test_a_head_without_end_is_502_in_bounded_memory(line: bytes, proxy: Proxy, monolith: Application) -> None:
    def endless(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\n")
        piece = line * (65536 // len(line))
        for _ in range(100 * 16):
            one.sendall(piece)
        return False

    monolith.streaming = faulty(endless)
    before = proxy.resident()
    assert problem(proxy.ask("POST", "/fault", b"x")) == (502, "broken-answer")
    assert proxy.resident() - before < 8 * MEGABYTE


def test_100_mb_of_interim_answers_are_502_in_bounded_memory(proxy: Proxy, monolith: Application) -> None:
    sent = [0]

    def wait(asked: Asked, one: socket.socket, reader: Any) -> bool:
        piece = b"HTTP/1.1 102 Processing\r\nX-Wait: for ever\r\n\r\n" * 1000
        while sent[0] < 100 * MEGABYTE:
            one.sendall(piece)
            sent[0] += len(piece)
        return False

    monolith.streaming = faulty(wait)
    before = proxy.resident()
    assert problem(proxy.ask("POST", "/fault", b"x")) == (502, "broken-answer")
    assert proxy.resident() - before < 8 * MEGABYTE
    assert sent[0] < 100 * MEGABYTE


# ---- that close kept connections under our feet --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["with the answer", "while it is idle", "when the next request comes"])
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_kept_connection_that_ends_costs_a_read_nothing(moment: str, how: str, proxy: Proxy, monolith: Application) -> None:
    """The moments in turn; a read never notices."""
    go, problems = threading.Event(), proxy.metric("problems_total")

    def leave(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(response(body=b"first"))
        if moment == "while it is idle":
            assert go.wait(PATIENCE)
        elif moment == "when the next request comes":
            reader.read(1)
        if how == "resets":
            reset(one)
        return False

    monolith.streaming = faulty(leave)
    assert proxy.ask("GET", "/fault").body == b"first"
    go.set()
    for number in range(5):
        assert proxy.ask("GET", f"/{number}").body == b"served"
    assert proxy.metric("problems_total") == problems
