from __future__ import annotations

import pytest

from strangler.domain import safety
from strangler.domain.gates import State, Verdict
from strangler.domain.stages import Position, Stage

MONOLITH, CANARY, LIVE = Position.of(Stage.MONOLITH), Position.of(Stage.CANARY, 5), Position.of(Stage.LIVE)
BACK = "strangler rollback payments"


def verdict(gate: str, state: State) -> Verdict:
    return Verdict(gate, state, "", "", f"{gate} is {state}")


@pytest.mark.parametrize("at", [MONOLITH, CANARY, LIVE])
def test_nothing_is_safe_while_an_operation_is_under_way(at: Position) -> None:
    found = safety.judge("payments", at, at.stage.owner, [], operation="advance payments by ada")
    assert (found.safe, found.because) == (False, "an operation is under way: advance payments by ada")
    assert found.command == (None if at is MONOLITH else BACK)


def test_at_the_first_stage_nothing_has_moved() -> None:
    assert safety.judge("payments", MONOLITH, "monolith", []) == safety.Safety(True, "nothing has moved yet", None)


def test_an_owner_that_is_not_the_stages_is_settled_first() -> None:
    found = safety.judge("payments", LIVE, "none", [])
    assert not found.safe
    assert "strangler reconcile payments" in found.because


@pytest.mark.parametrize("state", [State.FAIL, State.UNKNOWN])
def test_a_gate_that_does_not_pass_is_named(state: State) -> None:
    found = safety.judge("payments", LIVE, "service", [verdict("lag", State.PASS), verdict("health", state)])
    assert (found.safe, found.because) == (False, f"health: health is {state}")


def test_a_drift_check_that_is_missing_is_made_by_the_transition() -> None:
    assert safety.judge("payments", LIVE, "service", [verdict("drift", State.UNKNOWN)]).safe
    assert not safety.judge("payments", LIVE, "service", [verdict("drift", State.FAIL)]).safe
