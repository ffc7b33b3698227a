"""The ramp's decision: never up with a gate that does not pass, never before the interval, never out of hours, and it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strangler.domain import plan
from strangler.domain.estate import Ramp
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Act, Deed, Run, State, decide, following, gap_s, gates, position, share_of
from strangler.domain.schedule import Schedule
from strangler.domain.stages import Position, Stage

NOON = datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("UTC")).timestamp()  # a Monday
RAMP = Ramp(steps=(1, 5, 25, 50, 100), interval_s=600)
GAP = gap_s(RAMP)
PASS, FAIL, UNKNOWN = (Verdict("parity", state, "98.7 %", "≥ 99.9 %", f"{state} it is") for state in Of)


def look(run: Run, verdict: Verdict, now: float, ramp: Ramp = RAMP) -> tuple[Run, Act]:
    seen = run.seen(verdict.passes, now, gap_s(ramp))
    return seen, decide(seen, (PASS, verdict), now, ramp)


def move(run: Run, act: Act) -> Run:
    """As control does once the operation is through."""
    if act.deed in (Deed.STEP, Deed.BACK):
        return run.after(act.deed, act.to)
    states = {Deed.FREEZE: State.FROZEN, Deed.DONE: State.DONE}
    return replace(run, state=states.get(act.deed, run.state))


def watched(run: Run, seconds: float, now: float = NOON, ramp: Ramp = RAMP) -> tuple[Run, Act, float]:
    """Looks that pass, a gap apart, until ``seconds`` are over."""
    end = now + seconds
    run, act = look(run, PASS, now, ramp)
    while now < end:
        now = min(end, now + gap_s(ramp))
        run, act = look(run, PASS, now, ramp)
    return run, act, now


# ---- one decision -------------------------------------------------------------------------------------------------


def test_it_steps_after_an_interval_of_passing_looks_and_says_when() -> None:
    run, act, now = watched(Run(5, 100), 599)
    assert (act.deed, act.next_at) == (Deed.HOLD, NOON + 600)
    assert act.reason == "every gate of canary 5 % has passed for 9 min of 10 min"
    run, act = look(run, PASS, now + 1)
    assert (act.deed, act.to, act.reason) == (Deed.STEP, 25, "every gate of canary 5 % has passed for 10 min")
    assert run.after(act.deed, act.to) == Run(25, 100, good=(5,), seen_at=now + 1)


def test_a_failing_gate_goes_back_at_once_to_the_last_share_that_held() -> None:
    _, act = look(Run(25, 100, good=(1, 5)), FAIL, NOON)
    assert (act.deed, act.to, act.reason) == (Deed.BACK, 5, "parity: fail it is")
    _, act = look(Run(25, 100), FAIL, NOON)
    assert (act.deed, act.to) == (Deed.BACK, 0), "nothing has held in this run"


def test_a_share_that_fails_after_it_was_gone_back_to_goes_further_back() -> None:
    run = Run(25, 100, good=(1, 5))
    for expected in (5, 1, 0):
        run, act = look(run, FAIL, NOON)
        run = move(run, act)
        assert run.at == expected
    run, act = look(run, FAIL, NOON)
    assert (act.deed, act.reason) == (Deed.HOLD, "parity: fail it is; every read comes from the monolith already")
    assert run.backs == 1, "one step was taken back, if in three moves"


def test_by_configuration_it_freezes_where_it_is() -> None:
    run, act = look(Run(25, 100, good=(5,)), FAIL, NOON, replace(RAMP, on_fail="freeze"))
    assert (act.deed, act.to) == (Deed.FREEZE, 25)
    run, act = look(replace(move(run, act), why=act.reason), FAIL, NOON + 1, replace(RAMP, on_fail="freeze"))
    assert (act.deed, act.reason) == (Deed.HOLD, "parity: fail it is")


def test_unknown_holds_and_says_what_is_missing() -> None:
    run, act, now = watched(Run(5, 100), 590)
    run, act = look(run, UNKNOWN, now + 10)
    assert (act.deed, act.reason, act.next_at) == (Deed.HOLD, "parity: unknown it is", None)
    run, act = look(run, PASS, now + 11)
    assert act.next_at == now + 611, "the interval begins anew"


def test_a_proxy_that_does_not_follow_holds_and_takes_nothing_back() -> None:
    """A way back would not get there either."""
    run, _, now = watched(Run(5, 100), 600)
    deaf = Verdict("proxies", Of.FAIL, "1 of 2", "all", "without the newest route table: proxy:2 (1.7)")
    _, act = look(run, deaf, now + 1)
    assert (act.deed, act.reason, act.next_at) == (Deed.HOLD, str(deaf), None)


def test_it_judges_what_its_own_share_shows_and_at_its_target_never_the_gates_of_a_cut_over() -> None:
    def judged(at: int, target: int) -> tuple[str, str, set[str]]:
        here, to, names = gates(Run(at, target), RAMP.steps)
        return str(here), str(to), set(names)

    assert judged(0, 100)[:2] == ("shadow", "canary 1 %")
    assert judged(5, 100)[:2] == ("canary 5 %", "canary 25 %")
    assert judged(5, 100)[2] >= {"errors", "latency", "parity", "drift", "lag", "health"}
    for target in (25, 100):
        names = judged(target, target)[2]
        assert names == judged(5, 100)[2]
        assert names <= set(plan.gates_of(*gates(Run(target, target), RAMP.steps)[:2]))


@pytest.mark.parametrize("late", [3600.0, 600.0, GAP + 1, -1.0, -86400.0])
def test_time_that_nobody_watched_is_no_evidence(late: float) -> None:
    """A tick that comes late by hours, or a clock that jumps: no step, and the interval begins anew."""
    run, _, now = watched(Run(5, 100), 590)
    _, act = look(run, PASS, now + late)
    assert (act.deed, act.next_at) == (Deed.HOLD, now + late + 600)


def test_a_late_tick_does_one_step_only() -> None:
    run, act, now = watched(Run(1, 100), 600)
    run = move(run, act)
    run, act = look(run, PASS, now + 5 * 3600)
    assert (run.at, act.deed) == (5, Deed.HOLD)


def test_a_short_interval_is_watched_all_the_same() -> None:
    ramp = Ramp(interval_s=10)
    run, _ = look(Run(5, 100), PASS, NOON, ramp)
    _, act = look(run, PASS, NOON + 10, ramp)
    assert act.deed is Deed.HOLD, "two looks, ten seconds apart"


def test_at_its_target_it_holds_for_an_interval_and_ends_without_a_cut_over() -> None:
    run, act, now = watched(Run(25, 25), 599)
    assert (act.deed, act.next_at) == (Deed.HOLD, NOON + 600)
    _, act = look(run, PASS, now + 1)
    assert (act.deed, act.to) == (Deed.DONE, 25)
    assert look(run, FAIL, now + 1)[1].deed is Deed.BACK


def test_a_target_between_two_declared_shares_is_the_last_step() -> None:
    assert [following(at, 30, RAMP.steps) for at in (0, 1, 5, 7, 25)] == [1, 5, 25, 25, 30]
    assert [following(at, 100, (10,)) for at in (0, 10)] == [10, 100]


def test_held_or_frozen_it_takes_no_step_and_takes_back_what_fails() -> None:
    for state in (State.HELD, State.FROZEN):
        run, act, now = watched(Run(25, 100, state=state, good=(5,), why="held by ada"), 700)
        assert (act.deed, act.reason) == (Deed.HOLD, "held by ada")
        run, act = look(run, FAIL, now)
        assert (act.deed, act.to) == (Deed.BACK, 5)
        assert move(run, act).state is state


def test_a_share_that_fails_again_and_again_freezes() -> None:
    run, now = Run(5, 100, good=(1,)), NOON
    for _ in range(RAMP.max_backs):
        run, act = look(run, FAIL, now)
        run = move(run, act)
        assert run.at == 1
        run, act, now = watched(run, 600, now + 1)
        run = move(run, act)
    assert (act.deed, act.reason) == (Deed.FREEZE, "3 steps up had to be taken back, and 3 is the limit (max_backs)")
    assert run.at == 1


def test_out_of_hours_it_waits_and_still_goes_back() -> None:
    ramp = replace(RAMP, schedule=Schedule(hours=(9 * 60, 16 * 60), timezone="Europe/Vienna"))
    evening = NOON + 8 * 3600
    run, act, now = watched(Run(25, 100, good=(5,)), 600, evening, ramp)
    assert (act.deed, act.next_at) == (Deed.HOLD, NOON + 20 * 3600)
    assert act.reason.endswith("outside of its hours, which begin on Tue 2026-03-03 09:00 Europe/Vienna")
    _, act = look(run, FAIL, now, ramp)
    assert (act.deed, act.to) == (Deed.BACK, 5)


def test_who_resumes_begins_anew_from_where_it_is() -> None:
    frozen = Run(25, 100, State.FROZEN, good=(1, 5, 25), good_since=1.0, seen_at=2.0, backs=3, risen=False, why="flapping")
    assert frozen.resumed(5) == Run(5, 100, good=(1,), seen_at=2.0)


def test_positions_in_words() -> None:
    assert [str(position(share)) for share in (0, 5)] == ["shadow", "canary 5 %"]
    assert [share_of(Position.of(stage)) for stage in (Stage.MIRROR, Stage.SHADOW, Stage.LIVE)] == [None, 0, None]


# ---- every sequence -----------------------------------------------------------------------------------------------

SHARES = st.sampled_from([0, 1, 5, 7, 25, 50, 99])
SCHEDULES = st.builds(
    Schedule,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    hours=st.sampled_from([(0, 24 * 60), (9 * 60, 16 * 60), (150, 200)]),
    timezone=st.sampled_from(["UTC", "Europe/Vienna", "America/St_Johns"]),
)
RAMPS = st.builds(
    Ramp,
    steps=st.sampled_from([(1, 5, 25, 50, 100), (10, 100), (50,)]),
    interval_s=st.sampled_from([1.0, 30.0, 600.0, 86400.0]),
    on_fail=st.sampled_from(["back", "freeze"]),
    max_backs=st.integers(1, 3),
    schedule=st.just(Schedule()) | SCHEDULES,
)
PAUSES = st.sampled_from([0.0, 1.0, 1.0, 5.0, 60.0, 600.0, 7200.0, 86400.0, -1.0, -7200.0])
LOOKS = st.lists(st.tuples(PAUSES, st.sampled_from([PASS, PASS, PASS, PASS, FAIL, UNKNOWN]), st.booleans()), max_size=60)


@given(at=SHARES, ramp=RAMPS, looks=LOOKS, state=st.sampled_from([State.RUNNING, State.HELD, State.FROZEN]))
@example(at=5, ramp=Ramp(interval_s=1), state=State.RUNNING, looks=[(0.0, PASS, True), (1.0, PASS, True), (1.0, FAIL, True)] * 6)
def test_the_share_rises_only_with_every_gate_for_the_interval_and_within_its_hours(
    at: int, ramp: Ramp, looks: list[tuple[float, Verdict, bool]], state: State
) -> None:
    run, now = Run(at, 100, state=state), NOON
    passing: list[float] = []  # the looks in a row at this share that found every gate passing, each in time
    backs = 0
    for pause, verdict, through in looks:
        now += pause
        if not verdict.passes or (passing and not 0 <= now - passing[-1] <= gap_s(ramp)):
            passing = []
        passing += [now] if verdict.passes else []
        before = run
        run, act = look(run, verdict, now, ramp)
        if act.deed is Deed.STEP:
            assert before.state is State.RUNNING
            assert verdict.passes
            assert passing[-1] - passing[0] >= ramp.interval_s
            assert ramp.schedule.opens(now) == now
            assert before.at < act.to <= before.target
            assert backs < ramp.max_backs
        elif act.deed is Deed.BACK:
            assert verdict.state is Of.FAIL
            assert act.to < before.at
        else:
            assert act.to == before.at
        if verdict.state is Of.FAIL and before.at > 0:
            assert act.deed is Deed.BACK or ramp.on_fail == "freeze"
        if through or act.deed not in (Deed.STEP, Deed.BACK):  # an operation may be refused, or undone
            run = move(run, act)
        if run.at != before.at:
            backs += act.deed is Deed.BACK and before.risen
            passing = []
        if not run.state.is_active:
            assert act.deed is Deed.DONE
            assert run.at == run.target
            break


@given(at=SHARES, ramp=RAMPS, data=st.data())
def test_with_a_look_every_moment_it_ends_or_freezes(at: int, ramp: Ramp, data: st.DataObject) -> None:
    """Time goes to where something may happen next, as far as the looks of in between would let it."""
    run, now = Run(at, 100), NOON
    fails = data.draw(st.lists(st.booleans(), max_size=12))
    for turn in range(200):
        verdict = FAIL if run.at and turn < len(fails) and fails[turn] else PASS
        run, act = look(run, verdict, now, ramp)
        run = move(run, act)
        if run.state is not State.RUNNING:
            break
        if act.next_at is not None:
            run, now = replace(run, seen_at=act.next_at), act.next_at  # watched all the while
    assert (run.state is State.FROZEN) or (run.state is State.DONE and run.at == 100)


# ---- schedules ----------------------------------------------------------------------------------------------------


@given(SCHEDULES, st.floats(NOON - 4e7, NOON + 4e7))
@example(Schedule(hours=(150, 200), timezone="Europe/Vienna"), datetime(2026, 3, 29, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp())
@example(Schedule(hours=(150, 200), timezone="Europe/Vienna"), datetime(2026, 10, 25, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp())
def test_it_opens_on_its_days_within_its_hours_and_never_later_than_it_must(schedule: Schedule, now: float) -> None:
    opens = schedule.opens(now)
    there = datetime.fromtimestamp(opens, ZoneInfo(schedule.timezone))
    assert opens >= now
    assert there.weekday() in schedule.days
    assert (
        schedule.hours[0] <= there.hour * 60 + there.minute < schedule.hours[1]
        or there.dst() != (there - timedelta(hours=3)).dst()
    )
    assert schedule.opens(opens) == opens
    if opens > now:
        assert schedule.opens(opens - 1) > opens - 1
