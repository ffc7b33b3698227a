"""Token buckets: never more than burst + rate·t, whatever the clock does; and nobody is locked out."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.ratelimit import Bucket, Limit, rate, take

limits = st.builds(Limit, rate=st.integers(1, 1000), per_s=st.sampled_from([1, 60, 3600]), burst=st.integers(1, 50))
steps = st.lists(st.one_of(st.just(0.0), st.floats(0, 100)), min_size=1, max_size=200)


def admitted(limit: Limit, moments: list[float]) -> list[bool]:
    bucket, passed = None, []
    for now in moments:
        bucket, wait = take(bucket, limit, now)
        passed.append(not wait)
    return passed


def along(start: float, steps: list[float]) -> list[float]:
    moments = [start]
    for step in steps:
        moments.append(moments[-1] + step)
    return moments


@given(limits, st.floats(0, 1e9), steps)
def test_no_window_admits_more_than_burst_and_what_was_gained(limit: Limit, start: float, steps: list[float]) -> None:
    moments = along(start, steps)
    passed = [now for now, good in zip(moments, admitted(limit, moments), strict=True) if good]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            gained = (passed[last] - passed[first]) * limit.per_second
            assert last - first + 1 <= limit.burst + gained + 1e-3


@given(limits, st.floats(0, 1e6), steps)
def test_who_waits_as_long_as_was_said_is_let_in(limit: Limit, start: float, steps: list[float]) -> None:
    bucket = None
    for now in along(start, steps):
        bucket, wait = take(bucket, limit, now)
        if wait:
            assert take(bucket, limit, now + wait)[1] == pytest.approx(0.0, abs=1e-6)
            if wait > 1e-3:
                assert take(bucket, limit, now + wait / 2)[1] > 0.0, "it was not said too long"


@given(limits, st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=100))
def test_a_clock_that_jumps_gives_no_more_than_it_went_forward(limit: Limit, moments: list[float]) -> None:
    forward = sum(max(0.0, after - before) for before, after in itertools.pairwise(moments))
    assert sum(admitted(limit, moments)) <= limit.burst + forward * limit.per_second + 1e-3


@given(limits, st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_clock_that_goes_back_locks_nobody_out(limit: Limit, before: float, back: float) -> None:
    empty = Bucket(0.0, before)
    bucket, wait = take(empty, limit, before - back)
    assert wait == pytest.approx(1 / limit.per_second)
    assert not take(bucket, limit, before - back + 2 * wait + 1e-6)[1]


def test_a_burst_then_the_rate() -> None:
    limit = Limit(rate=60, per_s=60, burst=3)
    assert admitted(limit, [0, 0, 0, 0, 0.5, 1.0, 1.5, 2.0]) == [True, True, True, False, False, True, False, True]


def test_another_limit_takes_the_bucket_over() -> None:
    full = Bucket(100.0, 0.0)
    assert admitted(Limit(1, 1, 2), [0.0]) == [True]
    assert take(full, Limit(1, 1, 2), 0.0)[0].tokens == 1.0
    assert math.isclose(take(Bucket(0.0, 0.0), Limit(2, 1, 2), 0.25)[1], 0.25)


@pytest.mark.parametrize(("text", "read"), [("10/s", (10, 1)), ("100/m", (100, 60)), ("1/h", (1, 3600))])
def test_rates(text: str, read: tuple[int, int]) -> None:
    assert rate(text) == read


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "10/d", "10 /s", "1000001/h", "٣/s", "10/s\n"])
def test_what_is_no_rate_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate such as"):
        rate(text)


def test_a_limit_in_words() -> None:
    assert str(Limit(100, 60, 100)) == "100/m for each user"
    assert str(Limit(5, 1, 20, "address", True)) == "5/s for each address, 20 at once, shared"
