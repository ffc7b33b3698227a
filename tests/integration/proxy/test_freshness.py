"""P23 and P24: everybody reads their own writes, in a canary and after the cut-over."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from strangler.domain.buckets import bucket, included
from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import Answer, Application, Asked, Proxy, read_answer, response, table, until

Controlled = Callable[..., Proxy]
POSITION = "strangler_position"


def writing(position: str) -> Callable[[Asked], bytes]:
    """A handler whose writes answer with a position, between two cookies of its own."""

    def handle(asked: Asked) -> bytes:
        if asked.method != "POST":
            return response(body=b"monolith")
        return response(
            201, headers=[("Set-Cookie", "sessionid=s"), ("X-Strangler-Position", position), ("Set-Cookie", "csrftoken=c")]
        )

    return handle


def test_p23_a_write_sets_the_position_cookie(control: ControlPlane, controlled: Controlled, monolith: Application) -> None:
    monolith.handler = writing("monolith:0:123,payments:7:88")
    answer = controlled().ask("POST", "/api/payments/", b"x")
    assert answer.all("set-cookie") == [
        "sessionid=s",
        "csrftoken=c",
        "strangler_position=monolith.0.123~payments.7.88; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
    ]
    assert answer.get("x-strangler-position") is None


def test_p23_the_cookie_keeps_the_later_position_of_each_database(
    control: ControlPlane, controlled: Controlled, monolith: Application
) -> None:
    monolith.handler = writing("monolith:0:100,payments:8:1")
    answer = controlled().ask("POST", "/api/payments/", b"x", Cookie=f"a=b; {POSITION}=monolith.0.200~payments.7.999")
    assert answer.cookie(POSITION) == "monolith.0.200~payments.8.1"


def test_p23_a_canary_read_goes_to_the_service_only_when_its_markers_are_past_the_write(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(copies=True)

    def side() -> bytes:
        return proxy.ask("GET", "/api/payments/", Cookie=f"{POSITION}=monolith.0.100").body

    assert side() == b"monolith", "an unknown marker is not fresh"
    assert proxy.ask("GET", "/api/payments/").body == b"service", "who wrote nothing is served by the service"
    control.mark("payments", 101)
    control.mark("payments-copies", 100)
    until(lambda: proxy.ask("GET", "/api/payments/", Cookie=f"{POSITION}=monolith.0.99").body == b"service", "the markers")
    assert side() == b"monolith", "a marker that is equal has not passed it, and the copies count as well"
    control.mark("payments-copies", 101)
    until(lambda: side() == b"service", "fresh at last")


def test_p23_markers_only_rise(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.mark("payments", 200)
    until(lambda: proxy.ask("GET", "/api/payments/", Cookie=f"{POSITION}=monolith.0.150").body == b"service", "the marker")
    control.redis.publish("strangler:markers", "payments 10")
    control.redis.publish("strangler:markers", "other 1")
    assert proxy.ask("GET", "/api/payments/", Cookie=f"{POSITION}=monolith.0.150").body == b"service"


def test_p23_a_credential_stands_for_the_cookie_on_every_worker(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    monolith.handler = writing("monolith:0:100")
    proxy = controlled("--workers", "2")
    until(lambda: len(control.proxies()) == 2, "both workers")
    bearer = {"Authorization": "Bearer opaque-token"}
    for round in range(10):
        monolith.handler = writing(f"monolith:0:{100 + round}")
        assert proxy.ask("POST", "/api/payments/", b"x", **bearer).status == 201
        assert {proxy.ask("GET", "/api/payments/", **bearer).body for _ in range(6)} == {b"monolith"}
    [key] = control.redis.keys("strangler:position:*")
    assert b"opaque" not in key
    assert control.redis.zscore(key, "monolith.0") == 109
    assert 0 < control.redis.ttl(key) <= 60
    control.mark("payments", 110)
    until(lambda: {proxy.ask("GET", "/api/payments/", **bearer).body for _ in range(6)} == {b"service"}, "both workers fresh")


def test_p23_an_unknown_position_is_not_fresh(
    controlled: Controlled, start: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    """Without Redis nobody can say where a credential wrote last; the monolith always has it."""
    proxy = start(table(monolith, service))
    assert proxy.ask("GET", "/api/payments/", Authorization="Bearer x").body == b"monolith"
    assert proxy.ask("GET", "/api/payments/").body == b"service"


def test_p23_the_position_is_kept_although_the_client_left(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    go = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert go.wait(10)
        return writing("monolith:0:100")(asked)

    monolith.handler = slow
    proxy = controlled()
    client = proxy.send("POST", "/api/payments/", b"x", Authorization="Bearer t")
    monolith.wait(1)
    client.close()
    until(lambda: proxy.metric("abandoned_total") == 1, "the proxy noticing")
    go.set()
    until(lambda: control.redis.keys("strangler:position:*"), "the position")


def test_p24_in_live_a_read_at_the_monolith_waits_for_the_reverse_mirror(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(stage="live", epoch=7)
    control.mark("payments-reverse", 88)
    waiting = proxy.send("GET", "/api/orders/7", Cookie=f"{POSITION}=payments.7.88")
    until(lambda: proxy.metric("clients") >= 1)
    control.mark("payments-reverse", 89)
    assert read_answer(waiting.makefile("rb")).body == b"monolith"
    assert proxy.metric("freshness_waits_total", outcome="passed") == 1
    assert proxy.metric("freshness_waits_total", outcome="timed-out") == 0
    proxy.ask("GET", "/api/orders/7", Cookie=f"{POSITION}=payments.7.88")
    assert proxy.metric("freshness_waits_total") == 1, "and needs no wait when it is past"


def test_p24_the_wait_is_bounded(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(stage="live", epoch=7)
    began = time.monotonic()
    assert proxy.ask("GET", "/elsewhere", Cookie=f"{POSITION}=payments.7.88").body == b"monolith"
    assert 0.19 < time.monotonic() - began < 2
    assert proxy.metric("freshness_waits_total", outcome="timed-out") == 1


def test_p24_in_live_the_service_waits_for_its_read_copies(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(stage="live", epoch=7, copies=True)
    waiting = proxy.send("GET", "/api/payments/", Cookie=f"{POSITION}=monolith.0.5")
    until(lambda: proxy.metric("clients") >= 1)
    control.mark("payments-copies", 6)
    assert read_answer(waiting.makefile("rb")).body == b"service"
    assert proxy.metric("freshness_waits_total", outcome="passed") == 1


def test_p24_a_credentials_service_position_makes_the_monolith_wait(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    service.handler = writing("payments:7:88")
    proxy = controlled(stage="live", epoch=7)
    bearer = {"Authorization": "Bearer t"}
    assert proxy.ask("POST", "/api/payments/", b"x", **bearer).status == 201
    proxy.ask("GET", "/api/orders/", **bearer)
    assert proxy.metric("freshness_waits_total", outcome="timed-out") == 1


def test_p24_after_the_way_back_nobody_waits_for_a_stream_that_was_drained(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(epoch=8)
    proxy.ask("POST", "/api/payments/", b"x", Cookie=f"{POSITION}=payments.7.88")
    assert proxy.metric("freshness_waits_total") == 0


def test_p24_a_write_that_waits_for_a_marker_is_still_parked_by_a_hold(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """It was not let through yet when the hold came."""
    proxy = controlled(stage="live", epoch=7, copies=True)
    waiting = proxy.send("POST", "/api/payments/", b"x", Cookie=f"{POSITION}=monolith.0.5")
    hold = {"operation": "op", "for_ms": 60_000}
    control.apply(table(monolith, service, version=2, stage="live", epoch=7, copies=True, hold=hold))
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 1, "the parked write")
    assert service.asked == []
    control.apply(table(monolith, service, version=3, epoch=8))
    assert read_answer(waiting.makefile("rb")).body == b"monolith"


def forged_jwt(subject: str) -> str:
    def part(body: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part({'sub': subject})}.c2ln"


def test_canary_is_sticky_by_token_subject_session_cookie_or_own_cookie(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(percent=50)

    def expected(key: str) -> bytes:
        return b"service" if included(bucket("salt", key), 50) else b"monolith"

    def ask(**headers: str) -> Answer:
        return proxy.ask("GET", "/api/payments/", **headers)

    for number in range(12):
        assert ask(Authorization=f"Bearer {forged_jwt(str(number))}").body == expected(str(number))
        assert ask(Cookie=f"x=y; sessionid=session{number}").body == expected(f"session{number}")
    first = ask()
    own = first.cookie("strangler_id") or ""
    assert first.body == expected(own) == ask(Cookie=f"strangler_id={own}").body
    assert ask(Cookie=f"strangler_id={own}").cookie("strangler_id") is None


def test_a_canary_read_whose_service_is_away_goes_to_the_monolith_and_is_counted(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    assert proxy.ask("GET", "/api/payments/").body == b"service"
    service.stop()
    for _ in range(2):
        assert proxy.ask("GET", "/api/payments/").body == b"monolith"
    assert proxy.metric("fallbacks_total", context="payments") == 2


def test_a_write_has_no_fallback(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    service.stop()
    proxy = controlled(stage="live")
    answer = proxy.ask("POST", "/api/payments/", b"x")
    assert (answer.status, monolith.asked) == (503, [])
