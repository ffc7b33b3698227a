"""Real processes: readiness, last lines, and that nothing is left."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.child import Child, Process, wait_gone
from deploy.local.errors import CannotStart
from deploy.local.readiness import Says

FAMILY = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("family", child.pid, stranger.pid, flush=True)
signal.pause()
"""


def child_of(tmp_path: Path, code: str) -> Child:
    process = Process(name="one", argv=(sys.executable, "-c", code), env={}, ready=Says("family"))
    return Child(process, tmp_path / "log")


def test_stopping_leaves_no_process_even_when_they_ignore_it(tmp_path: Path) -> None:
    child = child_of(tmp_path, FAMILY)
    child.start()
    child.wait_ready()
    family = [psutil.Process(pid) for pid in (child.pid, *map(int, child.last_lines()[-1].split()[1:]))]
    assert len(wait_gone(family, timeout=0)) == 3
    child.stop(timeout=0.2)
    assert not wait_gone(family, timeout=0)
    assert child.ending() == "was killed by SIGKILL"


def test_a_child_that_ends_before_it_is_ready_is_named_with_its_last_lines(tmp_path: Path) -> None:
    child = child_of(tmp_path, "print('no such thing'); raise SystemExit(3)")
    child.start()
    with pytest.raises(CannotStart, match=r"one ended with 3 before it was ready\. Its last lines:\n  no such thing"):
        child.wait_ready()


def test_a_child_that_never_gets_ready_is_named(tmp_path: Path) -> None:
    child = child_of(tmp_path, "import signal; signal.pause()")
    child.start()
    with pytest.raises(CannotStart, match="one was not ready after 0 s and said nothing"):
        child.wait_ready(timeout=0.1)
    child.kill()
    assert child.ending() == f"was killed by {signal.SIGKILL.name}"


def test_a_missing_program_is_one_sentence(tmp_path: Path) -> None:
    child = Child(Process(name="one", argv=("/does/not/exist",), env={}, ready=Says("x")), tmp_path / "log")
    with pytest.raises(CannotStart, match="one can't be started: .*No such file"):
        child.start()
