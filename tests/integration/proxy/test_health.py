"""Targets that fail: reads of a canary are served by the monolith, other instances carry on, and what is back is found out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, response, table, until

Start = Callable[..., Proxy]


def canary(monolith: Application, service: Application) -> dict[str, object]:
    return table(monolith, service, stage="canary", percent=100, share=0.0)


def test_reads_of_a_canary_go_to_the_monolith_while_the_service_is_ejected_and_back_when_it_answers(
    start: Start, monolith: Application, service: Application
) -> None:
    proxy = start(canary(monolith, service))
    assert proxy.ask("GET", "/api/payments/1").body == b"service"
    service.stop()
    for number in range(12):
        assert proxy.ask("GET", f"/api/payments/{number}").body == b"monolith"
    assert proxy.metric("ejections_total", cause="in-a-row") == 1
    assert proxy.metric("fallbacks_total", cause="ejected") >= 1
    assert proxy.metric("target_ejected", target=service.url) == 1
    service.start()
    until(lambda: proxy.ask("GET", "/api/payments/1").body == b"service", "the service to be asked again")
    assert proxy.metric("target_ejected", target=service.url) == 0
    assert proxy.metric("problems_total") == 0


def test_a_service_that_answers_504_is_ejected_too_and_one_that_answers_503_or_500_is_not(
    start: Start, monolith: Application, service: Application
) -> None:
    """503 is what an application says whose context changes hands; 500 is the migration's to judge."""
    proxy = start(canary(monolith, service))
    for status in (500, 503):
        service.handler = lambda asked, status=status: response(status)  # type: ignore[misc]
        for _ in range(10):
            assert proxy.ask("GET", "/api/payments/").status == status
    assert proxy.metric("ejections_total") == 0
    service.handler = lambda asked: response(504)
    answers = [proxy.ask("GET", "/api/payments/").status for _ in range(8)]
    assert answers == [504] * 5 + [200] * 3


def test_one_of_two_instances_is_down_and_nobody_notices(start: Start, monolith: Application, service: Application) -> None:
    other = Application("other")
    try:
        both = table(monolith, service, stage="live")
        both["contexts"]["payments"]["targets"]["service"].append(other.url)
        proxy = start(both)
        assert {proxy.ask("GET", "/api/payments/").body for _ in range(30)} == {b"service", b"other"}
        other.stop()
        assert {proxy.ask("POST", "/api/payments/", b"x").status for _ in range(40)} == {200}
        assert proxy.metric("target_ejected", target=other.url) == 1
        other.start()
        until(lambda: proxy.ask("GET", "/api/payments/").body == b"other", "the other one to be asked again")
    finally:
        other.stop()


def test_the_only_target_is_asked_also_while_it_is_ejected(start: Start, monolith: Application) -> None:
    """There is nobody else; whoever comes first learns that it is back."""
    turn = {"bad": True}

    def answer(asked: Asked) -> bytes | None:
        return None if turn["bad"] else response()

    monolith.handler = answer
    proxy = start(table(monolith))
    assert {proxy.ask("POST", "/", b"x").status for _ in range(8)} == {502}
    assert proxy.metric("ejections_total") == 1
    turn["bad"] = False
    assert proxy.ask("POST", "/", b"x").status == 200


def test_the_less_busy_of_two_gets_the_request(start: Start, monolith: Application, service: Application) -> None:
    other, gate = Application("other"), threading.Event()

    def slow(asked: Asked) -> bytes:
        assert gate.wait(PATIENCE)
        return response(body=b"service")

    try:
        service.handler = slow
        both = table(monolith, service, stage="live")
        both["contexts"]["payments"]["targets"]["service"].append(other.url)
        proxy = start(both)
        waiting = [proxy.send("GET", f"/api/payments/{number}") for number in range(40)]
        service.wait(1)  # one is stuck; two at once only where both were as busy
        assert {proxy.ask("GET", "/api/payments/").body for _ in range(10)} == {b"other"}
        gate.set()
        for one in waiting:
            one.close()
    finally:
        other.stop()
