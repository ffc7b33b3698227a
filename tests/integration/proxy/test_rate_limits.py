"""Rate limits with real processes: who is counted, by how many workers and proxies, what a flip and a dead Redis change."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.ports import Ports
from deploy.local.valkey import Valkey
from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import Answer, Application, Asked, Proxy, not_executed, read_answer, response, table, until
from tests.integration.proxy.test_workers import children

Start = Callable[..., Proxy]
PATH = "/api/payments/"


def limited(snapshot: dict[str, Any], **limit: Any) -> dict[str, Any]:
    """Few an hour: nothing is gained while a test runs."""
    snapshot["routes"][0]["limit"] = {"rate": 3, "per_s": 3600, "burst": 3} | limit
    return snapshot


def statuses(proxy: Proxy, count: int, **headers: str) -> list[int]:
    return [proxy.ask("GET", PATH, **headers).status for _ in range(count)]


def test_a_user_is_refused_past_the_limit_and_nobody_else(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith)))
    assert statuses(proxy, 3, Authorization="Bearer one") == [200] * 3
    refused = proxy.ask("GET", PATH, Authorization="Bearer one")
    assert refused.status == 429
    assert refused.get("content-type") == "application/problem+json"
    assert json.loads(refused.body)["type"] == "urn:strangler:rate-limited"
    assert 1 <= int(refused.get("retry-after") or 0) <= 1200
    assert refused.get("ratelimit-policy") == '"user";q=3;w=3600'
    assert re.fullmatch(r'"user";r=0;t=\d+', refused.get("ratelimit") or "")
    assert len(monolith.asked) == 3, "nothing of it was sent"
    assert statuses(proxy, 1, Authorization="Bearer two") == [200]
    assert statuses(proxy, 1, Cookie="a=b; sessionid=one") == [200]
    assert statuses(proxy, 4) == [200, 200, 200, 429], "who shows no credential is an address"
    assert proxy.ask("GET", "/api/payments/search", Authorization="Bearer one").status == 200, "another rule has no limit"
    assert proxy.metric("limited_total", context="payments", outcome="refused") == 2
    assert proxy.metric("limited_total", context="payments", outcome="admitted") == 8
    assert proxy.metric("problems_total", kind="rate-limited") == 2


def test_by_address_as_trusted_proxies_tell_it(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), by="address"), "--trusted", "127.0.0.1")
    assert statuses(proxy, 2, X_Forwarded_For="192.0.2.1", Authorization="Bearer one") == [200] * 2
    assert statuses(proxy, 2, X_Forwarded_For="192.0.2.1", Authorization="Bearer two") == [200, 429]
    assert statuses(proxy, 2, X_Forwarded_For="192.0.2.2") == [200] * 2
    assert statuses(proxy, 2, X_Forwarded_For="2001:db8::1") == [200] * 2
    assert statuses(proxy, 2, X_Forwarded_For="2001:db8::2") == [200, 429], "one network of IPv6"


def test_methods_of_the_rule_are_those_that_are_limited(start: Start, monolith: Application) -> None:
    snapshot = table(monolith)
    match = {"prefix": "/api/payments", "methods": ["POST", "PUT"]}
    limit = {"rate": 2, "per_s": 3600}
    snapshot["routes"].append({"match": match, "context": "payments", "limit": limit})
    proxy = start(snapshot)
    assert [proxy.ask(method, PATH, b"x").status for method in ("POST", "PUT", "POST")] == [200, 200, 429]
    assert statuses(proxy, 3) == [200] * 3


def test_what_is_refused_with_a_body_ends_cleanly(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), rate=1, burst=1))
    assert proxy.ask("POST", PATH, b"x" * 10).status == 200
    answer = proxy.ask("POST", PATH, b"x" * 3_000_000)
    assert (answer.status, answer.get("connection")) == (429, "close")


def test_tokens_come_back_with_time(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), rate=1, per_s=1, burst=1))
    assert statuses(proxy, 1) == [200]
    until(lambda: 429 in statuses(proxy, 5), "a refusal")
    until(lambda: statuses(proxy, 1) == [200], "another token")


def test_explain_shows_the_limit(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), burst=1, by="address"))
    assert json.loads(proxy.operators("/explain?path=/api/payments/7")[1])["limit"] == "3/h for each address, 1 at once"
    assert json.loads(proxy.operators("/explain?path=/elsewhere")[1])["limit"] is None


# ---- workers ------------------------------------------------------------------------------------------------------------


def test_two_workers_admit_together_what_was_declared(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), rate=20, burst=20), "--workers", "2")
    found: list[int] = []

    def both() -> bool:
        found.extend(statuses(proxy, 5))
        return all(proxy.metric("limited_total", worker=number) for number in ("0", "1"))

    until(both, "requests at both workers")
    found += statuses(proxy, 25)
    assert found.count(200) == 20
    assert set(found) == {200, 429}


def test_a_worker_that_is_replaced_takes_no_count_along(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith)), "--workers", "2")
    assert statuses(proxy, 4) == [200, 200, 200, 429]
    before = children(proxy)
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(proxy)) == 2 and not set(before) & set(children(proxy)), "the replacements")
    assert statuses(proxy, 2) == [429] * 2


# ---- once a request -----------------------------------------------------------------------------------------------------


def test_a_flip_does_not_fill_the_buckets(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    control.publish(limited(table(monolith, service)))
    proxy = start(None, "--redis", control.url)
    assert statuses(proxy, 4) == [200, 200, 200, 429]
    control.apply(limited(table(monolith, service, version=2, stage="live", epoch=7)))
    assert statuses(proxy, 1) == [429]
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert statuses(proxy, 1) == [200], "the limit is gone"


def test_who_is_refused_does_not_wait_in_a_hold_and_who_waited_is_not_judged_again(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    only = {"rate": 1, "burst": 1}
    control.publish(limited(table(monolith, service, hold={"operation": "op", "for_ms": 60_000}), **only))
    proxy = start(None, "--redis", control.url)
    waiting = proxy.send("POST", PATH, b"x")
    until(lambda: proxy.metric("held", context="payments") == 1, "the parked write")
    assert proxy.ask("POST", PATH, b"x").status == 429
    control.apply(limited(table(monolith, service, version=2, stage="live", epoch=7), **only))
    assert read_answer(waiting.makefile("rb")).body == b"service"


def test_a_request_that_is_routed_anew_is_not_judged_again(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: not_executed("service", 7)
    proxy = start(limited(table(monolith, service), rate=1, burst=1))
    answer = proxy.ask("POST", PATH, b"x")
    assert (answer.status, answer.body, len(monolith.asked)) == (200, b"service", 1)


def test_what_an_application_asks_within_a_write_is_a_part_of_it(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), rate=1, burst=1))
    inner: list[int] = []

    def handle(asked: Asked) -> bytes:
        if asked.method == "POST":
            inner.extend(statuses(proxy, 3, X_Strangler_Request=asked.get("x-strangler-request") or ""))
        return response()

    monolith.handler = handle
    assert proxy.ask("POST", PATH, b"x").status == 200
    assert inner == [200] * 3
    assert statuses(proxy, 1, X_Strangler_Request="made-up~1~payments." + "0" * 32) == [429]


# ---- through Redis ------------------------------------------------------------------------------------------------------


def test_two_proxies_count_together_through_redis(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    control.publish(limited(table(monolith, service), rate=10, burst=10, shared=True))
    proxies = [start(None, "--redis", control.url) for _ in range(2)]
    until(lambda: len(control.proxies()) == 2, "both proxies")
    answers: list[Answer] = []

    def ask(proxy: Proxy) -> None:
        for _ in range(12):
            answers.append(proxy.ask("GET", PATH, Authorization="Bearer a-secret-of-the-user"))

    threads = [threading.Thread(target=ask, args=(proxy,)) for proxy in proxies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Redis may be slow on a busy machine: what was counted without it is said, and nothing else is over the limit.
    alone = sum(proxy.metric("limits_alone_total") for proxy in proxies)
    assert 10 <= [answer.status for answer in answers].count(200) <= 10 + alone
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.get("retry-after") or 0) <= 3600
    keys = [key.decode() for key in control.redis.scan_iter("strangler:limit:*")]
    assert keys
    assert not any("secret" in key for key in keys)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of this test, to be killed."""
    server = Valkey(tmp_path / "valkey", Ports.free().valkey)
    server.start()
    yield server
    server.stop()
    server.discard()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_no_request_fails_because_redis_is_away(how: int, mortal: Valkey, start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), shared=True), "--redis", mortal.url())
    until(lambda: proxy.metric("tables_total") or statuses(proxy, 1, Authorization="Bearer zero"), "the start")
    before = proxy.metric("limits_alone_total")
    assert mortal.child is not None
    os.kill(mortal.child.pid, how)
    try:
        assert statuses(proxy, 4, Authorization="Bearer one") == [200, 200, 200, 429], "this proxy counts for itself"
        assert proxy.metric("limits_alone_total") - before == 4
    finally:
        if how == signal.SIGSTOP:
            os.kill(mortal.child.pid, signal.SIGCONT)


def test_a_shared_limit_without_redis_counts_for_itself(start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), shared=True))
    assert statuses(proxy, 4) == [200, 200, 200, 429]
    assert proxy.metric("limits_alone_total", cause="no-redis") == 4


def test_redis_that_comes_back_counts_for_all_again(mortal: Valkey, start: Start, monolith: Application) -> None:
    proxy = start(limited(table(monolith), shared=True), "--redis", mortal.url())
    mortal.kill()
    assert statuses(proxy, 1) == [200]
    mortal.start()

    def counted_there() -> bool:
        before = proxy.metric("limits_alone_total")
        proxy.ask("GET", PATH, Authorization=f"Bearer {before}")
        return proxy.metric("limits_alone_total") == before

    until(counted_there, "an answer of Redis")
