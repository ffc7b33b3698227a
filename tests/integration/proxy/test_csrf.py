"""Forgeries of another site are refused at the edge, where a route says so, for services that do not look themselves."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.middleware.csrf import _mask_cipher_secret

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import Answer, Application, Proxy, raw, read_answer, response, table, until

Start = Callable[..., Proxy]
SECRET = "a1B2" * 8
TOKEN = _mask_cipher_secret(SECRET)
COOKIE = f"sessionid=s; csrftoken={SECRET}"
FORM = "application/x-www-form-urlencoded"


def guarded(monolith: Application, service: Application, *, stage: str = "live", **more: Any) -> dict[str, Any]:
    snapshot = table(monolith, service, stage=stage, **more)
    snapshot["routes"][0]["csrf"] = True
    return snapshot


@pytest.fixture
def proxy(start: Start, monolith: Application, service: Application) -> Proxy:
    return start(guarded(monolith, service))


def kind(answer: Answer) -> str:
    return str(json.loads(answer.body)["type"])


def test_a_session_needs_the_token_in_the_header_or_in_the_form(proxy: Proxy, service: Application) -> None:
    form = f"amount=1&csrfmiddlewaretoken={TOKEN}".encode()
    assert proxy.ask("POST", "/api/payments/", b"{}", Cookie=COOKIE, X_CSRFToken=TOKEN).body == b"service"
    assert proxy.ask("DELETE", "/api/payments/1", Cookie=COOKIE, X_CSRFToken=SECRET).body == b"service"
    assert proxy.ask("POST", "/api/payments/", form, Cookie=COOKIE, Content_Type=FORM).body == b"service"
    assert [asked.body for asked in service.asked] == [b"{}", b"", form]
    assert proxy.metric("csrf_refused_total") == 0


def test_without_the_right_token_it_is_403_and_nothing_is_executed(proxy: Proxy, service: Application) -> None:
    wrong = _mask_cipher_secret("b" * 32)
    refused = [
        proxy.ask("POST", "/api/payments/", b"{}", Cookie=COOKIE),
        proxy.ask("POST", "/api/payments/", b"{}", Cookie=COOKIE, X_CSRFToken=wrong),
        proxy.ask("POST", "/api/payments/", b"{}", Cookie="sessionid=s", X_CSRFToken=TOKEN),
        proxy.ask("PUT", "/api/payments/1", f"csrfmiddlewaretoken={TOKEN}".encode(), Cookie=COOKIE, Content_Type=FORM),
        proxy.ask("POST", "/api/payments/", f"csrfmiddlewaretoken={wrong}".encode(), Cookie=COOKIE, Content_Type=FORM),
    ]
    assert {(answer.status, kind(answer), answer.get("content-type")) for answer in refused} == {
        (403, "urn:strangler:csrf", "application/problem+json")
    }
    assert service.asked == []
    assert proxy.metric("csrf_refused_total", context="payments") == 5
    assert proxy.metric("problems_total", kind="csrf") == 5


def test_another_sites_origin_is_403_whatever_the_token(proxy: Proxy, service: Application) -> None:
    for origin, status in (
        ("http://shop.example", 200),
        ("https://shop.example", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ):
        answer = proxy.ask("POST", "/api/payments/", b"{}", Cookie=COOKIE, X_CSRFToken=TOKEN, Origin=origin)
        assert answer.status == status, origin


def test_safe_methods_tokens_and_strangers_need_none(proxy: Proxy, service: Application) -> None:
    assert proxy.ask("GET", "/api/payments/", Cookie=COOKIE, Origin="http://evil.example").body == b"service"
    assert proxy.ask("POST", "/api/payments/", b"{}", Authorization="Bearer t").body == b"service"
    assert proxy.ask("POST", "/api/payments/", b"{}").body == b"service"
    assert proxy.ask("POST", "/api/payments/", b"{}", Authorization="Bearer t", Cookie="sessionid=s").status == 403
    assert proxy.ask("POST", "/pay/confirm", b"{}", Cookie=COOKIE).body == b"service"


def test_the_monolith_looks_itself(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(guarded(monolith, service, stage="canary"))
    assert proxy.ask("POST", "/api/payments/", b"{}", Cookie=COOKIE).body == b"monolith"


def test_behind_tls_the_origin_or_the_referer_must_be_this_site(
    start: Start, monolith: Application, service: Application
) -> None:
    snapshot = {**guarded(monolith, service), "site": {"trusted_origins": ["https://*.partner.example"]}}
    proxy = start(snapshot, "--trusted", "127.0.0.0/8")
    https = {"Cookie": COOKIE, "X_CSRFToken": TOKEN, "X_Forwarded_Proto": "https"}
    for given, status in (
        ({}, 403),
        ({"Referer": "https://shop.example/pay"}, 200),
        ({"Referer": "http://shop.example/pay"}, 403),
        ({"Referer": "https://evil.example/"}, 403),
        ({"Origin": "https://shop.example"}, 200),
        ({"Origin": "http://shop.example"}, 403),
        ({"Origin": "https://a.partner.example"}, 200),
        ({"Origin": "https://public.example", "X_Forwarded_Host": "public.example"}, 200),
        ({"X_Forwarded_For": "1.2.3.4\tX-Forwarded-Proto: http"}, 403),
    ):
        assert proxy.ask("POST", "/api/payments/", b"{}", **https, **given).status == status, given


def begin_form(proxy: Proxy, form: bytes) -> tuple[socket.socket, Any]:
    """Sends the head of a form; returns once the proxy has read it, and waits for the rest."""
    one = proxy.connect()
    head = raw("POST", "/api/payments/", form, Cookie=COOKIE, Content_Type=FORM, Expect="100-continue")
    one.sendall(head[: -len(form)])
    reader = one.makefile("rb")
    assert (reader.readline(), reader.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
    return one, reader


def test_a_form_that_comes_in_pieces_is_awaited_and_passes_unchanged(proxy: Proxy, service: Application) -> None:
    """A client that waits for a word before it sends its form gets it from the proxy."""
    form = f"amount=1&csrfmiddlewaretoken={TOKEN}&note=a+b%20c".encode()
    one, reader = begin_form(proxy, form)
    for at in range(0, len(form), 7):
        assert service.asked == []
        one.sendall(form[at : at + 7])
    assert read_answer(reader).body == b"service"
    assert service.asked[0].body == form


def chunked(one: socket.socket, *pieces: bytes, **headers: str) -> None:
    head = raw("POST", "/api/payments/", Transfer_Encoding="chunked", Cookie=COOKIE, Content_Type=FORM, **headers)
    one.sendall(head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")


def test_a_form_in_chunks_is_looked_into_and_sent_once(proxy: Proxy, service: Application) -> None:
    with proxy.connect() as one:
        reader = one.makefile("rb")
        for _ in range(2):
            chunked(one, b"a=1&csrfmiddle", f"waretoken={TOKEN}".encode())
            assert read_answer(reader).body == b"service"
    assert [asked.body for asked in service.asked] == [f"a=1&csrfmiddlewaretoken={TOKEN}".encode()] * 2


def test_a_large_form_needs_the_header_and_then_streams(proxy: Proxy, service: Application) -> None:
    large = b"note=" + b"x" * 70_000 + f"&csrfmiddlewaretoken={TOKEN}".encode()
    refused = proxy.ask("POST", "/api/payments/", large, Cookie=COOKIE, Content_Type=FORM)
    assert refused.status == 403
    assert "x-csrftoken" in json.loads(refused.body)["detail"]
    assert proxy.ask("POST", "/api/payments/", large, Cookie=COOKIE, Content_Type=FORM, X_CSRFToken=TOKEN).body == b"service"
    pieces = [large[at : at + 9000] for at in range(0, len(large), 9000)]
    with proxy.connect() as one:
        chunked(one, *pieces, X_CSRFToken=TOKEN)
        assert read_answer(one.makefile("rb")).body == b"service"
    with proxy.connect() as one:
        chunked(one, *pieces)
        assert read_answer(one.makefile("rb")).status == 403
    assert [asked.body for asked in service.asked] == [large, large]


def test_multipart_needs_the_header_and_the_refusal_says_so(proxy: Proxy, service: Application) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{TOKEN}\r\n--x--\r\n'.encode()
    refused = proxy.ask("POST", "/api/payments/", body, Cookie=COOKIE, Content_Type="multipart/form-data; boundary=x")
    assert refused.status == 403
    assert "send the token in the header x-csrftoken" in json.loads(refused.body)["detail"]


def test_a_client_that_leaves_in_mid_form_sends_nothing(proxy: Proxy, service: Application) -> None:
    one, reader = begin_form(proxy, b"x" * 50)
    one.sendall(b"x" * 20)
    reader.close()
    one.close()
    until(lambda: proxy.metric("abandoned_total") == 1, "it has left")
    assert service.asked == []
    assert proxy.metric("writes_in_flight") == 0


def test_requests_behind_a_form_wait_their_turn(proxy: Proxy, service: Application) -> None:
    form = f"csrfmiddlewaretoken={TOKEN}".encode()
    with proxy.connect() as one:
        bad = raw("POST", "/api/payments/1", b"a=1", Cookie=COOKIE, Content_Type=FORM)
        good = raw("POST", "/api/payments/2", form, Cookie=COOKIE, Content_Type=FORM)
        one.sendall(bad + good + raw("GET", "/api/payments/3"))
        reader = one.makefile("rb")
        assert [read_answer(reader).status for _ in range(3)] == [403, 200, 200]
    assert [asked.target[-1] for asked in service.asked] == ["2", "3"]


def test_a_form_that_is_awaited_holds_up_no_hold_and_is_parked_by_it(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    control.publish(guarded(monolith, service, epoch=6))
    proxy = start(None, "--redis", control.url)
    until(control.proxies, "the proxy's heart-beat")
    form = f"csrfmiddlewaretoken={TOKEN}".encode()
    one, reader = begin_form(proxy, form)
    control.apply(guarded(monolith, service, version=2, epoch=6, hold={"operation": "op", "for_ms": 60_000}))
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("drained"), "drained")
    one.sendall(form)
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 1, "the write is parked")
    control.apply(guarded(monolith, service, version=3, epoch=6))
    assert read_answer(reader).body == b"service"
    assert service.asked[0].body == form


def test_a_form_comes_before_the_question_who_it_is(start: Start, monolith: Application, service: Application) -> None:
    """A forgery costs the monolith nothing."""
    snapshot = guarded(monolith, service)
    snapshot["contexts"]["payments"]["identity"] = True
    monolith.handler = lambda asked: response(body=b'{"user": {"id": "42"}}')
    proxy = start(snapshot)
    assert proxy.ask("POST", "/api/payments/", b"a=1", Cookie=COOKIE, Content_Type=FORM).status == 403
    assert monolith.asked == []
    form = f"csrfmiddlewaretoken={TOKEN}".encode()
    assert proxy.ask("POST", "/api/payments/", form, Cookie=COOKIE, Content_Type=FORM).body == b"service"
    assert (service.asked[0].body, service.asked[0].get("x-strangler-identity") is not None) == (form, True)
