"""Intervals hold what they claim, and move with what was counted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import confidence

counts = st.integers(0, 300).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
BOUNDS = (0.01, 0.05, 0.1, 0.5)
histogram = st.lists(st.integers(0, 50), min_size=5, max_size=5)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_a_share_has_wilsons_interval(hits: int, of: int, low: float, high: float) -> None:
    """81 of 263: Newcombe 1998, table I."""
    assert confidence.share(hits, of, z=1.96) == pytest.approx((low, high), abs=5e-5)


@given(counts)
def test_a_share_lies_within_its_bounds(seen: tuple[int, int]) -> None:
    count, of = seen
    low, high = confidence.share(count, of)
    assert 0 <= low <= high <= 1
    assert of == 0 or low - 1e-9 <= count / of <= high + 1e-9


@pytest.mark.parametrize(("true", "of"), [(0.01, 500), (0.05, 200), (0.3, 40)])
def test_the_true_share_is_below_the_lower_bound_in_few_cases(true: float, of: int) -> None:
    chance = random.Random(7)
    wrong = sum(confidence.share(sum(chance.random() < true for _ in range(of)), of)[0] > true for _ in range(2000))
    assert wrong <= 50, "1 % by design, Wilson's is a little off for rare events"


@given(counts, counts)
def test_one_more_error_never_lowers_the_excess(service: tuple[int, int], monolith: tuple[int, int]) -> None:
    count, of = service
    if count < of:
        assert confidence.excess(count, of, *monolith)[0] <= confidence.excess(count + 1, of, *monolith)[0] + 1e-9


def test_two_equally_bad_sides_are_told_apart_in_few_cases() -> None:
    chance = random.Random(11)

    def drawn(of: int) -> int:
        return sum(chance.random() < 0.1 for _ in range(of))

    wrong = sum(confidence.excess(drawn(200), 200, drawn(100), 100)[0] > 0 for _ in range(2000))
    assert wrong <= 50, "1 % by design; against a base taken for certain it is ten times as many"


@given(counts)
def test_a_side_does_not_exceed_itself(seen: tuple[int, int]) -> None:
    if seen[1]:
        low, high = confidence.excess(*seen, *seen)
        assert low <= 0 <= high


@given(histogram, st.floats(0.01, 0.99))
def test_a_quantile_lies_within_its_bounds_and_within_the_histogram(found: list[int], q: float) -> None:
    low, high = confidence.quantile_bounds(found, BOUNDS, q)
    assert 0 <= low <= confidence.quantile(found, BOUNDS, q) <= high <= BOUNDS[-1]


def test_a_quantile_is_read_linearly_within_its_class() -> None:
    assert confidence.quantile((0, 100, 0, 0, 0), BOUNDS, 0.5) == pytest.approx(0.03)
    assert confidence.quantile((0, 0, 0, 0, 9), BOUNDS, 0.5) == 0.5
    assert confidence.quantile((), (), 0.5) == 0
