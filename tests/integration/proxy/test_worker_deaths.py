"""Workers that are killed: what they had under way is still counted, and nobody who asks for metrics waits for them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, response, table, until
from tests.integration.proxy.test_workers import children

Start = Callable[..., Proxy]
HOLD = {"operation": "op", "for_ms": 60_000}


def drained(control: ControlPlane, version: int = 2) -> bool:
    """As the engine judges: every proxy has the table, holds, and says that nothing is under way."""
    said = control.proxies()
    return bool(said) and all(
        one["table"] == [1, version] and one["held"].get("payments", {}).get("drained") is True for one in said
    )


def test_step_2_a_write_of_a_worker_that_was_killed_is_not_drained_until_it_must_have_ended(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    over = threading.Event()

    def slow(asked: Asked) -> bytes | None:
        return response() if over.wait(2 * PATIENCE) else None

    monolith.handler = slow
    proxy = controlled("--workers", "2", "--limit", "first-byte=3s")
    until(lambda: len(control.proxies()) == 2, "both workers")
    writing = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    [busy] = until(lambda: [one for one in control.proxies() if one["inflight_writes"]], "the one that writes")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    until(lambda: sum(one["table"] == [1, 2] for one in control.proxies()) == 2, "the hold")
    assert not drained(control)
    seen: list[bool] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append(drained(control))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        os.kill(int(busy["id"].split(":")[1]), signal.SIGKILL)
        names = {one["id"] for one in control.proxies()}
        heir = control.acknowledged(lambda ack: ack["id"] not in names and ack["table"] == [1, 2], "the replacement")
        control.acknowledged(lambda ack: ack["id"] == heir["id"] and ack["held"].get("payments"), "its hold")
        until(lambda: busy["id"] not in {one["id"] for one in control.proxies()}, "the end of the dead one's field")
    finally:
        stop.set()
        watcher.join(PATIENCE)
    assert True not in seen, "the application is still at it"
    first = control.acknowledged(lambda ack: ack["id"] == heir["id"] and ack["held"].get("payments"))
    assert (first["held"]["payments"]["drained"], first["inflight_writes"]) == (False, {"payments": 1})
    until(lambda: drained(control), "the application's time to be over")
    writing.close()
    over.set()


def test_a_worker_that_wrote_nothing_is_missed_by_nobody(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    proxy = controlled("--workers", "2", "--limit", "first-byte=60s")
    until(lambda: len(control.proxies()) == 2, "both workers")
    assert {proxy.ask("POST", "/api/payments/", b"x").status for _ in range(20)} == {200}
    control.apply(table(monolith, service, version=2, hold=HOLD))
    until(lambda: drained(control), "the hold")
    victim = children(proxy)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: not any(f":{victim}:" in one["id"] for one in control.proxies()), "the end of its field")
    until(lambda: len(control.proxies()) == 2 and drained(control), "its replacement, with nothing under way")


def test_metrics_answer_while_workers_die(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), "--workers", "4")
    until(lambda: workers(proxy) == {"0", "1", "2", "3"}, "four workers")
    for _ in range(40):
        proxy.ask("GET", "/")
    assert proxy.metric("requests_total", status="2xx") == 40
    victim = children(proxy)[1]
    os.kill(victim, signal.SIGKILL)
    for _ in range(10):
        assert {"0", "2", "3"} <= workers(proxy) | {"1"}
    until(lambda: workers(proxy) == {"0", "1", "2", "3"} and victim not in children(proxy), "the replacement")
    assert proxy.metric("requests_total", status="2xx") <= 40, "what the dead one counted is gone, as its label says"


def test_metrics_answer_while_a_worker_hangs(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), "--workers", "3")
    until(lambda: workers(proxy) == {"0", "1", "2"}, "three workers")
    stopped = children(proxy)[2]
    os.kill(stopped, signal.SIGSTOP)
    try:
        until(lambda: tried(lambda: workers(proxy) == {"0", "1"}), "the others' samples")
    finally:
        os.kill(stopped, signal.SIGCONT)


def tried(condition: Callable[[], Any]) -> Any:
    """A question that the one that hangs had taken is not answered."""
    try:
        return condition()
    except OSError:
        return False


def workers(proxy: Proxy) -> set[str]:
    """Who is in the answer; it is read as Prometheus reads it."""
    families = text_string_to_metric_families(proxy.operators("/metrics")[1].decode())
    return {sample.labels["worker"] for family in families for sample in family.samples}


def test_all_that_operators_are_promised_is_in_the_metrics(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application, service: Application
) -> None:
    go = threading.Event()

    def slow(asked: Asked) -> bytes:
        assert asked.target != "/slow" or go.wait(PATIENCE)
        return response()

    monolith.handler = slow
    proxy = controlled("--limit", "check-every=100ms", share=1.0, percent=1)
    for number in range(30):
        proxy.ask("GET", f"/api/payments/{number}")
    waiting = proxy.send("GET", "/slow")
    service.stop()
    until(lambda: proxy.metric("ejections_total"), "an ejection")
    control.apply(table(monolith, service, version=2, percent=100, hold=HOLD))
    held = proxy.send("POST", "/api/payments/", b"x")
    assert proxy.ask("GET", "/api/payments/").body == b"ok"
    until(lambda: proxy.metric("held", context="payments") == 1, "the held write")
    families = {
        family.name.removeprefix("strangler_proxy_"): family
        for family in text_string_to_metric_families(proxy.operators("/metrics")[1].decode())
    }
    labels = {name: set(family.samples[0].labels) - {"worker", "le"} for name, family in families.items()}
    assert labels["requests"] == {"context", "side", "stage", "access", "status"}
    assert labels["request_seconds"] == {"context", "side", "stage", "access"}
    assert labels["requests_in_flight"] == {"context", "side"}
    assert labels["fallbacks"] == {"context", "cause"}
    assert labels["ejections"] == {"target", "cause"}
    assert labels["shadow"] == {"context", "outcome"}
    assert labels["held"] == {"context"}
    assert {"table_version", "table_age_seconds", "target_ejected", "checks", "clients", "tunnels"} <= labels.keys()
    flying = {(each.labels["context"], each.labels["side"]): each.value for each in families["requests_in_flight"].samples}
    assert flying == {("-", "monolith"): 1.0, ("-", "-"): 1.0}, "one at the monolith, one held before it has a side"
    go.set()
    waiting.close()
    held.close()
