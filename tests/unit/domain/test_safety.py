"""Whether it is safe to roll back now, and why: over what was observed, and never yes by default."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import emergency, safety
from strangler.domain.emergency import Loss
from strangler.domain.gates import State, Verdict
from strangler.domain.stages import Position, Side, Stage
from tests.unit.domain.test_stages import LIVE, MONOLITH, positions

verdicts = st.lists(
    st.builds(
        Verdict, st.sampled_from(["health", "lag", "drift"]), st.sampled_from(State), st.just("1"), st.just("0"), st.just("so")
    ),
    max_size=4,
)


def held_back(given_: list[Verdict]) -> bool:
    return any(v.state is State.FAIL or (v.state is State.UNKNOWN and v.gate != "drift") for v in given_)


@given(positions, st.sampled_from(["monolith", "service", "none", ""]), verdicts, st.sampled_from(["", "advance payments"]))
def test_it_is_safe_only_where_nothing_observed_speaks_against_it(at, owner, seen, operation) -> None:
    found = safety.judge("payments", at, owner, seen, operation=operation)
    against = owner not in ("", at.stage.owner) or held_back(seen)
    assert found.safe == (not operation and (at == MONOLITH or not against))
    assert found.because
    assert found.command == (None if at == MONOLITH else "strangler rollback payments")


def test_the_reasons_are_those_of_the_gates() -> None:
    seen = [Verdict("health", State.FAIL, "no", "ready", "the service is not ready"), Verdict("lag", State.PASS, "", "", "")]
    assert safety.judge("payments", LIVE, "service", seen).because == "health: the service is not ready"
    assert safety.judge("payments", LIVE, "service", []).because.startswith("the monolith's tables follow the service's")
    canary = Position.of(Stage.CANARY, 5)
    assert safety.judge("payments", canary, "monolith", []).because.startswith("the monolith owns every row")
    lost = safety.judge("payments", LIVE, Side.NONE, [])
    assert (lost.safe, lost.because) == (
        False,
        "live is the service's, but the owner is none; settle it: strangler reconcile payments",
    )


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ({"http://a": "refused"}, State.PASS),
        ({"http://a": "refused", "http://b": "503"}, State.PASS),
        ({"http://a": "refused", "http://b": ""}, State.FAIL),
        ({"http://a": ""}, State.FAIL),
        ({}, State.UNKNOWN),
    ],
)
def test_p22_dead_is_what_is_ready_at_none_of_its_addresses(answers: dict[str, str], state: State) -> None:
    assert emergency.dead("payments", answers).state is state


def test_what_may_be_lost_is_said_with_what_is_known_and_what_is_not() -> None:
    known = Loss(position=455, marker=812, applied_at="2026-11-26T09:00:00+00:00", age_s=30.0, refused=2, per_s=1.5)
    assert known.sentence == (
        "the reverse mirror reached marker 812 (position 455 of the feed); its last round was at 2026-11-26T09:00:00+00:00, 30 s"
        " ago. What the service acknowledged after that is not here: at least 2 rows, how many more is not known; at the rate of"
        " the last minutes (1.5 a second) that would be about 45"
    )
    never = Loss(position=0, marker=0, applied_at=None, age_s=None, refused=0, per_s=None)
    assert never.sentence.endswith(
        "nothing was ever applied. What the service acknowledged after that is not here: at least 0 rows,"
        " how many more is not known"
    )
    assert never.verdict().state is State.UNKNOWN
