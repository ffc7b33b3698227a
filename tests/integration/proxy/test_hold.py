"""Cut-over, step 2: writes are parked, the acknowledgement is exact, and parked requests go on to the new owner in order."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import PATIENCE, Application, Asked, Proxy, not_executed, read_answer, response, table, until

Controlled = Callable[..., Proxy]
HOLD = {"operation": "op-1", "for_ms": 60_000}


def held(control: ControlPlane, **wanted: Any) -> dict[str, Any]:
    """Waits for an acknowledgement of the hold that says all this."""
    return control.acknowledged(lambda ack: wanted.items() <= ack["held"].get("payments", {}).items(), f"a hold with {wanted}")


class Slow:
    """A handler whose writes wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, asked: Asked) -> bytes:
        if asked.method == "POST":
            assert self.go.wait(PATIENCE)
        return response(201 if asked.method == "POST" else 200)


def test_step_2_writes_are_parked_and_go_to_the_new_owner_in_order(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, operation="op-1", drained=True, parked=0)
    waiting = []
    for number in range(5):
        waiting.append(proxy.send("POST", f"/api/payments/{number}", b"amount=%d" % number))
        held(control, parked=number + 1, drained=True)
    assert proxy.ask("GET", "/api/payments/").status == 200, "reads are not held"
    assert proxy.ask("POST", "/api/orders/", b"x").status == 200, "nor are writes of other contexts"
    assert not [asked for asked in monolith.asked if asked.target.startswith("/api/payments/") and asked.method == "POST"]
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert [read_answer(one.makefile("rb")).body for one in waiting] == [b"service"] * 5
    writes = [asked for asked in service.asked if asked.method == "POST"]
    assert sorted(asked.body for asked in writes) == [b"amount=%d" % number for number in range(5)]
    assert {asked.get("x-strangler-epoch") for asked in writes} == {"7"}


def test_step_2_parked_requests_leave_in_the_order_they_came(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """With one connection to the target, what leaves first arrives first: the warm connection serves the first parked one."""
    proxy = controlled(stage="monolith")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    waiting = []
    for number in range(3):
        waiting.append(proxy.send("POST", f"/api/payments/{number}", b"x"))
        held(control, parked=number + 1)
    metric = proxy.metric("parked_total", outcome="released")
    control.apply(table(monolith, service, version=3))
    for one in waiting:
        assert read_answer(one.makefile("rb")).status == 200
    assert proxy.metric("parked_total", outcome="released") == metric + 3


def test_step_2_is_not_drained_while_an_older_write_is_under_way(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow = monolith.handler = Slow()
    proxy = controlled()
    under_way = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    slow.go.set()
    assert read_answer(under_way.makefile("rb")).status == 201
    held(control, drained=True)


def test_step_2_a_client_that_leaves_does_not_end_its_write(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow = monolith.handler = Slow()
    proxy = controlled()
    client = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    client.close()
    until(lambda: proxy.metric("abandoned_total") == 1, "the proxy noticing")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    assert not [ack for ack in control.acks if ack["held"].get("payments", {}).get("drained")]
    slow.go.set()
    held(control, drained=True)


def test_step_2_a_client_that_leaves_in_the_middle_of_its_body_does_not_end_its_write(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    go, began = threading.Event(), threading.Event()

    def handle(asked: Asked, one: socket.socket, reader: Any) -> bool:
        began.set()
        assert go.wait(PATIENCE)
        one.sendall(response(400))
        return False

    monolith.streaming = handle
    proxy = controlled()
    one = proxy.connect()
    one.sendall(b"POST /api/payments/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    assert began.wait(PATIENCE)
    one.close()
    until(lambda: proxy.metric("abandoned_total") == 1, "the proxy noticing")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    go.set()
    held(control, drained=True)


def test_step_2_a_dead_upstream_connection_ends_the_write(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow = monolith.handler = Slow()
    proxy = controlled()
    under_way = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    monolith.drop()
    held(control, drained=True)
    assert read_answer(under_way.makefile("rb")).status == 502
    slow.go.set()


def test_step_2_holds_what_also_writes_the_context(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow = monolith.handler = Slow()
    proxy = controlled()
    checkout = proxy.send("POST", "/api/orders/checkout/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    slow.go.set()
    assert read_answer(checkout.makefile("rb")).status == 201
    held(control, drained=True)
    parked = proxy.send("POST", "/api/orders/checkout/", b"y")
    held(control, parked=1)
    assert len(monolith.asked) == 1
    assert proxy.ask("GET", "/api/orders/checkout/").status == 200
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert read_answer(parked.makefile("rb")).status == 201
    assert monolith.asked[-1].body == b"y", "checkout stays with the monolith"


def test_step_2_a_get_that_writes_is_held_and_a_post_that_reads_is_not(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    assert proxy.ask("POST", "/api/payments/search", b"q").status == 200
    parked = proxy.send("GET", "/pay/confirm")
    held(control, parked=1)
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert read_answer(parked.makefile("rb")).body == b"service"


def test_step_2_nested_requests_of_a_write_under_way_pass(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """The monolith, in the middle of a checkout, calls back through the proxy with the signed header."""
    inside: list[int] = []
    hold_is_on = threading.Event()
    proxy = controlled()

    def handle(asked: Asked) -> bytes:
        if asked.target == "/api/orders/checkout/":
            assert hold_is_on.wait(PATIENCE)
            signed = asked.get("x-strangler-request") or ""
            inside.append(proxy.ask("POST", "/api/payments/", b"nested", X_Strangler_Request=signed).status)
        return response(201, headers=[("X-Strangler-Position", "monolith:0:5")])

    monolith.handler = handle
    checkout = proxy.send("POST", "/api/orders/checkout/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    hold_is_on.set()
    assert read_answer(checkout.makefile("rb")).status == 201
    assert inside == [201]
    held(control, drained=True)


def one_behind_the_other(
    controlled: Controlled, monolith: Application, first: str, second: str
) -> tuple[Slow, socket.socket, socket.socket]:
    """Two writes to an application that takes one at a time: the first is being answered, the second waits for its turn."""
    slow = monolith.handler = Slow()
    proxy = controlled("--limit", "connections-per-target=1")
    under_way = proxy.send("POST", first, b"x")
    monolith.wait(1)
    waiting = proxy.send("POST", second, b"x")
    until(lambda: proxy.metric("upstream_waiting") == 1, "the second one waiting for its turn")
    return slow, under_way, waiting


def test_step_2_a_write_that_waits_for_its_turn_is_not_under_way_but_parked(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """Nothing of it was sent, so a hand-over need not wait until it was; it goes to the new owner."""
    slow, first, second = one_behind_the_other(controlled, monolith, "/api/payments/1", "/api/payments/2")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=False)
    slow.go.set()
    assert read_answer(first.makefile("rb")).status == 201
    held(control, drained=True, parked=1)
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert read_answer(second.makefile("rb")).body == b"service"
    assert [asked.target for asked in monolith.asked] == ["/api/payments/1"]


def test_step_2_a_flip_sends_what_waits_for_its_turn_to_the_new_owner(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow, first, second = one_behind_the_other(controlled, monolith, "/api/orders/", "/api/payments/")
    control.apply(table(monolith, service, version=2, stage="live", epoch=7))
    control.acknowledged(lambda ack: ack["table"] == [1, 2], "the new table")
    slow.go.set()
    assert read_answer(first.makefile("rb")).status == 201
    assert read_answer(second.makefile("rb")).body == b"service"


def test_nested_requests_of_a_write_under_way_do_not_wait_for_it(
    control: ControlPlane, controlled: Controlled, monolith: Application
) -> None:
    """The write fills its target; what it asks itself goes beyond the limit, else it would wait for itself."""
    inside: list[int] = []
    proxy = controlled("--limit", "connections-per-target=1")

    def handle(asked: Asked) -> bytes:
        if asked.target == "/api/orders/checkout/":
            signed = asked.get("x-strangler-request") or ""
            inside.append(proxy.ask("POST", "/api/payments/", b"nested", X_Strangler_Request=signed).status)
        return response(201)

    monolith.handler = handle
    assert proxy.ask("POST", "/api/orders/checkout/", b"x").status == 201
    assert inside == [201]
    until(lambda: proxy.metric("upstream_connections") == 1, "the limit holding again")


def test_step_2_a_forged_or_foreign_pass_is_parked(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    assert proxy.ask("POST", "/api/orders/", b"x").status == 200
    of_orders = monolith.asked[0].get("x-strangler-request") or ""
    assert of_orders
    control.apply(table(monolith, service, version=2, hold=HOLD))
    proxy.send("POST", "/api/payments/1", b"x", X_Strangler_Request=of_orders)
    held(control, parked=1)
    proxy.send("POST", "/api/payments/2", b"x", X_Strangler_Request=of_orders.replace("~orders", "~payments"))
    held(control, parked=2)


def test_step_2_a_parked_request_whose_client_left_is_never_sent(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold=HOLD))
    gone = proxy.send("POST", "/api/payments/gone", b"x")
    held(control, parked=1)
    stays = proxy.send("POST", "/api/payments/stays", b"x")
    held(control, parked=2)
    gone.close()
    until(lambda: proxy.metric("parked_total", outcome="left") == 1, "the proxy noticing")
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert read_answer(stays.makefile("rb")).status == 200
    assert [asked.target for asked in service.asked + monolith.asked] == ["/api/payments/stays"]


def test_step_2_a_hold_that_nobody_ends_asks_for_the_owner_and_goes_on(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    def handle(asked: Asked) -> bytes:
        if asked.target.startswith("/_strangler/ownership"):
            assert asked.target == "/_strangler/ownership?context=payments"
            assert (asked.get("authorization") or "").startswith("Bearer ey")
            owner = {"context": "payments", "epoch": 7, "owner": "service", "operation": "op-1"}
            return response(body=json.dumps(owner).encode())
        return response()

    monolith.handler = handle
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold={"operation": "op-1", "for_ms": 400}))
    parked = proxy.send("POST", "/api/payments/", b"x")
    held(control, parked=1)
    assert read_answer(parked.makefile("rb")).body == b"service"
    assert service.asked[0].get("x-strangler-epoch") == "7"
    control.acknowledged(lambda ack: ack["table"] == [1, 2] and "payments" not in ack["held"], "the end of the hold")
    assert proxy.ask("POST", "/api/payments/", b"y").body == b"service", "and those that come later go the same way"


def test_step_2_a_hold_without_an_owner_ends_in_503(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    owner = {"context": "payments", "epoch": 7, "owner": "none", "operation": "op-1"}
    monolith.handler = lambda asked: response(body=json.dumps(owner).encode())
    proxy = controlled()
    control.apply(table(monolith, service, version=2, hold={"operation": "op-1", "for_ms": 300}))
    for _ in range(2):
        answer = proxy.ask("POST", "/api/payments/", b"x")
        assert (answer.status, answer.get("retry-after")) == (503, "1")
        assert b"urn:strangler:held" in answer.body
    assert {asked.target for asked in monolith.asked} == {"/_strangler/ownership?context=payments"}
    owner["owner"] = "monolith"
    assert proxy.ask("POST", "/api/payments/", b"x").status == 200


def test_step_2_a_write_that_was_not_sent_yet_is_parked_instead_of_counted(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """Otherwise a monolith that restarts would keep a hold from draining."""
    proxy = controlled()
    monolith.stop()
    waiting = proxy.send("POST", "/api/payments/", b"x")
    until(lambda: proxy.metric("requests_in_flight", context="payments") == 1, "the write")
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=True, parked=1)
    control.apply(table(monolith, service, version=3, stage="live", epoch=7))
    assert read_answer(waiting.makefile("rb")).body == b"service"


def test_step_2_a_refused_write_does_not_keep_a_hold_from_draining(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """A 421 "not executed, no owner" waits for the next table, and is not under way while it waits."""
    monolith.handler = lambda asked: not_executed("none", 7)
    proxy = controlled()
    waiting = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))
    held(control, drained=True, parked=1)
    control.apply(table(monolith, service, version=3, stage="live", epoch=8))
    assert read_answer(waiting.makefile("rb")).body == b"service"


def test_step_2_each_worker_acknowledges_for_itself(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    slow = monolith.handler = Slow()
    proxy = controlled("--workers", "2")
    until(lambda: len(control.proxies()) == 2, "both workers")
    under_way = proxy.send("POST", "/api/payments/", b"x")
    monolith.wait(1)
    control.apply(table(monolith, service, version=2, hold=HOLD))

    def drained() -> list[bool]:
        return sorted(one["held"]["payments"]["drained"] for one in control.proxies() if "payments" in one["held"])

    until(lambda: drained() == [False, True], "one worker drained, the other not")
    slow.go.set()
    assert read_answer(under_way.makefile("rb")).status == 201
    until(lambda: drained() == [True, True], "both drained")
