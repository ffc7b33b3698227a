"""Copies of reads: after the answer, never of what writes, never at the user's cost."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, response, table, until

Start = Callable[..., Proxy]


def test_reads_are_copied_and_compared(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: response(body=b"same")
    service.handler = lambda asked: response(body=b"same" if asked.target.endswith("1") else b"other")
    proxy = start(table(monolith, service, stage="shadow", share=1.0))
    for path in ("/api/payments/1", "/api/payments/2"):
        assert proxy.ask("GET", path, Cookie="sessionid=s").body == b"same"
    until(lambda: proxy.metric("shadow_total", outcome="equal") == 1, "the equal one")
    until(lambda: proxy.metric("shadow_total", outcome="different") == 1, "the different one")
    copy = service.asked[0]
    assert copy.get("cookie") == "sessionid=s"
    assert (copy.get("x-strangler-access"), copy.get("x-strangler-shadow")) == ("read", "1")


def test_what_writes_is_never_copied(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow", share=1.0))
    proxy.ask("POST", "/api/payments/", b"x")
    proxy.ask("GET", "/pay/confirm")
    proxy.ask("POST", "/api/payments/search", b"q")
    proxy.ask("OPTIONS", "/api/payments/")
    proxy.ask("GET", "/api/orders/")
    proxy.ask("GET", "/api/payments/last")
    until(lambda: proxy.metric("shadow_total") == 1, "the one copy")
    assert [asked.target for asked in service.asked] == ["/api/payments/last"]


def test_in_a_canary_only_answers_of_the_monolith_are_copied(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, percent=100, share=1.0))
    proxy.ask("GET", "/api/payments/")
    assert proxy.metric("shadow_total") == 0
    proxy.ask("GET", "/api/payments/", Cookie="strangler_position=monolith.0.1")
    until(lambda: proxy.metric("shadow_total", outcome="stale") == 1, "a copy the service can't answer yet")


def test_a_service_that_hangs_costs_the_user_nothing_and_the_proxy_little(
    start: Start, monolith: Application, service: Application
) -> None:
    go = threading.Event()

    def hang(asked: Asked) -> bytes:
        assert go.wait(PATIENCE)
        return response()

    service.handler = hang
    proxy = start(table(monolith, service, stage="shadow", share=1.0))
    for number in range(40):
        assert proxy.ask("GET", f"/api/payments/{number}").status == 200
    assert proxy.metric("shadow_total", outcome="dropped") == 40 - 16
    assert len(service.wait(16)) == 16
    go.set()
    until(lambda: proxy.metric("shadow_total", outcome="different") == 16, "the copies that were made")


def test_a_service_that_is_away_is_counted(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow", share=1.0))
    service.stop()
    assert proxy.ask("GET", "/api/payments/").status == 200
    until(lambda: proxy.metric("shadow_total", outcome="unreachable") == 1, "the copy")
