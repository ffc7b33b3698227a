"""Positions are ordered along the way, and each knows its neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import plan
from strangler.domain.plan import Kind
from strangler.domain.stages import Position, Side, Stage, next_position, previous_position

STEPS = (10, 50, 100)
MONOLITH, MIRROR, SHADOW = (Position.of(stage) for stage in (Stage.MONOLITH, Stage.MIRROR, Stage.SHADOW))
LIVE, RETIRED = Position.of(Stage.LIVE), Position.of(Stage.RETIRED)
positions = st.one_of(
    st.sampled_from([MONOLITH, MIRROR, SHADOW, LIVE, RETIRED]),
    st.integers(1, 100).map(lambda percent: Position.of(Stage.CANARY, percent)),
)


def test_a_share_belongs_to_canary_alone() -> None:
    with pytest.raises(ValueError):
        Position.of(Stage.CANARY, 0)
    with pytest.raises(ValueError):
        Position.of(Stage.LIVE, 10)


def test_only_live_and_retired_are_owned_by_the_service() -> None:
    assert [stage for stage in Stage if stage.owner is Side.SERVICE] == [Stage.LIVE, Stage.RETIRED]


@given(positions)
def test_next_goes_on_and_previous_goes_back(at: Position) -> None:
    following, previous = next_position(at, STEPS), previous_position(at)
    assert following is None or following > at
    assert previous is None or previous < at


@given(positions, positions)
def test_every_way_ends_at_its_target_through_neighbours(at: Position, target: Position) -> None:
    way = plan.forward(at, target, STEPS) if at < target else plan.backward(at, target)
    assert (way[-1] if way else at) == target
    for here, there in zip([at, *way], way, strict=False):
        plan.kind(here, there)  # a neighbour, or it raises


@given(positions, positions)
def test_the_owner_changes_only_in_a_hand_over(at: Position, target: Position) -> None:
    way = plan.forward(at, target, STEPS) if at < target else plan.backward(at, target)
    changes = [plan.kind(here, there) for here, there in zip([at, *way], way, strict=False)]
    moves = [kind for kind in changes if kind in (Kind.CUT_OVER, Kind.CUT_BACK)]
    assert len(moves) == (at.stage.owner is not target.stage.owner)


def test_a_way_passes_each_declared_share() -> None:
    assert plan.names(plan.forward(SHADOW, LIVE, STEPS)) == "canary 10 % → canary 50 % → canary 100 % → live"
    assert plan.names(plan.forward(SHADOW, Position.of(Stage.CANARY, 30), STEPS)) == "canary 10 % → canary 30 %"
    assert plan.names(plan.backward(LIVE, MONOLITH)) == "canary 100 % → shadow → mirror → monolith"


def test_going_back_by_the_route_table_alone_needs_no_gate() -> None:
    assert plan.gates_of(Position.of(Stage.CANARY, 50), SHADOW) == ()
    assert "drift" in plan.gates_of(SHADOW, Position.of(Stage.CANARY, 50))


def test_live_traffic_has_to_show_the_service_before_it_is_trusted_with_more() -> None:
    shares = [Position.of(Stage.CANARY, percent) for percent in STEPS]
    shown = ("parity", "errors", "latency")
    assert not set(shown) & set(plan.gates_of(MIRROR, SHADOW))
    assert plan.gates_of(SHADOW, shares[0])[0] == "parity"
    assert not {"errors", "latency"} & set(plan.gates_of(SHADOW, shares[0])), "the service has answered nobody yet"
    assert plan.gates_of(shares[0], shares[1])[:3] == shown
    assert plan.gates_of(shares[2], LIVE)[:3] == shown
    assert not set(shown) & set(plan.gates_of(LIVE, shares[2]))


@pytest.mark.parametrize("gate", plan.FIRM)
def test_no_gate_that_stands_for_a_promise_can_be_overridden(gate: str) -> None:
    ways = [(LIVE, Position.of(Stage.CANARY, 100)), (Position.of(Stage.CANARY, 100), LIVE), (MIRROR, MONOLITH)]
    at, to = next((at, to) for at, to in ways if gate in plan.gates_of(at, to))
    assert plan.refusal(gate, at, to).startswith(plan.FIRM[gate])


def test_every_gate_is_either_firm_or_can_be_overridden() -> None:
    every = {gate for gates in (*plan.GATES.values(), *plan.TRAFFIC.values()) for gate in gates}
    assert every == {*plan.FIRM, *plan.SOFT}
    assert not set(plan.FIRM) & set(plan.SOFT)
    assert plan.refusal("parity", SHADOW, Position.of(Stage.CANARY, 10)) == ""
    assert "has no gate 'parity'; it has health" in plan.refusal("parity", MIRROR, SHADOW)


def test_a_plan_tells_what_changes_in_plain_words() -> None:
    planned = plan.Plan("payments", Position.of(Stage.CANARY, 100), LIVE, ("gates",), (), 6)
    assert ("writes", "monolith", "service") in planned.changes()
    assert ("epoch", "6", "7") in planned.changes()
    assert planned.open
