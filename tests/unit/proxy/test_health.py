from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy.health import Health, Patience

PATIENCE = Patience(in_a_row=3, share=0.5, least=10, window=10.0, first=5.0, longest=20.0, slow_start=10.0)


def fail(health: Health, times: int, now: float = 0.0) -> list[str]:
    return [health.failed(now) for _ in range(times)]


def test_failures_in_a_row_eject_and_a_success_between_them_does_not() -> None:
    health = Health(PATIENCE)
    assert fail(health, 2) == ["", ""]
    health.succeeded(0.0)
    assert fail(health, 3) == ["", "", "in-a-row"]
    assert not health.admits(4.9)


def test_one_probe_after_the_time_and_its_outcome_counts() -> None:
    health = Health(PATIENCE)
    fail(health, 3)
    assert [health.admits(5.1), health.admits(5.1)] == [True, False]
    assert health.failed(5.2) == "probe"
    assert not health.admits(5.2 + 9.9)  # twice as long
    assert health.admits(5.2 + 10.1)
    health.succeeded(16.0)
    assert [health.admits(16.0) for _ in range(3)] == [True, True, True]


def test_an_ejection_never_takes_longer_than_the_longest() -> None:
    health, now = Health(PATIENCE), 0.0
    fail(health, 3)
    for _ in range(6):
        now = health.until + 0.1
        assert health.admits(now)
        health.failed(now)
    assert health.until - now == pytest.approx(20.0)


def test_half_of_many_is_an_outlier_and_half_of_few_is_not() -> None:
    health, said = Health(PATIENCE), []
    health.mark(0.0)
    for number in range(12):
        health.requests += 1
        if number % 2:
            said.append(health.failed(1.0))
        else:
            health.succeeded(1.0)
    assert said == ["", "", "", "", "share", ""]


def test_old_requests_are_forgotten() -> None:
    health = Health(PATIENCE)
    for _ in range(100):
        health.requests += 1
        health.succeeded(0.0)
    for second in range(12):
        health.mark(float(second))
    for _ in range(10):
        health.requests += 1
    assert [health.failed(11.0), health.failed(11.0)] == ["", ""]
    health.succeeded(11.0)
    assert [health.failed(11.0), health.failed(11.0)] == ["", ""]
    health.succeeded(11.0)
    assert health.failed(11.0) == "share"


def test_what_came_back_is_asked_little_at_first() -> None:
    health = Health(PATIENCE)
    assert health.weight(0.0) == 1.0
    fail(health, 3)
    health.admits(6.0)
    health.succeeded(6.0)
    assert [round(health.weight(now), 1) for now in (6.0, 9.0, 11.0, 16.0, 99.0)] == [0.1, 0.3, 0.5, 1.0, 1.0]


def test_an_answer_that_comes_late_from_before_the_ejection_brings_nothing_back() -> None:
    health = Health(PATIENCE)
    fail(health, 3)
    health.succeeded(1.0)
    assert health.ejected
    assert health.failed(1.0) == ""


def test_a_probe_that_nobody_hears_of_again_is_not_the_last() -> None:
    health = Health(PATIENCE)
    fail(health, 3)
    assert [health.admits(now) for now in (6.0, 15.0, 16.1)] == [True, False, True]


@given(st.lists(st.tuples(st.sampled_from(["sent", "ok", "bad", "ask", "mark"]), st.floats(0, 3)), max_size=120))
def test_it_is_always_asked_again_one_day(steps: list[tuple[str, float]]) -> None:
    health, now = Health(PATIENCE), 0.0
    for step, later in steps:
        now += later
        if step == "sent":
            health.requests += 1
        elif step == "ok":
            health.succeeded(now)
        elif step == "bad":
            health.failed(now)
        elif step == "ask":
            health.admits(now)
        else:
            health.mark(now)
    if health.ejected and not health._probing:
        assert health.until <= now + PATIENCE.longest  # rounding keeps this order; a difference would not
        assert health.admits(now + PATIENCE.longest + 0.1)


# ---- active checks ------------------------------------------------------------------------------------------------------


def test_checks_that_fail_eject_and_one_that_succeeds_brings_back_slowly() -> None:
    health = Health(PATIENCE)
    health.watched = True
    assert [health.checked(False, 1.0) for _ in range(4)] == ["", "", "check", ""]
    assert not health.admits(1e6), "no user's request has to find out"
    health.checked(True, 20.0)
    assert not health.ejected
    assert health.weight(21.0) == pytest.approx(0.1)


def test_a_check_that_fails_now_and_then_ejects_nobody() -> None:
    health = Health(PATIENCE)
    assert {health.checked(number % 3 == 0, 1.0) for number in range(30)} == {""}


def test_a_good_check_does_not_cut_short_an_ejection_for_bad_answers() -> None:
    health = Health(PATIENCE)
    health.watched = True
    fail(health, 3, now=10.0)
    health.checked(True, 12.0)
    assert health.ejected
    health.checked(True, 15.1)
    assert not health.ejected


def test_a_connection_proves_only_that_connections_are_taken() -> None:
    bad, away = Health(PATIENCE), Health(PATIENCE)
    fail(bad, 3)
    for _ in range(3):
        away.failed(0.0, connecting=True)
    for health in (bad, away):
        health.checked(True, 6.0)
    assert bad.ejected, "it accepted connections all the time, and answered badly"
    assert bad.admits(6.0), "a request finds out"
    assert not away.ejected


def test_while_nothing_is_accepted_no_request_is_sent_to_find_out() -> None:
    health = Health(PATIENCE)
    for _ in range(3):
        health.failed(0.0, connecting=True)
    health.checked(False, 4.0)
    assert not health.admits(6.0)
