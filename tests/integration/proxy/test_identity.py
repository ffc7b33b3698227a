"""Who asks: the client's credential becomes a signed header for services, by the monolith's word (DESIGN section 9)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from strangler.domain import tokens
from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, TOKEN, Application, Asked, Proxy, reset, response, table, until

Start = Callable[..., Proxy]
QUESTION = "/_strangler/identity"


class Users:
    """The monolith's side: who holds which session. ``gate`` holds answers back."""

    def __init__(self, monolith: Application) -> None:
        self.sessions: dict[str, Any] = {"ada": {"id": "42", "staff": True}, "bob": {"id": "43", "staff": False}}
        self.answer: bytes | None = b""
        self.gate = threading.Event()
        self.gate.set()
        self._monolith = monolith
        monolith.handler = self._handle

    def _handle(self, asked: Asked) -> bytes | None:
        if asked.target != QUESTION:
            return response(body=b"monolith")
        self.gate.wait(PATIENCE)
        if self.answer != b"":
            return self.answer
        cookie = (asked.get("cookie") or "").partition("sessionid=")[2].partition(";")[0]
        bearer = (asked.get("x-strangler-authorization") or "").partition(" ")[2]
        return response(body=json.dumps({"user": self.sessions.get(cookie) or self.sessions.get(bearer)}).encode())

    @property
    def questions(self) -> list[Asked]:
        return [asked for asked in self._monolith.asked if asked.target == QUESTION]


@pytest.fixture
def users(monolith: Application) -> Iterator[Users]:
    found = Users(monolith)
    yield found
    found.gate.set()


def told(monolith: Application, service: Application, *, stage: str = "live", **more: Any) -> dict[str, Any]:
    """A table whose service wants to be told who asks."""
    snapshot = table(monolith, service, stage=stage, **more)
    snapshot["contexts"]["payments"]["identity"] = True
    return snapshot


def claims(asked: Asked) -> dict[str, Any] | None:
    token = asked.get("x-strangler-identity")
    return tokens.verify(TOKEN, token, audience="payments", now=time.time()) if token else None


def test_a_session_becomes_a_signed_header_of_the_services_own(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    assert proxy.ask("GET", "/api/payments/", Cookie="theme=dark; sessionid=ada").body == b"service"
    said = claims(service.asked[0])
    assert said is not None
    assert (said["sub"], said["staff"], said["aud"]) == ("42", True, "payments")
    assert said["exp"] - said["iat"] == 30
    assert service.asked[0].get("cookie") == "theme=dark; sessionid=ada"
    question = users.questions[0]
    assert tokens.verify(TOKEN, (question.get("authorization") or "")[7:], audience="monolith", now=time.time())
    assert (question.get("cookie"), question.get("host")) == ("theme=dark; sessionid=ada", "shop.example")
    assert (question.get("x-forwarded-proto"), question.get("x-strangler-authorization")) == ("http", None)


def test_a_token_is_shown_to_the_monolith_beside_the_proxys_own(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    proxy.ask("POST", "/api/payments/", b"x", Authorization="Bearer bob")
    said = claims(service.asked[0])
    assert said is not None
    assert said["sub"] == "43"
    assert service.asked[0].get("authorization") == "Bearer bob"
    assert users.questions[0].get("x-strangler-authorization") == "Bearer bob"


def test_the_monolith_is_asked_once_however_many_wait(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    users.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(proxy.ask, "GET", f"/api/payments/{n}", Cookie=f"n={n}; sessionid=ada") for n in range(20)]
        until(lambda: proxy.metric("clients") == 20, "all requests have come")
        users.gate.set()
        assert {one.result(PATIENCE).body for one in asking} == {b"service"}
    assert {(claims(asked) or {})["sub"] for asked in service.asked} == {"42"}
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
    assert len(users.questions) == 1
    assert proxy.metric("identity_total", outcome="asked") == 1
    assert proxy.metric("identity_total", outcome="cached") == 1


def test_two_people_are_two_questions(start: Start, monolith: Application, service: Application, users: Users) -> None:
    proxy = start(told(monolith, service))
    for name in ("ada", "bob", "ada", "bob"):
        proxy.ask("GET", "/api/payments/", Cookie=f"sessionid={name}")
    assert [(claims(asked) or {})["sub"] for asked in service.asked] == ["42", "43", "42", "43"]
    assert len(users.questions) == 2


def test_no_credential_is_nobody_without_a_question(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    assert proxy.ask("GET", "/api/payments/", Cookie="theme=dark").body == b"service"
    assert claims(service.asked[0]) is None
    assert users.questions == []
    assert proxy.metric("identity_total", outcome="anonymous") == 1


def test_a_credential_of_nobody_is_anonymous_and_asked_once(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    for _ in range(2):
        assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=unknown").body == b"service"
    assert [claims(asked) for asked in service.asked] == [None, None]
    assert len(users.questions) == 1


UNCLEAR = [
    None,
    response(500),
    response(401, b'{"user": null}'),
    response(302, headers=[("Location", "https://shop.example/")]),
    response(body=b"<html>log in</html>"),
    response(body=b'{"user": {"id": 42}}'),
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{",
    b"rubbish\r\n\r\n",
]


def test_without_the_monoliths_clear_word_nobody_passes(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    for users.answer in UNCLEAR:
        refused = proxy.ask("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
        assert (refused.status, refused.get("retry-after")) == (503, "1"), users.answer
        assert json.loads(refused.body)["type"] == "urn:strangler:unidentified"
    assert service.asked == []
    assert proxy.metric("writes_in_flight") == 0
    users.answer = b""
    assert proxy.ask("POST", "/api/payments/", b"x", Cookie="sessionid=ada").body == b"service"


def test_a_monolith_that_is_away_or_silent_lets_nobody_pass(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service, stage="canary"))
    users.gate.clear()
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").status == 503
    users.gate.set()
    monolith.stop()
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").status == 503
    assert service.asked == []
    assert proxy.metric("identity_total", outcome="failed") == 2


def test_the_log_says_once_what_is_wrong(start: Start, monolith: Application, service: Application, users: Users) -> None:
    users.answer = response(404)
    proxy = start(told(monolith, service))
    for _ in range(3):
        assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").status == 503
    assert proxy.log.read_text().count("proxy.identity.failed") == 1
    assert f"{monolith.url}/_strangler/identity: status 404" in proxy.log.read_text()
    assert "ada" not in proxy.log.read_text()


def test_another_instance_is_asked_if_the_first_is_away(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    gone = Application("gone")
    gone.stop()
    snapshot = told(monolith, service)
    snapshot["contexts"]["payments"]["targets"]["monolith"] = [gone.url, monolith.url]
    proxy = start(snapshot)
    for number in range(6):
        users.sessions[f"s{number}"] = {"id": str(number)}
        assert proxy.ask("GET", "/api/payments/", Cookie=f"sessionid=s{number}").body == b"service"
    assert [(claims(asked) or {})["sub"] for asked in service.asked] == list("012345")


def test_questions_share_kept_connections_and_survive_their_end(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=bob")
    assert len({asked.connection for asked in users.questions}) == 1
    users.sessions["eve"] = {"id": "44"}
    monolith.drop()
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=eve").body == b"service"


def test_a_log_out_is_felt_within_five_seconds(start: Start, monolith: Application, service: Application, users: Users) -> None:
    proxy = start(told(monolith, service))
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
    del users.sessions["ada"]
    ended = time.monotonic()

    def gone() -> bool:
        proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
        return claims(service.asked[-1]) is None

    until(gone, "the log-out is felt")
    assert time.monotonic() - ended < 5


@pytest.mark.parametrize("credential", ["sessionid=ada", "theme=dark"])
def test_an_identity_never_comes_from_outside_in_any_spelling(
    start: Start, monolith: Application, service: Application, users: Users, credential: str
) -> None:
    proxy = start(told(monolith, service))
    forged = tokens.issue(TOKEN, audience="payments", now=time.time(), sub="1")
    names = (
        "X-Strangler-Identity",
        "x-strangler-IDENTITY",
        "X_Strangler_Identity",
        "X-Strangler_Identity",
        "x_strangler-identity",
    )
    for name in names:
        with proxy.connect() as one:
            lines = f"Host: shop.example\r\nCookie: {credential}\r\n{name}: {forged}\r\n"
            one.sendall(f"GET /api/payments/ HTTP/1.1\r\n{lines}\r\n".encode())
            assert one.recv(12) == b"HTTP/1.1 200"
    assert len(service.asked) == len(names)
    for asked in service.asked:
        found = [value for key, value in asked.headers if "identity" in key.lower()]
        assert len(found) == (1 if credential == "sessionid=ada" else 0)
        assert forged not in found


def test_a_rehearsal_never_comes_from_outside_in_any_spelling(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    """Not even with a good token: what an application would take for the header does not reach it."""
    proxy = start(told(monolith, service))
    good = tokens.issue(TOKEN, audience="payments", now=time.time(), rehearse=True)
    names = ("X-Strangler-Rehearse", "x-strangler-REHEARSE", "X_Strangler_Rehearse", "X-Strangler_Rehearse")
    for name in names:
        with proxy.connect() as one:
            one.sendall(f"GET /api/payments/ HTTP/1.1\r\nHost: shop.example\r\n{name}: {good}\r\n\r\n".encode())
            assert one.recv(12) == b"HTTP/1.1 200"
    asked = [*service.asked, *monolith.asked]
    assert len(asked) >= len(names)
    assert not [key for one in asked for key, value in one.headers if "rehearse" in key.lower() or value == good]


def test_the_users_credential_for_the_question_never_comes_from_outside(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=unknown; strangler_override=x", X_Strangler_Authorization="Bearer ada")
    assert users.questions[0].get("cookie") == "sessionid=unknown"
    assert users.questions[0].get("x-strangler-authorization") is None
    assert claims(service.asked[0]) is None


def test_the_monolith_gets_no_header_and_nobody_asks_for_it(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service, stage="canary"))
    proxy.ask("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
    proxy.ask("GET", "/api/orders/", Cookie="sessionid=ada")
    assert len(monolith.asked) == 2
    assert [asked.get("x-strangler-identity") for asked in monolith.asked] == [None, None]


def test_a_service_that_does_not_want_it_is_not_told(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(table(monolith, service, stage="live"))
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
    assert service.asked[0].get("x-strangler-identity") is None
    assert users.questions == []


def test_a_read_that_falls_back_to_the_monolith_carries_none(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service, stage="canary"))
    service.stop()
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").body == b"monolith"
    assert monolith.asked[-1].get("x-strangler-identity") is None


def test_a_copy_tells_who_asked_and_never_delays_the_answer(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service, stage="shadow", share=1.0))
    users.gate.clear()
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").body == b"monolith"
    users.gate.set()
    said = claims(service.wait(1)[0])
    assert said is not None
    assert said["sub"] == "42"


def test_a_copy_whose_user_is_not_known_is_dropped_and_counted(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    users.answer = response(500)
    proxy = start(told(monolith, service, stage="shadow", share=1.0))
    assert proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada").body == b"monolith"
    until(lambda: proxy.metric("shadow_total", outcome="unidentified") == 1, "the copy is counted")
    assert service.asked == []


# ---- while a request waits ----------------------------------------------------------------------------------------------


@pytest.fixture
def following(
    control: ControlPlane, start: Start, monolith: Application, service: Application, users: Users
) -> Callable[[], Proxy]:
    """A proxy under the control plane, in stage live."""

    def starting() -> Proxy:
        control.publish(told(monolith, service, epoch=6))
        proxy = start(None, "--redis", control.url)
        until(control.proxies, "the proxy's heart-beat")
        return proxy

    return starting


def test_a_write_that_waits_for_its_user_holds_up_no_hold_and_goes_where_the_next_table_says(
    following: Callable[[], Proxy], control: ControlPlane, monolith: Application, service: Application, users: Users
) -> None:
    proxy = following()
    users.gate.clear()
    waiting = proxy.send("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
    until(lambda: users.questions, "the question")
    control.apply(told(monolith, service, version=2, epoch=6, hold={"operation": "op", "for_ms": 60_000}))
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("drained"), "drained")
    users.gate.set()
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 1, "the write is parked")
    assert service.asked == []
    control.apply(told(monolith, service, stage="canary", version=3, epoch=7))
    assert waiting.makefile("rb").readline().startswith(b"HTTP/1.1 200")
    writes = [asked for asked in monolith.asked if asked.method == "POST"]
    assert [(asked.body, asked.get("x-strangler-epoch"), asked.get("x-strangler-identity")) for asked in writes] == [
        (b"x", "7", None)
    ]
    assert service.asked == []


def test_a_write_that_was_parked_asks_again_who_it_is(
    following: Callable[[], Proxy], control: ControlPlane, monolith: Application, service: Application, users: Users
) -> None:
    """A log-out while it waited must count."""
    proxy = following()
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=ada")
    learnt = time.monotonic()
    control.apply(told(monolith, service, version=2, epoch=6, hold={"operation": "op", "for_ms": 60_000}))
    waiting = proxy.send("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
    control.acknowledged(lambda ack: ack["held"].get("payments", {}).get("parked") == 1, "the write is parked")
    del users.sessions["ada"]
    until(lambda: time.monotonic() - learnt > 3.1, "what was learnt is old")
    control.apply(told(monolith, service, version=3, epoch=6))
    assert waiting.recv(12) == b"HTTP/1.1 200"
    assert claims(service.asked[-1]) is None


def test_a_flip_while_the_monolith_says_nothing_sends_the_write_to_the_new_owner(
    following: Callable[[], Proxy], control: ControlPlane, monolith: Application, service: Application, users: Users
) -> None:
    proxy = following()
    users.gate.clear()
    waiting = proxy.send("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
    until(lambda: users.questions, "the question")
    control.apply(told(monolith, service, stage="canary", version=2, epoch=7))
    users.answer = None  # it dies before it answers
    users.gate.set()
    assert waiting.recv(12) == b"HTTP/1.1 200"
    assert [asked.body for asked in monolith.asked if asked.method == "POST"] == [b"x"]


def test_a_client_that_leaves_while_it_waits_sends_nothing_and_others_go_on(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    users.gate.clear()
    leaver = proxy.send("POST", "/api/payments/", b"left", Cookie="sessionid=ada")
    until(lambda: users.questions, "the question")
    stayer = proxy.send("POST", "/api/payments/", b"stayed", Cookie="sessionid=ada")
    until(lambda: proxy.metric("clients") == 2, "both are here")
    reset(leaver)
    until(lambda: proxy.metric("abandoned_total") == 1, "one has left")
    users.gate.set()
    assert stayer.recv(12) == b"HTTP/1.1 200"
    assert [asked.body for asked in service.asked] == [b"stayed"]
    assert len(users.questions) == 1


def test_a_monolith_that_dies_while_it_is_asked_is_a_503(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start(told(monolith, service))
    users.gate.clear()
    waiting = proxy.send("POST", "/api/payments/", b"x", Cookie="sessionid=ada")
    until(lambda: users.questions, "the question")
    monolith.stop()
    assert waiting.recv(12) == b"HTTP/1.1 503"
    assert service.asked == []


def test_the_session_cookie_has_the_name_that_the_table_says(
    start: Start, monolith: Application, service: Application, users: Users
) -> None:
    proxy = start({**told(monolith, service), "site": {"session_cookie": "shop_session"}})
    users.answer = response(body=b'{"user": {"id": "7"}}')
    proxy.ask("GET", "/api/payments/", Cookie="shop_session=s")
    proxy.ask("GET", "/api/payments/", Cookie="sessionid=s")
    assert [(claims(asked) or {}).get("sub") for asked in service.asked] == ["7", None]
