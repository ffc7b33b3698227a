"""Lengths of time, as written and as said."""

from __future__ import annotations

import pytest

from strangler.domain.durations import about, seconds, span


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("1.5h", 5400), ("1d", 86400)])
def test_what_is_written_is_read(text: str, value: float) -> None:
    assert seconds(text) == value


def test_a_duration_without_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds("10")


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (119, "1 min"),
        (600, "10 min"),
        (5400, "1.5 h"),
        (604_800, "7 d"),
        (2_000 * 86_400, "2,000 d"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(length: float, text: str) -> None:
    assert span(length) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [(0.2, "1 s"), (59, "59 s"), (80, "80 s"), (240, "4 min"), (7200, "2 h"), (86_400, "24 h"), (200_000, "2 d")],
)
def test_about_is_told_in_whole_units(length: float, text: str) -> None:
    assert about(length) == text
