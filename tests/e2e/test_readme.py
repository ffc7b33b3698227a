"""Every command of the README is executed, in its order."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.place import OURS
from deploy.local.ports import Ports
from tests.operator import ROOT

pytestmark = [pytest.mark.estate, pytest.mark.timeout(400)]

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    for line in block.splitlines()
    if line.startswith("$ ")
]
THEIRS = (*OURS, "DEBUG", "JWT_PRIVATE_KEY")  # what the tests' own servers have put into the environment
TARGETS = re.findall(r"^\| `make ([\w-]+)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of both terminals: ports of this test's own, and no server given."""
    ports = Ports.free()
    chosen = {f"{name.upper()}_PORT": str(port) for name, port in vars(ports).items()}
    kept = {name: value for name, value in os.environ.items() if name not in THEIRS}
    state = tmp_path_factory.mktemp("up")
    state.chmod(0o711)
    return {**kept, **chosen, "STRANGLER_STATE_DIR": str(state)}


def make(target: str) -> list[str]:
    return [sys.executable, str(ROOT / "make.py"), target]


def test_the_readme_shows_the_commands_that_are_tested_here() -> None:
    assert COMMANDS[:2] == ["make demo", "make up"]
    assert all(command.startswith(".venv/bin/strangler ") for command in COMMANDS[2:])
    listed = subprocess.run(make("help"), capture_output=True, text=True, check=True).stdout
    assert all(target in listed for target in TARGETS)


def test_make_demo_goes_there_and_back_and_proves_it(shell: dict[str, str]) -> None:
    """With shorter stages, in which moving weighs more. The rate is a share of what the shop carries here by itself."""
    demo = [*make("demo"), "--dwell", "1"]
    done = subprocess.run(demo, cwd=ROOT, env=shell, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_make_up_runs_the_shop_and_the_second_terminal_moves_payments(shell: dict[str, str]) -> None:
    log = Path(shell["STRANGLER_STATE_DIR"]) / "up.out"
    with log.open("w") as out:
        up = subprocess.Popen(make("up"), cwd=ROOT, env=shell, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(up, log, "user0001@example.com")
        for command in COMMANDS[2:]:
            argv = shlex.split(command)
            done = subprocess.run(argv, cwd=ROOT, env=shell, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    finally:
        os.killpg(up.pid, signal.SIGINT)
        ended = up.wait(timeout=20)
    assert ended == 0, log.read_text()[-2000:]


def wait_for(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
    """Until ``text`` stands in the log; follows it line by line, without polling for longer than it takes."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-f", f"--pid={process.pid}", str(log)], stdout=subprocess.PIPE, text=True)
    assert tail.stdout
    with tail, tail.stdout as lines:
        found = any(text in line for line in lines)
        tail.terminate()
    assert found, f"make up ended: {log.read_text()[-3000:]}"
