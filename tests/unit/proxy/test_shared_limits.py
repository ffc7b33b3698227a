"""The window that stands for a bucket: as many at once, as many in the long run, in whole seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.ratelimit import Limit
from strangler_proxy.shared_limits import window


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit(100, 60, 100), (100, 60)),
        (Limit(100, 60, 20), (20, 12)),
        (Limit(10, 1, 5), (10, 1)),
        (Limit(1, 3600, 1), (1, 3600)),
        (Limit(7, 60, 3), (3, 26)),
        (Limit(10, 1, 600), (600, 60)),
    ],
)
def test_a_window_for_a_burst_at_a_rate(limit: Limit, expected: tuple[int, int]) -> None:
    assert window(limit) == expected


@given(st.builds(Limit, rate=st.integers(1, 10_000), per_s=st.sampled_from([1, 60, 3600]), burst=st.integers(1, 10_000)))
def test_it_never_admits_more_than_the_rate(limit: Limit) -> None:
    most, seconds = window(limit)
    assert most >= 1
    assert most / seconds <= limit.per_second * (1 + 1e-6)
    assert most >= limit.burst or seconds * limit.per_second < limit.burst + 1
