"""Twenty seconds of what `make soak` does for ten minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_twenty_seconds_of_mixed_traffic_flips_and_kills(tmp_path: Path) -> None:
    into = tmp_path / "soak.json"
    words = [sys.executable, "-m", "tests.soak", "--seconds", "20", "--into", str(into)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(into.read_text())
    assert all(check["holds"] for check in found["checks"])
    assert all(count > 0 for count in found["done"].values())
    assert {one["what"] for one in found["disturbances"]} >= {"worker"}
    assert found["flips"]["live"] > 0
