"""When a figure meets its target."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.figures import Figure, report


@pytest.mark.parametrize(
    ("ours", "bounds", "met"),
    [
        (1.1, {"target": 1.15}, True),
        (1.2, {"target": 1.15}, False),
        (15_000, {"least": 15_000}, True),
        (14_999, {"least": 15_000}, False),
        (0, {}, True),
    ],
)
def test_a_target_bounds_the_ratio_from_above_and_a_least_one_from_below(ours, bounds, met):
    unit = bounds.get("least", 1)
    bounds = bounds and {key: bound / unit for key, bound in bounds.items()}
    assert Figure("a", ours, "limit", unit, "", **bounds).met is met


def test_the_report_says_whether_all_were_met_and_writes_them_down(tmp_path, capsys):
    figures = [Figure("quick", 20_000, "floor", 15_000, "/s", least=1.0), Figure("late", 600, "limit", 500, "ms", 1.0)]
    assert report("some", figures[:1], tmp_path)
    assert not report("some", figures, tmp_path)
    assert "NO" in capsys.readouterr().out
    written = json.loads((tmp_path / "build" / "bench" / "some.json").read_text())
    assert [figure["met"] for figure in written["figures"]] == [True, False]
