"""HTTP/1.1 on both sides: framing, order, what passes and what does not."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from tests.integration.proxy.harness import Application, Asked, Proxy, raw, read_answer, response, table, until

Start = Callable[..., Proxy]


def test_keep_alive_on_both_sides(start: Start, monolith: Application) -> None:
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        for number in range(3):
            one.sendall(raw("GET", f"/{number}"))
            assert read_answer(reader).body == b"monolith"
    assert [asked.target for asked in monolith.asked] == ["/0", "/1", "/2"]
    assert len({asked.connection for asked in monolith.asked}) == 1


def test_pipelined_requests_are_answered_in_order(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(body=asked.target.encode() + asked.body)
    with start(table(monolith)).connect() as one:
        one.sendall(raw("GET", "/a") + raw("POST", "/b", b"body") + raw("GET", "/_strangler/x") + raw("GET", "/c"))
        reader = one.makefile("rb")
        answers = [read_answer(reader) for _ in range(4)]
    assert [answer.body for answer in answers if answer.status == 200] == [b"/a", b"/bbody", b"/c"]
    assert [answer.status for answer in answers] == [200, 200, 404, 200]


def test_a_thousand_pipelined_requests(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(body=asked.target.encode())
    with start(table(monolith)).connect() as one:
        one.sendall(b"".join(raw("GET", f"/{number}") for number in range(1000)))
        reader = one.makefile("rb")
        assert [read_answer(reader).body for _ in range(1000)] == [f"/{number}".encode() for number in range(1000)]


def test_chunked_both_ways(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in asked.body)
        + b"0\r\n\r\n"
    )
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        for _ in range(2):
            one.sendall(raw("POST", "/", Transfer_Encoding="chunked") + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n")
            answer = read_answer(reader)
            assert answer.body == b"abcde"
            assert answer.all("transfer-encoding") == ["chunked"]
            assert answer.get("content-length") is None
    assert monolith.asked[0].body == b"abcde"
    assert monolith.asked[0].get("trailer") is None


def test_head_204_and_304_have_no_body(start: Start, monolith: Application) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        return b"HTTP/1.1 %b X\r\nETag: e\r\n\r\n" % asked.target[1:].encode()

    monolith.handler = answer
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        one.sendall(raw("HEAD", "/") + raw("GET", "/204") + raw("GET", "/304") + raw("HEAD", "/again"))
        head, empty, unchanged, again = (read_answer(reader, method) for method in ("HEAD", "GET", "GET", "HEAD"))
    assert (head.status, head.get("content-length")) == (200, "1234")
    assert (empty.status, empty.get("content-length"), empty.get("transfer-encoding")) == (204, None, None)
    assert (unchanged.status, unchanged.get("etag")) == (304, "e")
    assert again.status == 200


def test_expect_100_continue_is_asked_of_the_application(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(body=asked.body)
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        one.sendall(b"body")
        assert read_answer(reader).body == b"body"


def test_an_answer_before_the_body_ends_reaches_the_client(start: Start, monolith: Application) -> None:
    def early(asked: Asked, one: socket.socket, reader: object) -> bool:
        one.sendall(response(413, b"too large", [("Connection", "close")]))
        return False

    monolith.streaming = early
    with start(table(monolith)).connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart")
        answer = read_answer(one.makefile("rb"))
    assert (answer.status, answer.body, answer.get("connection")) == (413, b"too large", "close")


def test_set_cookies_stay_apart_and_order_and_case_are_kept(start: Start, monolith: Application) -> None:
    sent = [("Set-Cookie", "sessionid=1; Path=/"), ("X-oDD-cAse", "v"), ("set-cookie", "csrftoken=2"), ("Vary", "Cookie")]
    monolith.handler = lambda asked: response(headers=sent)
    proxy = start(table(monolith))
    answer = proxy.ask("GET", "/", X_mIxed="1", Accept="a")
    assert answer.headers[:4] == sent
    names = [name for name, _ in monolith.asked[0].headers]
    assert names[:3] == ["Host", "X-mIxed", "Accept"]


def test_hop_by_hop_and_our_own_headers_do_not_pass(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: response(
        headers=[
            ("Keep-Alive", "timeout=75"),
            ("Connection", "X-Private"),
            ("X-Private", "1"),
            ("X-Strangler-Position", "rubbish"),
            ("X-Ok", "1"),
        ]
    )
    proxy = start(table(monolith))
    answer = proxy.ask(
        "GET",
        "/api/payments/",
        Connection="keep-alive, X-Mine",
        X_Mine="1",
        TE="trailers",
        Upgrade="h2c",
        Proxy_Authorization="x",
        X_Strangler_Epoch="99",
        X_Strangler_Request="forged.00",
        X_Forwarded_For="6.6.6.6",
        Forwarded="for=6.6.6.6",
    )
    asked = monolith.asked[0]
    for name in ("connection", "x-mine", "te", "upgrade", "proxy-authorization", "x-strangler-request"):
        assert asked.get(name) is None, name
    assert asked.all("x-strangler-epoch") == ["6"]
    assert asked.all("x-forwarded-for") == ["127.0.0.1"]
    assert asked.all("forwarded") == ["for=127.0.0.1;proto=http"]
    assert answer.get("x-ok") == "1"
    assert [name for name in ("keep-alive", "x-private", "x-strangler-position", "connection") if answer.get(name)] == []


def test_an_underscore_is_no_way_around(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    with proxy.connect() as one:
        one.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nX_Strangler_Epoch: 9\r\nX-Strangler_Access: write\r\n"
            b"X_Forwarded-For: 1\r\nmy_own: 1\r\n\r\n"
        )
        read_answer(one.makefile("rb"))
    names = {name.lower() for name, _ in monolith.asked[0].headers}
    assert "my_own" in names
    assert not {"x_strangler_epoch", "x-strangler_access", "x_forwarded-for"} & names


def test_host_is_preserved_and_forwarding_is_told(start: Start, monolith: Application) -> None:
    start(table(monolith)).ask("GET", "/", Host="Shop.Example:8443")
    asked = monolith.asked[0]
    assert asked.all("host") == ["Shop.Example:8443"]
    assert asked.get("x-forwarded-host") == "Shop.Example:8443"
    assert asked.get("x-forwarded-proto") == "http"


def test_ids_are_kept_or_made(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    proxy.ask("GET", "/", X_Request_ID="mine-1", traceparent=trace)
    proxy.ask("GET", "/", X_Request_ID="not a good one", traceparent="rubbish")
    kept, made = monolith.asked
    assert (kept.all("x-request-id"), kept.all("traceparent")) == (["mine-1"], [trace])
    assert re.fullmatch(r"[0-9a-f-]+", made.get("x-request-id") or "")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made.get("traceparent") or "")


def test_http_1_0_clients(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    proxy = start(table(monolith))
    with proxy.connect() as one:
        one.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = read_answer(one.makefile("rb"))
    assert (answer.body, answer.get("transfer-encoding"), answer.get("connection")) == (b"ok", None, "close")
    monolith.handler = lambda asked: response()
    with proxy.connect() as one:
        reader = one.makefile("rb")
        for _ in range(2):
            one.sendall(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            assert read_answer(reader).get("connection") == "keep-alive"


def test_an_answer_that_ends_with_its_connection_is_passed_in_chunks(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end"
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        for _ in range(2):
            one.sendall(raw("GET", "/"))
            answer = read_answer(reader)
            assert (answer.body, answer.get("transfer-encoding")) == (b"to the end", "chunked")


def test_an_answer_broken_off_is_not_passed_as_complete(start: Start, monolith: Application) -> None:
    def broken(asked: Asked, one: socket.socket, reader: object) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n")
        return False

    monolith.streaming = broken
    with start(table(monolith)).connect() as one:
        one.sendall(raw("GET", "/"))
        received = b""
        try:
            while piece := one.recv(4096):
                received += piece
        except ConnectionResetError:
            pass
    assert b"0\r\n\r\n" not in received


def test_rubbish_from_the_application_is_502(start: Start, monolith: Application) -> None:
    monolith.handler = lambda asked: b"SSH-2.0-hello\r\n\r\n"
    answer = start(table(monolith)).ask("POST", "/", b"x")
    assert answer.status == 502
    assert answer.get("content-type") == "application/problem+json"


def test_a_kept_connection_closed_under_our_feet_costs_a_read_nothing_and_doubles_no_write(
    start: Start, monolith: Application
) -> None:
    proxy = start(table(monolith))
    turn = {"close": False}

    def answer(asked: Asked) -> bytes | None:
        if turn["close"]:
            turn["close"] = False
            return None
        return response()

    monolith.handler = answer
    assert proxy.ask("GET", "/warm").status == 200
    turn["close"] = True
    assert proxy.ask("GET", "/read").status == 200
    for method, path in (("POST", "/write"), ("PUT", "/write"), ("GET", "/pay/confirm")):
        turn["close"] = True
        assert proxy.ask(method, path, b"x").status == 502
    assert [asked.target for asked in monolith.asked] == ["/warm", "/read", "/read", "/write", "/write", "/pay/confirm"]


def test_an_application_that_restarts_fails_nobody_who_was_not_sent(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    monolith.stop()
    waiting = proxy.send("POST", "/", b"x")
    until(lambda: proxy.metric("clients") >= 1)
    monolith.start()
    assert read_answer(waiting.makefile("rb")).status == 200


def test_an_application_that_stays_away_is_503_with_a_problem(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    monolith.stop()
    answer = proxy.ask("POST", "/", b"x")
    assert (answer.status, answer.get("retry-after")) == (503, "1")
    assert b"urn:strangler:unreachable" in answer.body


def test_reserved_paths_are_never_forwarded(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith))
    for path in (
        "/_strangler/changes",
        "/_strangler",
        "//_strangler/changes",
        "/%5Fstrangler/changes",
        "/%255fstrangler/changes",
        "/%2F_strangler/x",
        "/api/../_strangler/ownership",
        "/api/%2e%2e/_strangler/ownership",
        "/./_strangler/x",
        "/_STRANGLER/changes",
        "/_strangler;v=1/changes",
        "/x%5c..%5c_strangler%5cchanges",
        "http://shop.example/_strangler/changes",
    ):
        assert proxy.ask("POST", path, b"x").status == 404, path
    assert monolith.asked == []


def test_an_absolute_target_is_made_relative(start: Start, monolith: Application) -> None:
    assert start(table(monolith)).ask("GET", "http://shop.example/a?b=c").status == 200
    assert monolith.asked[0].target == "/a?b=c"


def test_an_upgrade_is_not_granted_and_the_request_is_an_ordinary_one(start: Start, monolith: Application) -> None:
    with start(table(monolith)).connect() as one:
        reader = one.makefile("rb")
        one.sendall(raw("GET", "/a", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="x") + raw("GET", "/b"))
        assert [read_answer(reader).status for _ in range(2)] == [200, 200]
    assert [asked.target for asked in monolith.asked] == ["/a", "/b"]
