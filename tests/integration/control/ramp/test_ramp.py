"""The auto-ramp on real PostgreSQL and Valkey: steps, ways back, time, and what dies on the way."""

from __future__ import annotations

import pytest

from strangler.control import engine, faultpoints, ramp, ramp_run, ramp_view, tasks
from strangler.control.errors import GatesClosed
from strangler.control.ledger import open_operation
from strangler.control.models import Receipt
from strangler.control.observe import Observer
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Deed, State
from strangler.errors import LostLease
from strangler.sync import streams
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.ramp.acting import (
    UNKNOWN,
    WHO,
    Killed,
    ask,
    declare,
    look,
    passes_by,
    ramp_to_10,
    row,
    say,
    sleeps_for,
    sql,
    stage,
    step,
)

# ---- by itself ----------------------------------------------------------------------------------------------------


def test_it_goes_from_shadow_to_its_target_and_never_cuts_over(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    assert [step().to, step().to] == [50, 100]
    assert stage() == "canary 100"
    assert step().deed is Deed.DONE
    assert ramp.look("payments") is None
    assert (stage(), row().state) == ("canary 100", State.DONE)
    code, said = ask(capsys, "ramp", "status", "payments")
    assert (code, said["ramps"][0]["state"], said["ramps"][0]["next"]) == (0, "done", "strangler advance payments --to live")
    assert [(receipt.verb, receipt.who) for receipt in Receipt.objects.order_by("id")] == [
        ("ramp start", "ada"),
        *[("advance", "ramp (started by ada)")] * 3,
        ("ramp done", "ramp (started by ada)"),
    ]
    receipt = Receipt.objects.filter(verb="advance").latest("id")
    assert receipt.why == "every gate of canary 50 % has passed for 10 min"
    assert {verdict["state"] for verdict in receipt.verdicts} == {"pass"}


def test_before_the_interval_it_waits_and_says_what_is_next(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    look()
    passes_by("9 minutes")
    assert look().deed is Deed.HOLD
    assert stage() == "canary 10"
    code, said = say(capsys, "status", "payments")
    assert code == 0
    assert "running, started by ada, canary 10 % → canary 100 %: every gate of canary 10 % has passed for 9 min of 10 min" in said
    assert "next: canary 50 % at " in said
    assert "Next: 50 %, not now: the ramp of ada takes the steps: every gate of canary 10 % has passed for 9 min" in said


def test_a_failing_gate_takes_it_back_at_once_and_the_receipt_says_why(ramping: SmallEstate) -> None:
    step()
    assert stage() == "canary 50"
    streams.stop("payments")
    assert (look().deed, stage()) == (Deed.BACK, "canary 10")
    receipt = Receipt.objects.latest("id")
    assert (receipt.verb, receipt.who, receipt.outcome) == ("rollback", "ramp (started by ada)", "done")
    assert "lag: stream payments is not running" in receipt.why
    assert (look().deed, stage()) == (Deed.BACK, "shadow")
    assert (look().deed, stage()) == (Deed.HOLD, "shadow")
    assert row().reason.endswith("every read comes from the monolith already")
    streams.start("payments")
    assert (row().backs, step().to, stage()) == (1, 10, "canary 10")


def test_what_fails_for_a_moment_takes_nobody_back(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    lag = Observer.lag
    late = [Verdict("lag", Of.FAIL, "900 ms", "≤ 500 ms", "stream payments is 900 ms behind")]
    monkeypatch.setattr(Observer, "lag", lambda self, name: late.pop() if late else lag(self, name))
    assert (look().deed, stage(), late) == (Deed.HOLD, "canary 10", [])


def test_by_configuration_it_freezes_until_somebody_has_looked(
    ramping: SmallEstate, settings, capsys: pytest.CaptureFixture
) -> None:
    declare(settings, on_fail='"freeze"')
    streams.stop("payments")
    assert (look().deed, stage()) == (Deed.FREEZE, "canary 10")
    streams.start("payments")
    assert step().deed is Deed.HOLD
    code, said = say(capsys, "ramp", "status")
    assert code == 1
    assert "frozen, started by ada, canary 10 % → canary 100 %: lag: stream payments is not running" in said
    assert "next strangler ramp resume payments" in said
    assert ask(capsys, "ramp", "resume", "payments", "--why", "mended")[0] == 0
    assert (step().to, stage()) == (50, "canary 50")


def test_a_share_that_fails_again_and_again_freezes(ramping: SmallEstate, settings) -> None:
    declare(settings, max_backs="2")
    for _ in range(2):
        step()
        streams.stop("payments")
        assert look().to == 10
        streams.start("payments")
    assert look().deed is Deed.FREEZE
    assert (stage(), row().state) == ("canary 10", State.FROZEN)
    assert Receipt.objects.latest("id").why == "2 steps up had to be taken back, and 2 is the limit (max_backs)"


def test_unknown_holds_and_says_what_is_missing(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = ramp._judge
    look()
    passes_by()
    monkeypatch.setattr(ramp, "_judge", lambda *how: [*judge(*how), UNKNOWN])
    assert (look().deed, row().reason, row().next_at) == (Deed.HOLD, "parity: it needs 312 more samples", None)
    monkeypatch.undo()
    assert (look().deed, stage()) == (Deed.HOLD, "canary 10"), "the interval begins anew"


def test_on_a_real_mirror_drift_is_checked_in_time_and_unknown_until_it_was(estate: SmallEstate) -> None:
    engine.advance("payments", to="shadow", **WHO)
    ramp_to_10()
    assert ramp.check("payments") is False
    sql("UPDATE strangler_stream SET verified_at = verified_at - interval '1 hour'")
    assert "drift: the last clean check is" in look().reason
    assert ramp.check("payments") is True
    sql("UPDATE strangler_stream SET verified_at = verified_at - interval '1 hour'")
    assert ramp.check("payments") is False, "somebody has just done it"
    sql("UPDATE strangler_ramp SET check_after = now()")
    assert ramp.check("payments") is True
    assert look().next_at is not None


# ---- time ---------------------------------------------------------------------------------------------------------


def test_a_tick_that_comes_late_by_hours_steps_on_no_stale_evidence(ramping: SmallEstate) -> None:
    for late in ("5 hours", "-5 hours"):
        look()
        passes_by("9 minutes")
        sleeps_for(late)
        assert (look().deed, stage()) == (Deed.HOLD, "canary 10")
    passes_by()
    assert (look().deed, stage()) == (Deed.STEP, "canary 50")
    sleeps_for("5 hours")
    assert (look().deed, stage()) == (Deed.HOLD, "canary 50"), "one step only"


def test_a_look_that_was_asleep_moves_nothing(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process was stopped between judging and acting, for longer than its verdicts are good for."""
    look()
    passes_by()
    load = ramp_run.load

    def earlier(context: str) -> ramp_run.Row | None:
        seen = load(context)
        return seen and ramp_run.Row(seen.row, seen.now - 3600)

    monkeypatch.setattr(ramp_run, "load", earlier)
    sleeps_for("1 hour")
    with pytest.raises(LostLease):
        ramp.look("payments")
    assert (stage(), open_operation()) == ("canary 10", None)


def test_out_of_hours_it_waits_and_a_failing_gate_still_takes_it_back(ramping: SmallEstate, settings) -> None:
    step()
    declare(settings, not_before="2999-01-01", timezone='"Europe/Vienna"')
    look()
    passes_by()
    act = look()
    assert (act.deed, stage()) == (Deed.HOLD, "canary 50")
    assert act.reason.endswith("outside of its hours, which begin on Tue 2999-01-01 00:00 Europe/Vienna")
    streams.stop("payments")
    assert (look().deed, stage()) == (Deed.BACK, "canary 10")


# ---- what dies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["gates", "converge"])
def test_killed_in_a_step_the_tick_finishes_it_and_the_ramp_goes_on(
    ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def reach(step: str) -> None:
        if step == at:
            raise Killed

    look()
    passes_by()
    monkeypatch.setattr(faultpoints, "reach", reach)
    with pytest.raises(Killed):
        ramp.look("payments")
    monkeypatch.undo()
    assert ramp.look("payments") is None, "its operation is open"
    sql("UPDATE strangler_operation SET holder_until = now() - interval '1 second'")
    tasks.go_on()
    assert look().deed is Deed.HOLD
    assert (stage(), row().percent, row().operation) == ("canary 50", 50, None)
    assert Receipt.objects.filter(to_percent=50).count() == 1
    assert (step().to, stage()) == (100, "canary 100")


def test_killed_after_the_step_the_next_look_takes_note_of_it(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    settled = ramp._settled
    calls = iter([settled, None])

    def killed(context: str) -> ramp_run.Row | None:
        call = next(calls)
        if call is None:
            raise Killed
        return call(context)

    look()
    passes_by()
    monkeypatch.setattr(ramp, "_settled", killed)
    with pytest.raises(Killed):
        ramp.look("payments")
    monkeypatch.undo()
    assert (stage(), row().percent) == ("canary 50", 10)
    assert look().deed is Deed.HOLD
    assert (row().percent, row().good, row().state) == (50, [10], State.RUNNING)


def test_a_step_that_was_undone_is_tried_again_after_an_interval(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    from strangler.control.transitions import Transition

    def never(*_: object) -> None:
        raise GatesClosed("no proxy acknowledges", [])

    look()
    passes_by()
    monkeypatch.setattr(Transition, "converge", never)
    assert look().deed is Deed.STEP
    monkeypatch.undo()
    assert (stage(), row().percent) == ("canary 10", 10)
    assert row().reason.startswith("the step to canary 50 % was undone: no proxy acknowledges")
    assert look().deed is Deed.HOLD
    passes_by()
    assert (look().deed, stage()) == (Deed.STEP, "canary 50")


def test_status_has_the_ramp_for_programs(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    _, said = ask(capsys, "status", "payments")
    assert (said["ramp"]["state"], said["ramp"]["share"], said["ramp"]["target"]) == ("running", 10, 100)
    assert say(capsys, "status")[1].endswith(f"ramp: payments {ramp_view.of('payments')}")
