from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.restarts import LIMIT_S, WELL_S, Restarts, pause


def test_pauses_grow_to_a_limit() -> None:
    assert [pause(failures) for failures in (1, 2, 3, 4, 20)] == [0.5, 1, 2, 4, LIMIT_S]


def test_a_dead_child_is_due_after_its_pause() -> None:
    restarts = Restarts()
    assert restarts.died("worker", 100) == 0.5
    assert restarts.waiting("worker")
    assert restarts.due(100.4) == []
    assert restarts.due(100.5) == ["worker"]
    restarts.started("worker", 100.5)
    assert not restarts.waiting("worker")
    assert restarts.due(200) == []


def test_a_child_that_ran_well_begins_anew() -> None:
    restarts = Restarts()
    restarts.died("worker", 0)
    restarts.started("worker", 1)
    assert restarts.died("worker", 2) == 1.0
    restarts.started("worker", 3)
    assert restarts.died("worker", 3 + WELL_S) == 0.5


@given(st.lists(st.floats(min_value=0, max_value=WELL_S - 1), max_size=12))
def test_quick_deaths_never_shorten_the_pause(lives: list[float]) -> None:
    restarts, now, pauses = Restarts(), 0.0, []
    for life in lives:
        restarts.started("proxy", now)
        now += life
        pauses.append(restarts.died("proxy", now))
        now += pauses[-1]
    assert pauses == sorted(pauses)
