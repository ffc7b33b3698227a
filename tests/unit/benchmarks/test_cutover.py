"""What the benchmark of hand-overs makes of receipts and of what the traffic was told."""

from __future__ import annotations

import pytest

from deploy.local.demo.journal import Journal
from tests.benchmarks import bench_cutover
from tests.benchmarks.bench_cutover import STEPS, figures, percentile


def receipt(pause_ms: float | None, outcome: str = "done") -> dict:
    return {"pause_ms": pause_ms, "outcome": outcome, "steps_ms": {**dict.fromkeys(STEPS, 7.0), "gates": 900.0}}


def test_pauses_of_attempts_that_were_undone_count_and_refusals_do_not(capsys) -> None:
    journal = Journal()
    journal.enter("measured")
    for _ in range(20):
        journal.answered("x", 5.0, payment_write=True)
    journal.failed("POST /pay", "503")
    made = [*(receipt(100.0) for _ in range(3)), receipt(400.0, "undone"), receipt(None, "refused")]
    found = {figure.name: figure for figure in figures(made, journal, 2.0)}
    assert (found["write pause, p99"].ours, found["write pause, p99"].met) == (400.0, False)
    assert (found["requests failed, + 1"].ours, found["requests failed, + 1"].met) == (2.0, False)
    assert (found["requests"].ours, found["requests"].met) == (10.5, False)
    assert found["step fence, median"].ours == 7.0
    out = capsys.readouterr().out
    assert "3 hand-overs in 2 s, 1 attempts undid themselves" in out
    assert "failed: POST /pay: 503" in out


def test_percentiles_are_of_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 61)]
    assert (percentile(values, 0.99), percentile(values, 0.5), percentile([3.0], 0.99)) == (60.0, 30.0, 3.0)


def test_nothing_done_is_no_figure() -> None:
    with pytest.raises(SystemExit, match="no hand-over went through"):
        figures([receipt(300.0, "undone")], Journal(), 1.0)


def test_a_smoke_is_short() -> None:
    options = bench_cutover._options(["--smoke"])
    assert (options.pairs, options.rate) == (2, 15.0)
