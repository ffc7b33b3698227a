"""Commands that are forked from one process end and are killed as if each had been started by itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from deploy.local.terminal import Terminal

WAIT = "import time; time.sleep(600)"


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    with Terminal(os.environ) as opened:
        yield opened


def test_what_a_command_says_and_how_it_ends(terminal: Terminal) -> None:
    asked = terminal.begin("strangler", "status", "nothing-of-this-name")
    said, errors = asked.communicate(60)
    assert (asked.returncode, said) == (2, ""), errors
    assert "nothing-of-this-name" in errors
    failing = terminal.begin("shell", "-v", "0", "-c", "print('so far'); 1/0")
    said, errors = failing.communicate(60)
    assert (failing.returncode, said) == (1, "so far\n")
    assert "ZeroDivisionError" in errors


def test_a_command_is_a_process_of_its_own_that_kill_nine_ends(terminal: Terminal) -> None:
    waiting = terminal.begin("shell", "-v", "0", "-c", WAIT)
    assert waiting.poll() is None
    assert terminal.busy
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.communicate(0)
    os.kill(waiting.pid, signal.SIGKILL)
    waiting.communicate(60)
    assert waiting.returncode == -signal.SIGKILL
    assert not terminal.busy
    assert terminal.begin("shell", "-v", "0", "-c", "print(1)").communicate(60) == ("1\n", "")
