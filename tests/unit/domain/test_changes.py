"""What is said of a route's change is what the route table decides, for every kind of request and share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import changes, table
from strangler.domain.changes import Change
from strangler.domain.decision import Access
from strangler.domain.estate import Context, Route
from strangler.domain.stages import Position, Side, Stage
from tests.unit.domain.test_stages import positions

CONTEXT = Context(
    "payments",
    ("shop.payments",),
    routes=(
        Route(prefix="/api/payments"),
        Route(path="/api/payments/search", access="read"),
        Route(path="/pay/confirm", access="write"),
        Route(pattern="/pay/{id}", methods=("GET", "POST")),
    ),
    also_written_by=("/api/orders/checkout",),
)


def compiled(at: Position) -> table.RouteTable:
    targets = {"monolith": ["http://127.0.0.1:1"], "service": ["http://127.0.0.1:2"]}
    state = {"stage": str(at.stage), "percent": at.percent, "salt": "s", "targets": targets}
    routes = [{"match": {"methods": [], "prefix": "/api/payments"}, "access": "auto", "context": "payments"}]
    return table.compile(
        {"generation": 1, "version": 1, "default": {"targets": targets["monolith"]}, "contexts": {"payments": state}}
        | {"routes": routes}
    )


@given(positions, st.sampled_from([Access.READ, Access.WRITE]))
def test_who_serves_a_request_is_who_the_table_sends_it_to(at: Position, access: Access) -> None:
    decided, method = compiled(at), "GET" if access is Access.READ else "POST"
    sides = [decided.decide(method, "/api/payments/7", f"user {number}").side for number in range(400)]
    share = sides.count(Side.SERVICE) / len(sides)
    said = changes.served(at, access)
    if said in ("monolith", "service"):
        assert share == (said == "service")
    else:
        assert said == f"monolith {100 - at.percent} % / service {at.percent} %"
        assert abs(share - at.percent / 100) < 0.12


def test_only_what_changes_is_named_with_its_methods() -> None:
    at, to = Position.of(Stage.CANARY, 75), Position.of(Stage.CANARY, 100)
    assert changes.routes(CONTEXT, at, to) == [
        Change("GET,HEAD /api/payments/…", "monolith 25 % / service 75 %", "service"),
        Change("any method /api/payments/search", "monolith 25 % / service 75 %", "service"),
        Change("GET /pay/{id}", "monolith 25 % / service 75 %", "service"),
    ]
    writes = changes.routes(CONTEXT, to, Position.of(Stage.LIVE))
    assert [str(change) for change in writes] == [
        "POST,PUT,PATCH,DELETE /api/payments/…: monolith → service",
        "any method /pay/confirm: monolith → service",
        "POST /pay/{id}: monolith → service",
    ]


def test_a_hand_over_parks_its_own_writes_and_those_of_others_that_write_it() -> None:
    parked = [change.what for change in changes.parked(CONTEXT, 500)]
    assert parked == [
        "POST,PUT,PATCH,DELETE /api/payments/…",
        "any method /pay/confirm",
        "POST /pay/{id}",
        "POST,PUT,PATCH,DELETE /api/orders/checkout/…",
    ]


@pytest.mark.parametrize("at", [Position.of(Stage.MONOLITH), Position.of(Stage.MIRROR), Position.of(Stage.SHADOW)])
def test_before_the_canary_no_route_changes(at: Position) -> None:
    assert changes.routes(CONTEXT, Position.of(Stage.MIRROR), at) == []
