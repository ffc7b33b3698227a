"""A tester sees the service first: in which stages, for what, and never by a token that nobody signed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from strangler.domain import override, tokens
from strangler.domain.stages import Side
from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import TOKEN, Application, Proxy, not_executed, raw, read_answer, response, table, until

Start = Callable[..., Proxy]
PATH = "/api/payments/"


def token(side: Side = Side.SERVICE, *, secret: str = TOKEN, context: str = "payments", ttl: float = 600, ago: float = 0) -> str:
    return override.issue(secret, context, side, now=time.time() - ago, ttl=ttl)


def asking(side: Side = Side.SERVICE, **options: Any) -> dict[str, str]:
    return {"X_Strangler_Override": token(side, **options)}


@pytest.mark.parametrize(
    ("stage", "usual", "to_service", "to_monolith"),
    [
        ("monolith", b"monolith", b"monolith", b"monolith"),
        ("mirror", b"monolith", b"monolith", b"monolith"),
        ("shadow", b"monolith", b"service", b"monolith"),
        ("canary", b"service", b"service", b"monolith"),
        ("live", b"service", b"service", b"service"),
        ("retired", b"service", b"service", b"service"),
    ],
)
def test_reads_go_where_it_says_in_shadow_and_canary_alone(
    stage: str, usual: bytes, to_service: bytes, to_monolith: bytes, start: Start, monolith: Application, service: Application
) -> None:
    proxy = start(table(monolith, service, stage=stage))
    assert proxy.ask("GET", PATH).body == usual
    assert proxy.ask("GET", PATH, **asking()).body == to_service
    assert proxy.ask("GET", PATH, **asking(Side.MONOLITH)).body == to_monolith
    assert proxy.ask("GET", PATH).body == usual, "nobody else is moved by it"


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_writes_go_to_the_owner(stage: str, start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage=stage))
    for method, path in (("POST", PATH), ("GET", "/pay/confirm"), ("POST", "/api/orders/checkout")):
        assert proxy.ask(method, path, b"x" if method == "POST" else None, **asking()).body == b"monolith"
    assert proxy.ask("POST", "/api/payments/search", b"x", **asking()).body == b"service", "a POST that only reads"
    asked = service.asked[-1]
    stamp = [asked.get(f"x-strangler-{name}") for name in ("context", "epoch", "access")]
    assert stamp == ["payments", "6", "read"]


def test_the_token_reaches_no_application(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow"))
    cookie = f"strangler_override={token()}"
    for header in (f"a=b; {cookie}; c=d", f"{cookie}; a=b", f"a=b;{cookie}", cookie):
        assert proxy.ask("GET", PATH, Cookie=header).body == b"service"
        assert proxy.ask("GET", "/elsewhere", Cookie=header).body == b"monolith"
    assert proxy.ask("GET", PATH, **asking()).body == b"service"
    proxy.ask("POST", PATH, b"x", Cookie=f"a=b; {cookie}")
    assert [asked.all("cookie") for asked in service.asked] == [["a=b; c=d"], ["a=b"], ["a=b"], [], []]
    assert [asked.all("cookie") for asked in monolith.asked] == [["a=b; c=d"], ["a=b"], ["a=b"], [], ["a=b"]]
    everything = str([asked.headers for asked in (*service.asked, *monolith.asked)])
    assert "verride" not in everything


def test_a_bad_one_is_ignored_and_counted(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow"))
    forged = token(secret="x" * 40)
    other = tokens.issue(TOKEN, audience="payments", now=time.time(), context="payments", side="service")
    half = token()[:-4]
    bad = [forged, other, half, token(ttl=60, ago=61), "rubbish", "a.b.c", "W" * 3000, "W1tb" * 200 + ".x.y"]
    for value in bad:
        assert proxy.ask("GET", PATH, X_Strangler_Override=value).body == b"monolith"
        assert proxy.ask("GET", PATH, Cookie=f"strangler_override={value}").body == b"monolith"
    assert proxy.metric("overrides_total", outcome="bad") == 2 * len(bad)
    assert proxy.ask("GET", PATH, **asking()).body == b"service"
    assert proxy.metric("overrides_total", outcome="good") == 1
    assert "unexpected" not in proxy.log.read_text()


def test_it_is_about_its_own_context(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow"))
    assert proxy.ask("GET", PATH, **asking(context="orders")).body == b"monolith"
    assert proxy.ask("GET", "/api/orders/", **asking(context="orders")).body == b"monolith", "nothing of orders has moved"


def test_one_connection_carries_requests_with_and_without(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow"))
    with proxy.connect() as one:
        one.sendall(raw("GET", PATH) + raw("GET", PATH, **asking()) + raw("GET", PATH))
        reader = one.makefile("rb")
        assert [read_answer(reader).body for _ in range(3)] == [b"monolith", b"service", b"monolith"]


# ---- freshness, fallback, owners ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_p23_a_tester_reads_their_own_writes_by_cookie(
    stage: str, control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled(stage=stage)
    headers = {**asking(), "Cookie": "strangler_position=monolith.0.100"}
    assert proxy.ask("GET", PATH, **headers).body == b"monolith"
    control.mark("payments", 101)
    until(lambda: proxy.ask("GET", PATH, **headers).body == b"service", "the marker")


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_p23_a_tester_reads_their_own_writes_by_credential(
    stage: str, control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    monolith.handler = lambda asked: response(body=b"monolith", headers=[("X-Strangler-Position", "monolith:0:100")])
    proxy = controlled(stage=stage)
    headers = {**asking(), "Authorization": "Bearer tester"}
    until(lambda: proxy.ask("GET", PATH, **headers).body == b"service", "Redis, which says that nothing was written")
    proxy.ask("POST", PATH, b"x", **headers)
    assert proxy.ask("GET", PATH, **headers).body == b"monolith"
    control.mark("payments", 101)
    until(lambda: proxy.ask("GET", PATH, **headers).body == b"service", "the marker")


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_a_service_that_is_away_is_no_failure(stage: str, start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage=stage))
    service.stop()
    assert proxy.ask("GET", PATH, **asking()).body == b"monolith"
    assert proxy.metric("fallbacks_total", context="payments") == 1


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_p20_a_service_that_is_stale_is_no_failure(stage: str, start: Start, monolith: Application, service: Application) -> None:
    service.handler = lambda asked: not_executed("monolith", 5)
    proxy = start(table(monolith, service, stage=stage))
    assert proxy.ask("GET", PATH, **asking()).body == b"monolith"
    assert proxy.metric("fallbacks_total", context="payments", cause="stale") == 1


def test_p20_the_owners_own_word_stands_above_it(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: not_executed("service", 7) if asked.method == "POST" else response(body=b"monolith")
    proxy = start(table(monolith, service))
    assert proxy.ask("POST", PATH, b"x").body == b"service"
    assert proxy.ask("GET", PATH, **asking(Side.MONOLITH)).body == b"service"


def test_explain_answers_as_if_a_side_was_asked_for(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow"))
    status, body = proxy.operators("/explain?path=/api/payments/7&override=service")
    assert status == 200
    said = json.loads(body)
    assert (said["target"], said["reason"]) == ("service", "a signed override of a tester asked for the service")
    assert json.loads(proxy.operators("/explain?path=/api/payments/7")[1])["target"] == "monolith"
    status, body = proxy.operators("/explain?path=/api/payments/7&override=none")
    assert (status, json.loads(body)["error"]) == (400, "override=none: it is one of service, monolith")
