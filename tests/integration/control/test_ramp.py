"""The auto-ramp on real PostgreSQL and Valkey: steps, ways back, persons, and who wins where two come at once.

Time goes on by moving what the row remembers into the past; the clock itself is the database's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.utils import timezone

from strangler.control import engine, faultpoints, publish, ramp, ramp_orders, ramp_run, ramp_view, tasks
from strangler.control.errors import Busy, GatesClosed
from strangler.control.ledger import DatabaseLedger, open_operation
from strangler.control.models import Migration, Operation, RampRun, Receipt
from strangler.control.observe import Observer
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Act, Deed, State
from strangler.errors import LostLease, Misuse
from strangler.management import cli
from strangler.sync import streams
from strangler.sync.database import value
from strangler.sync.models import Backfill, Stream
from tests.integration.control.conftest import SmallEstate
from tests.integration.sync.estate import Threads, wait_for

WHO = {"who": "ada", "why": "a test"}
BOB = {"who": "bob", "why": "too early"}
UNKNOWN = Verdict("parity", Of.UNKNOWN, "188 samples", "≥ 500", "it needs 312 more samples")

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


class Killed(BaseException):
    """kill -9, as far as a thread can be killed."""


def stage() -> str:
    row = Migration.objects.get(context="payments")
    return f"{row.stage} {row.percent}" if row.percent else row.stage


def row() -> RampRun:
    return RampRun.objects.get(context="payments")


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def passes_by(interval: str = "10 minutes") -> None:
    """As if the gates had been watched, and had passed, for so long before the last look."""
    sql(f"UPDATE strangler_ramp SET good_since = good_since - interval '{interval}'")


def sleeps_for(interval: str) -> None:
    """As if nobody had looked for so long. A negative one: the database's clock was put back."""
    sql(f"UPDATE strangler_ramp SET good_since = good_since - interval '{interval}', seen_at = seen_at - interval '{interval}'")


def look() -> Act:
    act = ramp.look("payments")
    assert act is not None
    return act


def step() -> Act:
    look()
    passes_by()
    return look()


def declare(settings, **keys: str) -> None:
    """Other lines for ``[contexts.payments.ramp]``."""
    from pathlib import Path

    from strangler import conf

    file = Path(settings.STRANGLER["ESTATE"])
    lines = ", ".join(f"{key} = {value}" for key, value in {"steps": "[10, 50, 100]", **keys}.items())
    old = next(line for line in file.read_text().splitlines() if line.startswith("ramp ="))
    file.write_text(file.read_text().replace(old, f"ramp = {{ {lines} }}"))
    conf.load.cache_clear()


def stand_in_shadow(settings) -> None:
    """As after the way there, of which other tests tell: all is copied, nothing waits, and both sides were equal just now."""
    declare(settings)
    now = timezone.now()
    for name, kind in (("payments", "mirror"), ("payments-copies", "copies")):
        Stream.objects.create(
            name=name, context="payments", kind=kind, state="live", marker=1, lag_ms=1, verified_drift=0, verified_at=now
        )
        Backfill.objects.create(stream=name, collection="all", state="done")
    Migration.objects.create(context="payments", stage="shadow", salt="pepper")
    publish.publish_current()


def ramp_to_10() -> None:
    ramp_orders.start("payments", **WHO)
    step()
    assert stage() == "canary 10"


@pytest.fixture
def shadow(db, around: SmallEstate, settings) -> SmallEstate:
    """In a transaction that is rolled back: for one actor."""
    stand_in_shadow(settings)
    return around


@pytest.fixture
def ramping(shadow: SmallEstate) -> SmallEstate:
    """At 10 %, which it reached itself."""
    ramp_to_10()
    return shadow


@pytest.fixture
def many(estate: SmallEstate, settings) -> SmallEstate:
    """In shadow, on a database that several connections see."""
    stand_in_shadow(settings)
    return estate


@pytest.fixture
def ramping_for_many(many: SmallEstate) -> SmallEstate:
    ramp_to_10()
    return many


@pytest.fixture
def threads() -> Iterator[Threads]:
    started = Threads()
    yield started
    started.join()


def ask(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, " ".join((out + err).split())


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


# ---- at once ------------------------------------------------------------------------------------------------------


def test_two_ticks_at_once_do_one_step(ramping_for_many: SmallEstate, monkeypatch: pytest.MonkeyPatch, threads: Threads) -> None:
    look()
    passes_by()
    both = threading.Barrier(2, timeout=20)
    judge = ramp._judge

    def judged(*how):
        verdicts = judge(*how)
        both.wait()
        return verdicts

    monkeypatch.setattr(ramp, "_judge", judged)
    monkeypatch.setattr(ramp, "_spared", lambda _: True)
    late: list[BaseException] = []

    def one() -> None:
        try:
            ramp.look("payments")
        except LostLease as error:
            late.append(error)

    steps = Operation.objects.count()
    for _ in range(2):
        threads.start(one)
    threads.join()
    monkeypatch.undo()
    assert (stage(), Operation.objects.count() - steps) == ("canary 50", 1)
    assert len(late) <= 1  # or it met the other's operation, and left the row as it was
    assert row().percent == 50


def test_a_look_that_is_overtaken_by_another_ones_step_does_nothing(
    ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    look()
    passes_by()
    judge = ramp._judge

    def judged(*how):
        verdicts = judge(*how)
        monkeypatch.setattr(ramp, "_judge", judge)
        assert look().deed is Deed.STEP
        return verdicts

    steps = Operation.objects.count()
    monkeypatch.setattr(ramp, "_judge", judged)
    monkeypatch.setattr(ramp, "_spared", lambda _: True)
    with pytest.raises(LostLease):
        ramp.look("payments")
    assert (stage(), row().percent, Operation.objects.count() - steps) == ("canary 50", 50, 1)


def test_a_hold_between_judging_and_stepping_wins(ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    look()
    passes_by()
    judge = ramp._judge

    def judged(*how):
        verdicts = judge(*how)
        ramp_orders.hold("payments", **BOB)
        return verdicts

    monkeypatch.setattr(ramp, "_judge", judged)
    with pytest.raises(LostLease):
        ramp.look("payments")
    assert (stage(), row().state, open_operation()) == ("canary 10", State.HELD, None)


def in_the_middle(monkeypatch: pytest.MonkeyPatch, threads: Threads) -> tuple[threading.Event, Callable[[], None]]:
    """The ramp's step waits before it publishes; gives what lets it go on."""
    reached, go_on = threading.Event(), threading.Event()
    ramps: list[threading.Thread] = []

    def reach(step: str) -> None:
        if step == "publish" and threading.current_thread() in ramps:
            reached.set()
            assert go_on.wait(20)

    monkeypatch.setattr(faultpoints, "reach", reach)
    look()
    passes_by()
    thread = threads.start(ramp.look, "payments")
    ramps.append(thread)
    assert reached.wait(20)
    return go_on, lambda: thread.join(20)


def test_a_rollback_by_hand_in_the_middle_of_a_step_lets_it_end_and_wins(
    ramping_for_many: SmallEstate, monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    go_on, _ = in_the_middle(monkeypatch, threads)
    threads.start(lambda: engine.rollback("payments", to="shadow", **BOB))
    wait_for(lambda: row().state == State.ASIDE, "the ramp stands aside")
    assert stage() == "canary 10"
    go_on.set()
    threads.join()
    assert (stage(), row().state, row().reason) == ("shadow", "aside", "bob rolled payments back: too early")
    assert [receipt.who for receipt in Receipt.objects.order_by("-id")[:2]] == ["bob", "ramp (started by ada)"]
    assert ramp.look("payments") is None
    assert stage() == "shadow"


def test_who_comes_in_the_middle_of_a_step_is_told_of_it(
    ramping_for_many: SmallEstate, monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    go_on, join = in_the_middle(monkeypatch, threads)
    with pytest.raises(Busy, match=r"a ramp by ada .* runs and takes the steps"):
        engine.advance("payments", **BOB)
    ramp_orders.hold("payments", **BOB)
    with pytest.raises(Busy, match=r"advance payments .* by ramp \(started by ada\), at step publish"):
        engine.advance("payments", **BOB)
    with pytest.raises(Busy, match=r"advance payments .* by ramp \(started by ada\), at step publish is under way"):
        ramp_orders.resume("payments", **BOB)
    assert ramp.look("payments") is None
    go_on.set()
    join()
    assert (stage(), row().state, row().reason) == ("canary 50", State.HELD, "held by bob: too early")


def test_the_ramp_waits_for_what_another_operator_does_in_the_estate(
    ramping: SmallEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    look()
    passes_by()
    Operation.objects.create(
        id="00000000-0000-0000-0000-000000000001",
        context="orders",
        verb="hold",
        from_stage="monolith",
        to_stage="monolith",
        step="keep",
        who="eve",
    )
    assert (look().deed, stage()) == (Deed.STEP, "canary 10")
    assert "step to canary 50 % waits: payments: another operation runs in this estate: hold orders" in row().reason
    assert "by eve" in row().reason
    Operation.objects.update(finished_at="2026-01-01T00:00Z")
    assert (look().deed, stage()) == (Deed.STEP, "canary 50")


def test_of_two_operators_who_advance_at_once_one_is_told_of_the_other(many: SmallEstate, threads: Threads) -> None:
    both = threading.Barrier(2, timeout=20)
    told: list[str] = []

    def advance(name: str) -> None:
        both.wait()
        try:
            engine.advance("payments", to="canary", percent=10, who=name)
        except (Busy, Misuse) as error:
            told.append(f"{name}: {error}")

    for name in ("eve", "bob"):
        threads.start(advance, name)
    threads.join()
    assert stage() == "canary 10"
    assert len(told) == 1
    other = {"eve": "bob", "bob": "eve"}[told[0][:3]]
    assert f"by {other}" in told[0] or "was moved by somebody else" in told[0] or "is canary 10 % already" in told[0]
    assert Receipt.objects.filter(to_percent=10, outcome="done").count() == 1


def test_a_start_in_the_moment_in_which_an_advance_begins_waits_and_is_told_of_it(
    many: SmallEstate, monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    """Neither does an advance begin while a ramp runs, nor a ramp start in the middle of an advance."""
    begin, begins, go_on, told = DatabaseLedger.begin, threading.Event(), threading.Event(), threading.Event()
    said: list[str] = []

    def slowly(*of, **how):
        begins.set()
        assert go_on.wait(20)
        return begin(*of, **how)

    def start() -> None:
        try:
            ramp_orders.start("payments", **WHO)
        except Busy as busy:
            said.append(str(busy))
        finally:
            told.set()

    monkeypatch.setattr(DatabaseLedger, "begin", slowly)
    monkeypatch.setattr(faultpoints, "reach", lambda _: told.wait(20))
    threads.start(lambda: engine.advance("payments", to="canary", percent=10, **BOB))
    assert begins.wait(20)
    threads.start(start)
    wait_for(lambda: told.is_set() or value(WAITING), "the start waits")
    go_on.set()
    threads.join()
    assert said == [
        "payments: advance payments (shadow → canary) by bob, at step gates is under way;"
        " repeat the command afterwards: strangler status payments"
    ]
    assert (stage(), RampRun.objects.count()) == ("canary 10", 0)


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
