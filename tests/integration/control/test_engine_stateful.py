"""The real engine on real databases under bad luck: any verb, anything that fails at any statement, request or step, any restart.

What must hold after each: one owner at the most, epochs that only rise, a receipt for each end, a fence that does as the owner
row says, and a status that is true: it names the stage, owner and operation that are, and what it calls safe goes through.
"""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from django.db import DatabaseError, InterfaceError, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from strangler.control import engine, positions, publish, reconcile, status
from strangler.control.errors import Undone
from strangler.control.ledger import open_operation
from strangler.control.models import Migration, Operation, Receipt, RouteTableVersion
from strangler.domain.plan import writes
from strangler.domain.stages import Position, Stage
from strangler.errors import Fenced, StranglerError
from strangler.sync import fence, install, ownership
from strangler.sync.models import Ownership, Stream
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.luck import REQUEST, STATEMENT, STEP, Fate, Killed, Luck, expire
from tests.integration.seams.shop import make_order, make_payment

LONG = bool(os.environ.get("STRANGLER_LONG"))
EXAMPLES, STEPS = (int(os.environ.get("EXAMPLES", "100")), 20) if LONG else (2, 4)
pytestmark = pytest.mark.timeout(7200 if LONG else 300)
WHO = {"who": "ada", "why": "luck", "tries": 1}

PAST_THE_FENCE = ("drain", "offer", "commit", "confirm")
HAND_OVER = ("gates", "pause", "hold", "fence", "flip", "reverse", *PAST_THE_FENCE * 3)
UNDO = ("undo-owner", "undo-other", "release")
OTHERS = ("install", "streams", "backfill", "catch up", "publish", "converge", "tighten", "stop", "uninstall")
VERBS = ("cross", "cross", "cross", "on", "back", "hold", "tick", "reconcile", "believe")


def fates(steps: tuple[str, ...]) -> st.SearchStrategy[Fate]:
    step = st.sampled_from(steps)
    return st.one_of(
        st.builds(Fate, step, st.just("statement"), st.sampled_from(STATEMENT), st.integers(1, 12)),
        st.builds(Fate, step, st.just("request"), st.sampled_from(REQUEST), st.integers(1, 3)),
        st.builds(Fate, step, st.just("step"), st.sampled_from(STEP)),
        st.builds(Fate, step, st.just("proxy"), st.just("keeps an older write in flight")),
    )


class EngineUnderBadLuck(RuleBasedStateMachine):
    """``estate`` and ``patch`` are the test's fixtures. Every example begins and ends at stage ``monolith``."""

    estate: SmallEstate
    patch: pytest.MonkeyPatch

    def __init__(self) -> None:
        super().__init__()
        self._clear()
        self.luck = Luck(self.estate)
        self.epochs = (0, 0)

    def _clear(self) -> None:
        """Whatever an example left that failed; nothing, as a rule. Receipts stay."""
        Operation.objects.filter(finished_at__isnull=True).delete()
        Migration.objects.all().delete()
        self.earlier = set(Receipt.objects.values_list("id", flat=True))
        Ownership.objects.update(owner="monolith")
        install.uninstall(None)
        self.estate.service.row = {**self.estate.service.row, "epoch": 0, "owner": "monolith", "operation": ""}

    # ---- what happens ---------------------------------------------------------------------------------------------

    @initialize(far=st.sampled_from(["canary", "live"]))
    def begin(self, far: str) -> None:
        engine.advance("payments", to=far, percent=100 if far == "canary" else None, **{**WHO, "tries": 5})

    def _try(self, verb: object, fate: Fate) -> None:
        try:
            with self.luck.befalls(fate, self.patch):
                verb()  # type: ignore[operator]
        except (StranglerError, Killed):
            pass
        except (DatabaseError, InterfaceError):
            assert self.luck.met  # the process ends with it, and the tick takes over
        expire()

    @rule(verb=st.sampled_from(VERBS), crossing=fates(HAND_OVER), undoing=fates(UNDO), other=fates(OTHERS))
    def go(self, verb: str, crossing: Fate, undoing: Fate, other: Fate) -> None:
        """One rule, so that hand-overs come often. ``undoing``: what befalls the process that takes over."""
        stage = Stage(positions.migration_of("payments").stage)
        match verb:
            case "cross" if stage is Stage.LIVE:
                self._try(lambda: engine.rollback("payments", **WHO), crossing)
            case "cross" if stage is not Stage.RETIRED:
                self._try(lambda: engine.advance("payments", to="live", **WHO), crossing)
            case "on" | "cross":
                self._try(lambda: engine.advance("payments", **WHO), other)
            case "back":
                self._try(lambda: engine.rollback("payments", **WHO), other)
            case "hold":
                self._try(lambda: engine.hold("payments", 0.05, who="ada"), Fate("hold", other.where, other.what, other.number))
            case "tick":
                self._try(lambda: engine.resume(patience_s=0.2), undoing)
                self._try(reconcile.tell_owed, Fate())
                publish.republish()
            case "reconcile":
                self._try(lambda: reconcile.reconcile("payments", who="ada"), Fate())
            case "believe":
                self._believe()

    def _believe(self) -> None:
        """What status calls safe is done, and goes through."""
        seen = status.report(["payments"])[0]
        if seen.operation or not seen.safe_to_roll_back or seen.back is None:
            return
        try:
            receipt = engine.rollback("payments", **{**WHO, "tries": 5})
        except Undone as undone:
            raise AssertionError(f"it was called safe because {seen.because}, but {undone}") from undone
        assert receipt.outcome == "done"

    # ---- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def one_owner_at_the_most_and_epochs_that_only_rise(self) -> None:
        here, there = ownership.get("payments"), self.estate.service.row
        assert (here.owner, there["owner"]) != ("monolith", "service")
        epochs = (here.epoch, there["epoch"])
        assert epochs[0] >= self.epochs[0]
        assert epochs[1] >= self.epochs[1]
        self.epochs = epochs

    @invariant()
    def a_receipt_for_each_end_and_for_each_change(self) -> None:
        ended = Operation.objects.filter(finished_at__isnull=False)
        of_operations = Receipt.objects.exclude(verb=reconcile.RECONCILE).values_list("operation", "outcome")
        assert sorted(ended.values_list("id", "outcome")) == sorted(of_operations)
        mine = Receipt.objects.exclude(id__in=self.earlier).filter(outcome="done").order_by("id")
        row, last = Migration.objects.filter(context="payments").first(), mine.last()
        if row and last and open_operation() is None:
            assert (row.stage, row.percent) == (last.to_stage, last.to_percent)

    @invariant()
    def the_fence_is_as_the_owner_row_says(self) -> None:
        passed = False
        with suppress(_Undo, Fenced), fence.translate(), transaction.atomic():
            make_payment(make_order())
            passed = True
            raise _Undo
        assert passed == (ownership.get("payments").owner == "monolith")

    @invariant()
    def status_is_true(self) -> None:
        seen, operation = status.report(["payments"])[0], open_operation()
        here, there = ownership.get("payments"), self.estate.service.row
        row = Migration.objects.filter(context="payments").first()
        assert (seen.stage, seen.percent) == ((row.stage, row.percent) if row else ("monolith", 0))
        newest = RouteTableVersion.objects.order_by("-generation", "-version").first()
        if newest:
            table = newest.snapshot["contexts"]["payments"]
            assert (table["stage"], table["percent"]) == (seen.stage, seen.percent)
        assert (seen.monolith_says.owner, seen.monolith_says.epoch) == (here.owner, here.epoch)
        assert (seen.service_says.owner, seen.service_says.epoch) == (there["owner"], there["epoch"])
        assert seen.writes == writes(here.owner)
        assert bool(seen.operation) == bool(operation)
        if operation:
            assert (seen.operation.step, seen.operation.undoing) == (operation.step, operation.undoing)
            assert not seen.safe_to_roll_back
            assert seen.blocked
        live = dict(Stream.objects.values_list("name", "state"))
        assert all(stream.live == (live[stream.name] == "live") for stream in seen.streams)

    def teardown(self) -> None:
        """Luck turns: whatever is open ends, both sides agree with the table, and the way back is open to its end."""
        for _ in range(6):
            if open_operation() is None:
                break
            expire()
            with suppress(StranglerError):
                engine.resume()
        assert open_operation() is None, "an operation never ended"
        reconcile.tell_owed()
        publish.republish()
        row = Migration.objects.get(context="payments")
        at = Position.of(Stage(row.stage), row.percent)
        here, there = ownership.get("payments"), self.estate.service.row
        assert here.owner == at.stage.owner
        if at.stage is not Stage.MONOLITH:
            assert (here.owner, here.epoch) == (there["owner"], there["epoch"])
            engine.travel("rollback", "payments", to="monolith", **{**WHO, "tries": 5})
        self.a_receipt_for_each_end_and_for_each_change()


class _Undo(Exception):
    """Nothing of it stays."""


@pytest.fixture
def machine(estate: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> type[EngineUnderBadLuck]:
    drive = engine._drive
    monkeypatch.setattr(engine, "_drive", lambda *args, **kwargs: drive(*args, **{**kwargs, "patience_s": 0.2}))
    monkeypatch.setattr(engine, "BETWEEN_TRIES_S", 0.05)
    return type("Machine", (EngineUnderBadLuck,), {"estate": estate, "patch": monkeypatch})


def test_whatever_fails_there_is_one_owner_and_an_end_and_status_is_true(machine: type[EngineUnderBadLuck]) -> None:
    fair = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(machine, settings=fair)
