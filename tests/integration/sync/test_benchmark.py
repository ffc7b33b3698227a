"""The benchmark runs: its servers, worker, service and writers, for a moment. What it finds here says nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SMOKE = """
import json
from dataclasses import asdict
from tests.benchmarks.bench_sync import CPU, measure
print(json.dumps({"figures": [asdict(figure) for figure in measure(["--smoke"])], "cpu": CPU}))
"""


@pytest.mark.timeout(400)  # it starts two servers, three kinds of process and a writer, twice
def test_the_benchmark_of_the_engine_runs_and_gives_its_figures():
    done = subprocess.run([sys.executable, "-c", SMOKE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    figures = {figure["name"]: figure["ours"] for figure in said["figures"]}
    assert figures["sustained relay"] > 0
    assert figures["backfill"] > 0
    assert 0 < figures["lag p50 meanwhile"] <= figures["lag p99 meanwhile"] <= figures["longest lag meanwhile"]
    for part in ("relay", "backfill"):
        assert {"source, reading", "destination", "worker", "gunicorn", "writer"} <= said["cpu"][part].keys()
