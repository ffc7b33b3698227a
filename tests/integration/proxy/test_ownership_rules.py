"""P20 and P21: stamps, 421, and tables that fell back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import Application, Asked, Proxy, not_executed, read_answer, response, table, until

Start = Callable[..., Proxy]
Controlled = Callable[..., Proxy]


def stamps(asked: Asked) -> tuple[str | None, str | None, str | None]:
    return asked.get("x-strangler-context"), asked.get("x-strangler-epoch"), asked.get("x-strangler-access")


def test_p20_every_request_of_a_context_is_stamped(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, stage="shadow", epoch=6))
    for method, path in (
        ("GET", "/api/payments/"),
        ("POST", "/api/payments/"),
        ("POST", "/api/payments/search"),
        ("GET", "/pay/confirm"),
    ):
        proxy.ask(method, path, b"" if method == "POST" else None)
    proxy.ask("GET", "/elsewhere")
    assert [stamps(asked) for asked in monolith.asked] == [
        ("payments", "6", "read"),
        ("payments", "6", "write"),
        ("payments", "6", "read"),
        ("payments", "6", "write"),
        (None, None, None),
    ]


def test_p20_a_write_that_was_not_executed_goes_to_the_named_owner(
    start: Start, monolith: Application, service: Application
) -> None:
    """A proxy with an old table on disk: it fails nobody and doubles nothing."""
    monolith.handler = lambda asked: not_executed("service", 7)
    proxy = start(table(monolith, service, epoch=6))
    answer = proxy.ask("POST", "/api/payments/", b"amount=1")
    assert (answer.status, answer.body) == (200, b"service")
    assert [(asked.body, *stamps(asked)) for asked in service.asked] == [(b"amount=1", "payments", "7", "write")]
    assert len(monolith.asked) == 1
    proxy.ask("POST", "/api/payments/", b"amount=2")
    assert len(monolith.asked) == 1, "what was learnt is used until a newer table comes"


def test_p20_a_421_without_not_executed_is_the_applications_own(
    start: Start, monolith: Application, service: Application
) -> None:
    monolith.handler = lambda asked: response(421, json.dumps({"owner": "service", "epoch": 9}).encode())
    assert start(table(monolith, service)).ask("POST", "/api/payments/", b"x").status == 421
    assert service.asked == []


def test_p20_no_other_answer_is_sent_again(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: response(503, headers=[("Retry-After", "0"), ("X-Strangler-Not-Executed", "1")])
    assert start(table(monolith, service)).ask("POST", "/api/payments/", b"x").status == 503
    assert len(monolith.asked) == 1


def test_p20_while_nobody_owns_it_the_request_waits_for_the_next_table(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    monolith.handler = lambda asked: not_executed("none", 7)
    proxy = controlled()
    waiting = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, stage="live", epoch=7))
    assert read_answer(waiting.makefile("rb")).body == b"service"


def test_p20_without_an_owner_it_ends_in_an_honest_503(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: not_executed("none", 7)
    answer = start(table(monolith, service)).ask("POST", "/api/payments/", b"x")
    assert (answer.status, answer.get("retry-after")) == (503, "1")
    assert b"urn:strangler:misdirected" in answer.body


def test_p20_two_sides_that_point_at_each_other_end_in_503(start: Start, monolith: Application, service: Application) -> None:
    epoch = iter(range(7, 1000))
    monolith.handler = lambda asked: not_executed("service", next(epoch))
    service.handler = lambda asked: not_executed("monolith", next(epoch))
    assert start(table(monolith, service)).ask("POST", "/api/payments/", b"x").status == 503
    assert len(monolith.asked) + len(service.asked) < 20


def test_p20_a_canary_read_refused_by_a_stale_service_goes_to_the_monolith(
    start: Start, monolith: Application, service: Application
) -> None:
    service.handler = lambda asked: not_executed("monolith", 5)
    proxy = start(table(monolith, service, epoch=6))
    assert proxy.ask("GET", "/api/payments/").body == b"monolith"
    assert proxy.metric("fallbacks_total", context="payments", cause="stale") == 1


def test_p20_a_body_too_large_to_keep_is_not_sent_twice(start: Start, monolith: Application, service: Application) -> None:
    monolith.handler = lambda asked: not_executed("service", 7)
    answer = start(table(monolith, service)).ask("POST", "/api/payments/", b"x" * (4 * 1024 * 1024))
    assert answer.status == 503
    assert service.asked == []


def order_in_force(proxy: Proxy) -> Any:
    return json.loads(proxy.operators("/table")[1])["proxy"]["table"]


def test_p21_a_redis_that_fell_back_is_ignored(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled(generation=2, version=5)
    control.publish(table(monolith, service, generation=2, version=4, stage="live"))
    until(lambda: proxy.metric("tables_total", outcome="ignored") >= 1, "the older version")
    control.publish(table(monolith, service, generation=1, version=9, stage="live"))
    until(lambda: proxy.metric("tables_total", outcome="ignored") >= 2, "the older generation")
    assert order_in_force(proxy) == [2, 5]
    assert proxy.ask("POST", "/api/payments/", b"x").body == b"monolith"
    control.apply(table(monolith, service, generation=3, version=1, stage="live", epoch=8))
    assert proxy.ask("POST", "/api/payments/", b"x").body == b"service"


def test_p21_an_older_table_than_the_one_on_disk_is_ignored(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    control.publish(table(monolith, service, version=3, stage="live"))
    proxy = start(table(monolith, service, version=4), "--redis", control.url)
    until(lambda: proxy.metric("tables_total", outcome="ignored") >= 1, "the older version")
    assert order_in_force(proxy) == [1, 4]


def test_an_invalid_table_is_refused_whole_with_the_reason_in_the_acknowledgement(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    broken = table(monolith, service, version=2, stage="live")
    broken["routes"].append({"match": {"prefix": "/x"}, "context": "nobody"})
    control.publish(broken)
    ack = control.acknowledged(lambda ack: ack["error"], "the reason")
    assert ack["error"] == "routes[4].context: is 'nobody', which contexts does not hold"
    assert ack["table"] == [1, 1]
    assert proxy.ask("POST", "/api/payments/", b"x").body == b"monolith"
    control.redis.set("strangler:table", "{half")
    control.redis.publish("strangler:table", "1.3")
    control.acknowledged(lambda ack: "not JSON" in ack["error"], "the other reason")
    control.apply(table(monolith, service, version=4, stage="live"))
    control.acknowledged(lambda ack: ack["table"] == [1, 4] and not ack["error"], "the reason to go")


def test_a_table_is_found_without_its_push(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    controlled()
    control.redis.set("strangler:table", json.dumps(table(monolith, service, version=2)))
    control.acknowledged(lambda ack: ack["table"] == [1, 2], "the table by polling")


def test_the_last_good_table_is_on_disk_and_serves_without_redis(
    control: ControlPlane, controlled: Controlled, start: Start, monolith: Application, service: Application, tmp_path: Path
) -> None:
    file = tmp_path / "last.json"
    proxy = controlled("--table", str(file))
    control.apply(table(monolith, service, version=2, stage="live", epoch=7))
    until(lambda: file.exists() and json.loads(file.read_text())["version"] == 2, "the copy on disk")
    proxy.stop(9)
    again = start(None, "--redis", "redis://127.0.0.1:9/0", "--table", str(file))
    assert again.ask("POST", "/api/payments/", b"x").body == b"service"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".last")] == []


def test_without_any_table_it_says_so_and_takes_the_first_that_comes(
    control: ControlPlane, start: Start, monolith: Application, service: Application
) -> None:
    proxy = start(None, "--redis", control.url, ready=False)
    assert proxy.operators("/readyz")[0] == 503
    assert proxy.ask("GET", "/").status == 503
    control.apply(table(monolith, service))
    assert proxy.operators("/readyz")[0] == 200
    assert proxy.ask("GET", "/").status == 200


def test_a_redis_that_comes_back_finds_the_proxy_again(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    for client in control.redis.client_list():
        if client["name"] == f"strangler-proxy-{proxy.process.pid}":
            control.redis.client_kill_filter(_id=client["id"])
    control.redis.set("strangler:table", json.dumps(table(monolith, service, version=2)))
    until(lambda: order_in_force(proxy) == [1, 2], "the next table")
    until(lambda: control.proxies() and control.proxies()[0]["table"] == [1, 2], "its acknowledgement")


def test_a_proxy_that_stops_cleanly_takes_its_name_along(control: ControlPlane, controlled: Controlled) -> None:
    proxy = controlled()
    assert len(control.proxies()) == 1
    assert proxy.stop() == 0
    assert control.proxies() == []
