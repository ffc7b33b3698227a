"""Active health checks: what is not well is left out before a user meets it, and comes back without one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, response, table, until

Start = Callable[..., Proxy]
OFTEN = ("--limit", "check-every=100ms", "--limit", "check=500ms")


class Page:
    """An application's health page; ``status`` is what it says."""

    def __init__(self, application: Application) -> None:
        self.status, self.application = 200, application
        application.handler = self._answer

    def _answer(self, asked: Asked) -> bytes:
        if asked.target == "/readyz":
            return response(self.status, headers=[("Connection", "close")])
        return response(body=self.application.name.encode())

    @property
    def users(self) -> int:
        return sum(asked.target != "/readyz" for asked in list(self.application.asked))


@pytest.fixture
def other() -> Iterator[Application]:
    application = Application("other")
    yield application
    application.stop()


def watched(monolith: Application, *services: Application, **more: Any) -> dict[str, Any]:
    made = table(monolith, services[0], **more)
    made["contexts"]["payments"]["health"] = "/readyz"
    made["contexts"]["payments"]["targets"]["service"] = [service.url for service in services]
    return made


def test_a_service_whose_page_fails_is_left_out_and_no_user_finds_out_when_it_is_back(
    start: Start, monolith: Application, service: Application
) -> None:
    page = Page(service)
    proxy = start(watched(monolith, service), *OFTEN)
    assert proxy.ask("GET", "/api/payments/1").body == b"service"
    page.status = 503
    until(lambda: proxy.metric("target_ejected", target=service.url), "the ejection")
    assert proxy.metric("ejections_total", target=service.url, cause="check") == 1
    before = page.users
    for _ in range(20):
        assert proxy.ask("GET", "/api/payments/1").body == b"monolith"
    assert page.users == before
    assert proxy.metric("fallbacks_total", cause="ejected") == 20
    page.status = 204
    until(lambda: not proxy.metric("target_ejected", target=service.url), "its return")
    assert page.users == before
    until(lambda: proxy.ask("GET", "/api/payments/1").body == b"service")
    assert proxy.metric("checks_total", target=service.url, outcome="well") >= 1
    assert proxy.metric("checks_total", target=service.url, outcome="failed") >= 3


def test_a_page_that_hangs_is_a_page_that_fails(start: Start, monolith: Application, service: Application) -> None:
    over = threading.Event()

    def hangs(asked: Asked) -> bytes:
        assert asked.target != "/readyz" or over.wait(PATIENCE)
        return response()

    service.handler = hangs
    proxy = start(watched(monolith, service), "--limit", "check-every=50ms", "--limit", "check=100ms")
    until(lambda: proxy.metric("target_ejected", target=service.url), "the ejection")
    over.set()
    until(lambda: not proxy.metric("target_ejected", target=service.url), "its return")


def test_without_a_page_a_connection_is_tried_and_nobody_need_come_by(
    start: Start, monolith: Application, service: Application
) -> None:
    proxy = start(table(monolith, service), *OFTEN)
    service.stop()
    until(lambda: proxy.metric("ejections_total", target=service.url, cause="check"), "the ejection")
    assert proxy.ask("GET", "/api/payments/1").body == b"monolith"
    service.start()
    until(lambda: not proxy.metric("target_ejected", target=service.url), "its return")
    assert service.asked == []


def test_one_of_two_is_left_out_and_when_both_are_they_are_tried_all_the_same(
    start: Start, monolith: Application, service: Application, other: Application
) -> None:
    """Live reads and writes have nowhere else to go: a try is better than a refusal."""
    pages = Page(service), Page(other)
    proxy = start(watched(monolith, service, other, stage="live"), *OFTEN)
    pages[0].status = 500
    until(lambda: proxy.metric("target_ejected", target=service.url), "the ejection")
    assert {proxy.ask(method, "/api/payments/", b"").body for method in ("GET", "POST") * 10} == {b"other"}
    pages[1].status = 500
    until(lambda: proxy.metric("target_ejected", target=other.url), "the other's")
    answers = [proxy.ask(method, "/api/payments/", b"") for method in ("GET", "POST") * 20]
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {b"service", b"other"}


def test_when_all_are_left_out_reads_of_a_canary_go_to_the_monolith(
    start: Start, monolith: Application, service: Application, other: Application
) -> None:
    pages = Page(service), Page(other)
    proxy = start(watched(monolith, service, other), *OFTEN)
    for page in pages:
        page.status = 500
    until(lambda: proxy.metric("target_ejected") == 2, "both ejections")
    assert {proxy.ask("GET", "/api/payments/").body for _ in range(20)} == {b"monolith"}
    assert [page.users for page in pages] == [0, 0]


def test_a_service_that_nothing_is_sent_to_need_not_run(
    start: Start, monolith: Application, service: Application, tmp_path: Path
) -> None:
    service.stop()
    proxy = start(watched(monolith, service, stage="mirror"), *OFTEN)
    until(lambda: proxy.metric("checks_total", target=monolith.url) >= 3, "checks of the monolith")
    assert proxy.metric("checks_total", target=service.url) == 0
    beside = tmp_path / "next.json"
    beside.write_text(json.dumps(watched(monolith, service, stage="shadow", version=2)))
    beside.replace(tmp_path / "table.json")
    until(lambda: proxy.metric("checks_total", target=service.url) >= 3, "checks once it is asked")


def test_the_monolith_can_have_a_page_too(start: Start, monolith: Application) -> None:
    page = Page(monolith)
    snapshot = table(monolith)
    snapshot["default"]["health"] = "/readyz"
    proxy = start(snapshot, *OFTEN)
    until(lambda: proxy.metric("checks_total", target=monolith.url, outcome="well") >= 2, "checks")
    assert page.users == 0
    page.status = 500
    until(lambda: proxy.metric("target_ejected", target=monolith.url), "the ejection")
    assert proxy.ask("POST", "/", b"x").status == 200, "there is nobody else"
