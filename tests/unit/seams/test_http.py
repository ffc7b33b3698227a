"""The client against a real server that misbehaves on demand."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pybreaker
import pytest

from strangler import conf
from strangler.domain import tokens
from strangler.domain.estate import Context, Estate
from strangler.seams import NotOwner, SeamTimeout, SeamUnavailable, ServiceHttp, exchange, http
from strangler.seams.claims import Owner

Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Service:
    """What it was asked, and what it does next; once the script is empty it answers 200."""

    url: str
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    script: list[Act] = field(default_factory=list)


def answer(status: int, body: Any = None, **headers: str) -> Act:
    def act(request: BaseHTTPRequestHandler) -> None:
        raw = json.dumps(body or {}).encode()
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(raw)

    return act


def die(request: BaseHTTPRequestHandler) -> None:
    """The request arrived; the process is killed before it answers."""
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


@pytest.fixture
def service() -> Iterator[Service]:
    said = Service("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said.asked.append((f"{self.command} {self.path}", dict(self.headers)))
            (said.script.pop(0) if said.script else answer(200))(self)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield said
    server.shutdown()
    thread.join()
    server.server_close()
    http.session().close()
    del http._local.session


@pytest.fixture
def call(service: Service) -> Iterator[ServiceHttp]:
    estate = Estate(contexts={"payments": Context("payments", ("monolith.payments",), service_urls=(service.url,))})
    owner = Owner("payments", 7, "service", "monolith")
    with (
        mock.patch("strangler.conf.estate", return_value=estate),
        mock.patch("strangler.seams.http.read", return_value=owner),
        mock.patch.dict(http._breakers, clear=True),
    ):
        yield ServiceHttp("payments", timeout=(0.5, 0.2), pause_s=0.001)


def test_a_call_carries_token_stamp_and_trace(service: Service, call: ServiceHttp) -> None:
    with exchange.begin({"X-Request-ID": "r1", "X-Strangler-Request": "r1.sig"}):
        call.post("/api/payments/", json={"amount": "5.00"}, idempotency_key="k1", act=42)
    ((line, headers),) = service.asked
    assert line == "POST /api/payments/"
    assert headers["Idempotency-Key"] == "k1"
    assert (headers["X-Request-ID"], headers["X-Strangler-Request"]) == ("r1", "r1.sig")
    stamp = [headers[f"X-Strangler-{name}"] for name in ("Context", "Epoch", "Access")]
    assert stamp == ["payments", "7", "write"]
    token = headers["Authorization"].removeprefix("Bearer ")
    claims = tokens.verify(conf.service_secret(), token, audience="payments", now=time.time())
    assert claims["act"] == 42


def test_p23_positions_of_the_answer_are_collected(service: Service, call: ServiceHttp) -> None:
    service.script.append(answer(201, X_Strangler_Position="payments:7:88"))
    with exchange.begin({}) as current:
        call.post("/api/payments/", idempotency_key="k1")
    assert current.header() == "payments:7:88"


def test_what_the_service_refuses_is_an_answer(service: Service, call: ServiceHttp) -> None:
    service.script.append(answer(402, {"detail": "declined"}))
    assert call.post("/api/payments/", idempotency_key="k1").status_code == 402
    assert len(service.asked) == 1


def test_a_call_with_a_key_is_repeated_after_a_death(service: Service, call: ServiceHttp) -> None:
    service.script.extend([die, answer(503), answer(502), answer(201)])
    assert call.post("/api/payments/", idempotency_key="k1").status_code == 201
    assert len(service.asked) == 4


def test_a_call_without_a_key_is_never_repeated(service: Service, call: ServiceHttp) -> None:
    service.script.append(die)
    with pytest.raises(SeamTimeout):
        call.post("/api/payments/")
    assert len(service.asked) == 1


def test_a_503_is_not_repeated_without_a_key(service: Service, call: ServiceHttp) -> None:
    service.script.append(answer(503))
    with pytest.raises(SeamUnavailable):
        call.post("/api/payments/")
    assert len(service.asked) == 1


def test_silence_is_an_unknown_outcome(service: Service, call: ServiceHttp) -> None:
    never = threading.Event()
    service.script.append(lambda request: (never.wait(2), die(request))[1])
    try:
        with pytest.raises(SeamTimeout):
            call.post("/api/payments/")
    finally:
        never.set()


def test_once_unknown_always_unknown(service: Service, call: ServiceHttp) -> None:
    """It may have been executed by the first attempt; that later ones were refused proves nothing."""
    service.script.extend([die, answer(503), answer(503), answer(503)])
    with pytest.raises(SeamTimeout):
        call.post("/api/payments/", idempotency_key="k1")


def test_no_connection_is_not_executed(call: ServiceHttp) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    estate = Estate(contexts={"payments": Context("payments", ("monolith.payments",), service_urls=(url,))})
    with mock.patch("strangler.conf.estate", return_value=estate), pytest.raises(SeamUnavailable):
        call.post("/api/payments/")


def test_421_is_not_owner(service: Service, call: ServiceHttp) -> None:
    body = {"context": "payments", "owner": "none", "epoch": 8, "executed": False}
    service.script.append(answer(421, body, X_Strangler_Not_Executed="1"))
    with pytest.raises(NotOwner) as refused:
        call.post("/api/payments/", idempotency_key="k1")
    assert (refused.value.context, refused.value.owner, refused.value.epoch) == ("payments", "none", 8)
    assert len(service.asked) == 1


def test_the_circuit_opens_and_closes(service: Service, call: ServiceHttp) -> None:
    service.script.extend([answer(503)] * 5)
    once = ServiceHttp("payments", attempts=1)
    for _ in range(5):
        with pytest.raises(SeamUnavailable):
            once.get("/api/payments/")
    with pytest.raises(SeamUnavailable, match="circuit is open"):
        call.get("/api/payments/")
    assert len(service.asked) == 5
    breaker = http._breakers["payments"]
    breaker.reset_timeout = 0
    assert call.get("/api/payments/").status_code == 200
    assert breaker.current_state == pybreaker.STATE_CLOSED


def test_not_owner_does_not_count_as_a_failure(service: Service, call: ServiceHttp) -> None:
    service.script.extend([answer(421, {"owner": "none"}, X_Strangler_Not_Executed="1")] * 6)
    for _ in range(6):
        with pytest.raises(NotOwner):
            call.get("/api/payments/")
    assert http._breakers["payments"].current_state == pybreaker.STATE_CLOSED


def test_calls_of_threads_run_side_by_side(service: Service, call: ServiceHttp) -> None:
    together = threading.Barrier(4, timeout=5)
    service.script.extend([lambda request: (together.wait(), answer(200)(request))[1]] * 4)
    patient = ServiceHttp("payments", timeout=(1, 6))
    statuses: list[int] = []

    def one() -> None:
        statuses.append(patient.get("/api/payments/").status_code)
        http.session().close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4


def test_a_cookie_of_one_user_is_not_sent_for_the_next(service: Service, call: ServiceHttp) -> None:
    service.script.append(answer(200, Set_Cookie="sessionid=of-somebody; Path=/"))
    call.get("/api/payments/")
    call.get("/api/payments/")
    assert "Cookie" not in service.asked[1][1]
