"""Seconds of what `make faults` does for a quarter of an hour: another seed each time, which the output names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_some_random_faults_lose_nothing(tmp_path: Path) -> None:
    into = tmp_path / "faults.json"
    words = [sys.executable, "-m", "tests.faults.sync", "--minutes", "0.2", "--every", "0.6", "--into", str(into)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(into.read_text())
    assert found["holds"]
    assert sum(found["faults"].values()) > 3
    assert found["outcomes"]["acknowledged"] > 0
