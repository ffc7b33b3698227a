"""Sizes, counts and times that keep one client, or one application, from using up what all need."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, raw, read_answer, response, table, until

Start = Callable[..., Proxy]
MEGABYTE = 1024 * 1024


def limits(*given: str) -> list[str]:
    return [part for one in given for part in ("--limit", one)]


def pace(seconds: float = 0.05) -> None:
    """What a slow client does between two pieces."""
    threading.Event().wait(seconds)


def answered(one: socket.socket) -> bytes:
    """What has come, without waiting for it."""
    one.setblocking(False)
    try:
        return one.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        one.settimeout(PATIENCE)


def kind(body: bytes) -> str:
    return str(json.loads(body)["type"]).removeprefix("urn:strangler:")


# ---- bodies -------------------------------------------------------------------------------------------------------------


def test_413_for_a_length_over_the_limit_before_anything_is_sent(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body=1K"))
    assert proxy.ask("POST", "/", b"x" * 1024).status == 200
    with proxy.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
        reader = one.makefile("rb")
        answer = read_answer(reader)
        assert (answer.status, answer.get("connection"), kind(answer.body)) == (413, "close", "body-too-large")
        assert reader.read() == b""
    assert len(monolith.asked) == 1


def test_413_for_chunks_that_add_up_and_the_application_never_has_a_whole_request(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body=1K"))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    fits = b"400\r\n" + b"x" * 1024 + b"\r\n"
    whole: list[bool] = []

    def counting(asked: Asked, one: socket.socket, reader: Any) -> bool:
        data = reader.readline() and reader.read(1026) and reader.read(5)
        whole.append(data == b"0\r\n\r\n")
        one.sendall(response())
        return False

    monolith.streaming = counting
    with proxy.connect() as one:
        one.sendall(head + fits + b"0\r\n\r\n")
        assert read_answer(one.makefile("rb")).status == 200
    with proxy.connect() as one:
        one.sendall(head + fits)
        monolith.wait(2)
        one.sendall(b"1\r\nx\r\n0\r\n\r\n")
        assert read_answer(one.makefile("rb")).status == 413
    until(lambda: len(whole) == 2, "the application's end")
    assert whole == [True, False]
    assert proxy.metric("target_ejected") == 0


def test_the_limit_of_a_pipelined_request_is_answered_in_its_turn(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body=10"))
    chunked = b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789x\r\n0\r\n\r\n"
    with proxy.connect() as one:
        one.sendall(raw("GET", "/a") + chunked)
        reader = one.makefile("rb")
        assert [read_answer(reader).status for _ in range(2)] == [200, 413]
    assert [asked.target for asked in monolith.asked] == ["/a"]


def test_a_body_that_drips_is_408_although_something_comes_all_the_time(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body-idle=1s", "body-rate=500"))
    with proxy.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        come: list[bytes] = []

        def dripping() -> bool:
            pace()
            one.sendall(b"x")
            come.append(answered(one))
            return bool(come[-1])

        until(dripping, "an end of patience")
    assert come[-1].startswith(b"HTTP/1.1 408 ")


def test_a_body_that_was_fast_once_may_not_drip_for_ever(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body-idle=1s", "body-rate=500"))
    with proxy.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * MEGABYTE)
        come: list[bytes] = []

        def dripping() -> bool:
            pace()
            one.sendall(b"x")
            come.append(answered(one))
            return bool(come[-1])

        until(dripping, "an end of patience")
    assert come[-1].startswith(b"HTTP/1.1 408 ")


def test_a_slow_but_steady_body_arrives(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("body-idle=1s", "body-rate=500"))
    with proxy.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15000\r\n\r\n")
        for _ in range(50):
            one.sendall(b"x" * 300)
            pace()
        assert read_answer(one.makefile("rb")).status == 200
    assert len(monolith.asked[0].body) == 15_000


# ---- slow clients -------------------------------------------------------------------------------------------------------


def test_a_head_one_byte_at_a_time_has_as_much_time_as_any_other_head(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("header-time=1s"))
    with proxy.connect() as one:
        for first in (True, False):  # on a kept connection too
            if not first:
                one = proxy.connect()
                one.sendall(raw("GET", "/"))
                assert read_answer(one.makefile("rb")).status == 200
            one.sendall(b"GET / HTTP/1.1\r\nX: ")
            come: list[bytes] = []

            def dripping(one: socket.socket = one, come: list[bytes] = come) -> bool:
                pace()
                one.sendall(b"x")
                come.append(answered(one))
                return bool(come[-1])

            until(dripping, "an end of patience")
            assert come[-1].startswith(b"HTTP/1.1 408 ")


def test_empty_lines_are_no_way_to_stay(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("header-time=1s"))
    with proxy.connect() as one:

        def gone() -> bool:
            pace()
            try:
                one.sendall(b"\r\n")
                return one.recv(1, socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True

        until(gone, "the end of the connection")


def test_clients_that_never_read_are_let_go_whatever_is_left_for_them(start: Start, monolith: Application) -> None:
    """Among the sizes are those of which the system takes all but a rest, which the proxy must not keep for ever either."""
    proxy = start(table(monolith), *limits("stalled-reader=1s", "keep-alive=1s"))
    monolith.handler = lambda asked: response(body=b"x" * int(asked.target[1:]))
    waiting = []
    for size in range(100_000, 6_000_000, 60_000):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", proxy.port))
        proxy.connections.append(one)
        one.sendall(raw("GET", f"/{size}", Connection="close" if size % 120_000 else "keep-alive"))
        waiting.append(one)
    monolith.wait(len(waiting))
    until(lambda: proxy.metric("clients") == 0, "the end of those who don't read")
    until(lambda: proxy.metric("upstream_connections") <= len(waiting), "the applications' connections")
    assert proxy.metric("target_ejected") == 0, "the application is not to blame"


# ---- counts -------------------------------------------------------------------------------------------------------------


def later_than(moment: float) -> bool:
    return time.monotonic() > moment


def test_idle_connections_make_room_and_when_all_are_busy_503_says_so(start: Start, monolith: Application) -> None:
    gate = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert asked.target != "/slow" or gate.wait(PATIENCE)
        return response()

    monolith.handler = slow
    proxy = start(table(monolith), *limits("connections=20"))
    idle = [proxy.connect() for _ in range(20)]
    for one in idle:
        one.sendall(raw("GET", "/"))
        assert read_answer(one.makefile("rb")).status == 200
        until(partial(later_than, time.monotonic() + 0.002), "the next tick of the proxy's clock, which counts milliseconds")
    assert proxy.ask("GET", "/").status == 200
    assert idle[0].recv(1) == b"", "the one that was idle for longest"
    busy = [proxy.send("GET", "/slow") for _ in range(20)]
    monolith.wait(41)
    with proxy.connect() as one:
        answer = read_answer(one.makefile("rb"))
        assert (answer.status, answer.get("retry-after"), kind(answer.body)) == (503, "1", "connections")
    assert proxy.metric("refused_total", reason="connections") == 1
    gate.set()
    assert [read_answer(one.makefile("rb")).status for one in busy] == [200] * 20
    until(lambda: proxy.ask("GET", "/").status == 200, "room again")


def test_a_flood_of_silent_connections_leaves_descriptors_for_others(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), *limits("connections=50", "header-time=1s"))
    flood = [proxy.connect() for _ in range(200)]
    assert len(os.listdir(f"/proc/{proxy.process.pid}/fd")) < 150
    until(lambda: proxy.metric("clients") == 0, "the end of the flood")
    assert proxy.ask("GET", "/").status == 200
    for one in flood:
        one.close()


def test_file_descriptors_are_as_many_as_the_system_gives(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    with open(f"/proc/{proxy.process.pid}/limits") as file:
        [line] = [line for line in file if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard


def test_an_application_with_too_few_connections_is_busy_after_a_while(start: Start, monolith: Application) -> None:
    gate = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert asked.target != "/slow" or gate.wait(PATIENCE)
        return response()

    monolith.handler = slow
    proxy = start(table(monolith), *limits("connections-per-target=1", "queue=500ms"))
    first = proxy.send("POST", "/slow", b"x")
    monolith.wait(1)
    answer = proxy.ask("POST", "/next", b"x")
    assert (answer.status, answer.get("retry-after"), kind(answer.body)) == (503, "1", "busy")
    second = proxy.send("POST", "/patient", b"x")
    until(lambda: proxy.metric("upstream_waiting") == 1, "the one that waits")
    gate.set()
    assert [read_answer(one.makefile("rb")).status for one in (first, second)] == [200, 200]
    assert [asked.target for asked in monolith.asked] == ["/slow", "/patient"]
    assert proxy.metric("target_ejected") == 0


# ---- times --------------------------------------------------------------------------------------------------------------


def test_504_when_the_first_byte_does_not_come_and_who_never_answers_is_ejected(
    start: Start, monolith: Application, service: Application
) -> None:
    over = threading.Event()

    def hangs(asked: Asked) -> bytes | None:
        assert over.wait(2 * PATIENCE)
        return None

    service.handler = hangs
    proxy = start(table(monolith, service), *limits("first-byte=500ms"))
    waiting = [proxy.send("GET", f"/api/payments/{number}") for number in range(5)]
    assert [read_answer(one.makefile("rb")).status for one in waiting] == [504] * 5
    assert proxy.ask("GET", "/api/payments/").body == b"monolith"
    over.set()


def test_the_total_time_ends_whatever_takes_longer(start: Start, monolith: Application) -> None:
    over = threading.Event()

    def endless(asked: Asked, one: socket.socket, reader: Any) -> bool:
        if asked.target == "/drip":
            one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.wait(0.05):
            if asked.target == "/drip":
                one.sendall(b"1\r\nx\r\n")
        return False

    monolith.streaming = endless
    proxy = start(table(monolith), *limits("total=1s"))
    drip = proxy.send("GET", "/drip")
    answer = proxy.ask("GET", "/silent")
    assert (answer.status, kind(answer.body)) == (504, "timed-out")
    received = b""
    try:
        while piece := drip.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert not received.endswith(b"0\r\n\r\n"), "it does not look complete"
    over.set()


def test_the_total_time_counts_while_a_write_is_held(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled(*limits("total=500ms"))
    control.apply(table(monolith, service, version=2, hold={"operation": "op", "for_ms": 60_000}))
    answer = proxy.ask("POST", "/api/payments/", b"x")
    assert (answer.status, kind(answer.body)) == (503, "total-time")
    assert monolith.asked == []
    assert proxy.metric("held", context="payments") == 0


def test_without_a_total_time_a_slow_download_lives(start: Start, monolith: Application) -> None:
    def slowly(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            pace()
            one.sendall(b"x")
        return True

    monolith.streaming = slowly
    proxy = start(table(monolith), *limits("first-byte=500ms", "idle-response=500ms", "keep-alive=500ms"))
    assert proxy.ask("GET", "/").body == b"x" * 30


def test_clients_that_leave_eject_nobody(start: Start, monolith: Application) -> None:
    """In the middle of a body, or before the answer: neither is the application's fault."""
    monolith.handler = lambda asked: None if len(asked.body) < 10 else response()
    gate = threading.Event()

    def waits(asked: Asked, one: socket.socket, reader: Any) -> bool:
        if asked.method == "POST":
            reader.read(100)
        else:
            assert gate.wait(PATIENCE)
        return False

    monolith.streaming = waits
    proxy = start(table(monolith))
    for number in range(60):
        with proxy.connect() as one:
            if number % 2:
                one.sendall(b"POST /api/payments/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nstart")
            else:
                one.sendall(raw("GET", "/"))
            monolith.wait(number + 1)
    until(lambda: proxy.metric("abandoned_total") == 60, "all to be gone")
    until(lambda: proxy.metric("writes_in_flight", context="payments") == 0, "the writes' connections to end")
    assert proxy.metric("ejections_total") == 0
    gate.set()
