"""The hand-over as a state machine: failures, kills and sleeping holders at every call, in any order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from strangler.domain.stages import Side
from tests.unit.control.world import KILLED, OK, VERDICTS, World

FAIR = settings(max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))


class HandOverMachine(RuleBasedStateMachine):
    """An operator who begins, a tick that takes over at any time, writers on both sides, and bad luck."""

    rules_taken_out: dict[str, bool] = {}

    def __init__(self) -> None:
        super().__init__()
        self.world = World(**self.rules_taken_out)
        self.epochs = dict.fromkeys(self.world.sides, 0)

    # ---- what happens ---------------------------------------------------------------------------------------------

    @property
    def alive(self) -> list:
        return [holder for holder in self.world.holders if not holder.ended]

    @precondition(lambda self: self.world.operation is None)
    @rule()
    def begin(self) -> None:
        self.world.begin()

    @precondition(lambda self: self.world.operation is not None and len(self.alive) < 3)
    @rule()
    def take_over(self) -> None:
        """The lease of the holder is over. It need not be dead: it may only sleep."""
        self.world.take_over()

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 2), times=st.integers(1, 12))
    def go_on(self, which: int, times: int) -> None:
        holder = self.alive[which % len(self.alive)]
        for _ in range(times):
            if not holder.ended:
                holder.step(OK)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 2), verdict=st.sampled_from(VERDICTS))
    def bad_luck(self, which: int, verdict: str) -> None:
        self.alive[which % len(self.alive)].step(verdict)

    @rule(seconds=st.sampled_from([0.05, 0.6]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(side=st.sampled_from([Side.MONOLITH, Side.SERVICE]))
    def write(self, side: Side) -> None:
        self.world.write(side)

    @rule()
    def tick_tells_what_is_owed(self) -> None:
        self.world.tell_owed()

    # ---- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def never_two_owners(self) -> None:
        assert not (self.world.monolith.accepts and self.world.service.accepts)

    @invariant()
    def epochs_never_fall(self) -> None:
        for side, state in self.world.sides.items():
            assert state.epoch >= self.epochs[side]
            self.epochs[side] = state.epoch

    @invariant()
    def an_owner_has_every_acknowledged_write(self) -> None:
        everything = set(range(1, self.world.acknowledged + 1))
        for state in self.world.sides.values():
            if state.accepts:
                assert state.rows >= everything

    @invariant()
    def every_end_has_a_receipt(self) -> None:
        ended = [identity for identity in self.world.begun if not self._open(identity)]
        assert [identity for identity, _ in self.world.receipts] == ended

    def _open(self, identity: str) -> bool:
        return self.world.operation is not None and self.world.operation.id == identity

    def teardown(self) -> None:
        """Luck turns: sleeping holders wake, the tick takes over what is left, and all ends in one owner."""
        for _ in range(400):
            for holder in self.alive:
                holder.step(OK)
            if self.alive:
                continue
            if self.world.operation is None:
                break
            self.world.take_over()
        try:
            assert self.world.operation is None, "an operation never ended"
            self.never_two_owners()
            self.an_owner_has_every_acknowledged_write()
            self.every_end_has_a_receipt()
            self.world.tell_owed()
            monolith, service = self.world.monolith, self.world.service
            assert (monolith.epoch, monolith.owner) == (service.epoch, service.owner)
            assert monolith.owner == self.world.position.stage.owner, "the table and the owner disagree"
        finally:
            for holder in self.alive:
                holder.step(KILLED)


TestHandOver = HandOverMachine.TestCase
TestHandOver.settings = FAIR


@seed(5)  # which finds it soon
class WithoutTokens(HandOverMachine):
    rules_taken_out = {"tokens": False}


def test_p16_without_the_token_the_model_finds_the_fault() -> None:
    """The machine above can fail: where a holder that was overtaken still records, it finds two owners or a lost write."""
    hunt = settings(
        FAIR, max_examples=3000, stateful_step_count=80, database=None,
        phases=[Phase.generate], report_multiple_bugs=False,
    )  # fmt: skip
    with pytest.raises(AssertionError):
        run_state_machine_as_test(WithoutTokens, settings=hunt)
