"""A ramp and persons: who holds, resumes, aborts, and whose word counts."""

from __future__ import annotations

import pytest

from strangler.control import engine, ramp, ramp_orders
from strangler.control.errors import Busy
from strangler.control.ledger import DatabaseLedger, open_operation
from strangler.control.models import Migration, Operation, Receipt
from strangler.domain.ramp import Deed, State
from strangler.errors import Misuse
from strangler.sync import streams
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.ramp.acting import BOB, WHO, ask, look, row, say, stage, step

# ---- persons ------------------------------------------------------------------------------------------------------


def test_held_it_takes_no_step_and_takes_back_what_fails(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    step()
    code, said = say(capsys, "ramp", "hold", "payments", "--why", "lunch")
    assert code == 0
    assert "held, started by ada, canary 50 % → canary 100 %: held by " in said
    assert step().deed is Deed.HOLD
    streams.stop("payments")
    assert (look().deed, stage(), row().state) == (Deed.BACK, "canary 10", State.HELD)
    assert row().reason.endswith(": lunch"), "why it is held stays"
    assert [receipt.verb for receipt in Receipt.objects.order_by("-id")[:2]] == ["rollback", "ramp hold"]


def test_an_order_that_comes_second_is_told_by_whom_the_first_was(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(Busy, match=r"a ramp by ada \(canary 10 % → canary 100 %\) is running"):
        ramp_orders.start("payments", **BOB)
    with pytest.raises(Busy, match="there is nothing to resume"):
        ramp_orders.resume("payments", **BOB)
    ramp_orders.hold("payments", **BOB)
    with pytest.raises(Busy, match="is held: held by bob: too early; there is nothing to hold"):
        ramp_orders.hold("payments", **WHO)
    assert ramp_orders.abort("payments", **WHO)[0].state == State.ABORTED
    for order in ("hold", "resume", "abort"):
        code, said = say(capsys, "ramp", order, "payments")
        assert code == 2
        assert "payments has no ramp any more: aborted, aborted by ada: a test; start one: strangler ramp start payments" in said


def test_an_advance_by_hand_is_refused_while_a_ramp_runs_and_goes_on_where_it_is_held(ramping: SmallEstate) -> None:
    operations = Operation.objects.count()
    with pytest.raises(Busy, match=r"a ramp by ada \(canary 10 % → canary 100 %\) runs .* first: strangler ramp hold payments"):
        engine.advance("payments", **BOB)
    assert Operation.objects.count() == operations
    assert engine.advance("payments", dry_run=True, **BOB).to.percent == 50
    ramp_orders.hold("payments", **BOB)
    engine.advance("payments", **BOB)
    assert stage() == "canary 50"
    assert ramp.look("payments") is None
    assert (row().state, row().reason) == (
        "aside",
        f"bob moved payments to canary 50 % (receipt {Receipt.objects.latest('id').pk})",
    )
    streams.stop("payments")
    assert ramp.look("payments") is None, "what a person has moved a person watches"
    streams.start("payments")
    ramp_orders.resume("payments", **BOB)
    assert (step().to, stage()) == (100, "canary 100")


def test_a_rollback_by_hand_wins_and_the_ramp_stands_aside(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    step()
    engine.rollback("payments", to="canary", percent=10, **BOB)
    assert (stage(), row().state, row().reason) == ("canary 10", "aside", "bob rolled payments back: too early")
    assert ramp.look("payments") is None
    code, said = say(capsys, "status", "payments")
    assert code == 0
    assert "stands aside, started by ada" in said
    ramp_orders.resume("payments", **BOB)
    assert (step().to, stage()) == (50, "canary 50")


def test_a_rollback_that_is_a_mistake_leaves_the_ramp_as_it_was(ramping: SmallEstate) -> None:
    for to, percent in (("canary", 50), ("live", None), ("monolit", None)):
        with pytest.raises(Misuse):
            engine.rollback("payments", to=to, percent=percent, **BOB)
    assert (stage(), row().state) == ("canary 10", State.RUNNING)


def test_a_hold_never_brings_back_a_share_that_was_left_meanwhile(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ramp takes its step between the look of the hold at the share and its beginning."""
    begin = DatabaseLedger.begin

    def overtaken(self: DatabaseLedger, **said: object) -> object:
        Migration.objects.update(percent=50)
        return begin(self, **said)  # type: ignore[arg-type]

    monkeypatch.setattr(DatabaseLedger, "begin", overtaken)
    with pytest.raises(Busy, match="payments was moved by somebody else just now"):
        engine.hold("payments", 0.1, who="bob")
    assert (stage(), Receipt.objects.latest("id").outcome, open_operation()) == ("canary 50", "refused", None)


def test_who_moved_a_context_is_not_who_held_it_there_afterwards(ramping: SmallEstate) -> None:
    ramp_orders.hold("payments", **BOB)
    moved = engine.advance("payments", **BOB)
    engine.hold("payments", 0.05, who="carol")
    assert ramp.look("payments") is None
    assert row().reason == f"bob moved payments to canary 50 % (receipt {moved.pk})"


def test_a_broken_stream_takes_the_context_back_and_the_ramp_stands_aside(ramping: SmallEstate) -> None:
    from strangler.control import retreat
    from strangler.sync import broken

    assert broken.give_up("payments", "more than 1,000,000 changes waited")
    assert retreat.retreat() == ["payments"]
    assert (stage(), row().state) == ("mirror", "aside")
    assert row().reason == "strangler tick rolled payments back: stream payments is broken"
    with pytest.raises(Misuse, match="payments is mirror, and a ramp begins in shadow: strangler advance payments --to shadow"):
        ramp_orders.resume("payments", **BOB)


def test_an_abort_ends_it_where_it_is_or_goes_back(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    step()
    for words, expected in ((), "canary 50"), (("--back-to", "10"), "canary 10"), (("--back-to", "shadow"), "shadow"):
        code, said = ask(capsys, "ramp", "abort", "payments", "--why", "enough", *words)
        assert (code, said["state"], stage()) == (0, "aborted", expected)
        assert [(receipt["verb"], receipt["why"]) for receipt in said["receipts"]] == [("rollback", "enough")] * bool(words)
        assert ramp.look("payments") is None
        ramp_orders.start("payments", **BOB)
        assert row().who == "bob"


def test_an_abort_to_nowhere_aborts_nothing(ramping: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    for back_to in ("live", "0", "-5", "101", "100", "10"):
        code, said = say(capsys, "ramp", "abort", "payments", f"--back-to={back_to}")
        assert (code, row().state) == (2, State.RUNNING)
        assert f"--back-to {back_to}: " in said


def test_it_begins_only_where_there_is_something_before_it(shadow: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    def refused(*words: str) -> str:
        code, said = say(capsys, "ramp", *words)
        assert code == 2
        return said

    assert "there is no context 'nothing'" in refused("start", "nothing")
    assert "there is no context 'nothing'" in refused("status", "nothing")
    assert "orders has no service to move to" in refused("start", "orders")
    assert "a canary share is 1…100 percent, not 0" in refused("start", "payments", "--to", "0")
    assert "payments has no ramp; start one" in refused("hold", "payments")
    assert say(capsys, "ramp", "status") == (0, "no ramp; start one: strangler ramp start CONTEXT")
    for place, why in {
        ("monolith", 0): "payments is monolith, and a ramp begins in shadow: strangler advance payments --to shadow",
        ("canary", 50): "and the ramp would end at 30 %; the way on is: strangler ramp start payments --to 100",
        ("canary", 100): "the way on is: strangler advance payments --to live",
        ("live", 0): "payments is live, past every share; the way back is: strangler rollback payments",
    }.items():
        Migration.objects.update(stage=place[0], percent=place[1])
        assert why in refused("start", "payments", "--to", "30")


def test_once_the_owner_has_changed_it_is_over(ramping: SmallEstate) -> None:
    Migration.objects.update(stage="live", percent=0)
    assert ramp.look("payments") is None
    assert (row().state, row().reason) == (State.DONE, "payments was moved to live")
