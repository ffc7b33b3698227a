"""The supervisor with a child that is quick to start; whole estates are started by tests/e2e and tests/faults."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.child import Child, Process
from deploy.local.readiness import Says
from deploy.local.supervisor import Estate, clear

WAITS = "import signal; print('one is ready', flush=True); signal.pause()"


class Spoken(Estate):
    """An estate that remembers what it says."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir=state_dir, ports="free", quiet=True)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Spoken]:
    supervised = Spoken(tmp_path)
    child = Child(Process("one", (sys.executable, "-c", WAITS), {}, Says("ready")), supervised.log_dir)
    supervised.children["one"] = child
    child.start()
    child.wait_ready()
    yield supervised
    child.stop()


def test_a_child_that_dies_is_named_with_its_last_lines_and_started_again(estate: Spoken) -> None:
    stopped = threading.Event()
    thread = threading.Thread(target=estate.supervise, args=[stopped])
    thread.start()
    first = estate.pid("one")
    os.kill(first, signal.SIGKILL)
    until(lambda: estate.pid("one") != first and estate.running("one"))
    stopped.set()
    thread.join()
    assert estate.said == [
        f"✗ one (pid {first}) was killed by SIGKILL; starting it again in 0.5 s. Its last lines:",
        "    one is ready",
    ]


def test_what_a_test_kills_stays_dead_until_it_is_restarted(estate: Spoken) -> None:
    first = estate.pid("one")
    estate.kill("one")
    assert not estate.running("one")
    estate.restart("one")
    assert estate.running("one")
    assert estate.pid("one") != first


def test_an_unknown_name_is_told_the_known_ones(estate: Spoken) -> None:
    with pytest.raises(LookupError, match="nobody is no process of this estate; it has one"):
        estate.kill("nobody")


def test_clearing_removes_everything(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    (state_dir / "log").mkdir(parents=True)
    clear(state_dir)
    assert not state_dir.exists()
    clear(state_dir)
