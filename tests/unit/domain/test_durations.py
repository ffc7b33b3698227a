"""Lengths of time, as written and as said."""

from __future__ import annotations

import pytest

from strangler.domain.durations import seconds


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("1.5h", 5400), ("1d", 86400)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


def test_a_duration_without_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds("10")
