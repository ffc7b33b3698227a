"""`make up` as its user meets it: a process of its own, ended by Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from deploy.local.child import wait_gone
from deploy.local.place import OURS, ROOT
from deploy.local.ports import Ports
from deploy.local.supervisor import clear


class Up:
    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "state"
        self.ports = Ports.free()
        self.output = directory / "output"

    def begin(self, **changed: str) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        env |= {f"{name.upper()}_PORT": str(port) for name, port in asdict(self.ports).items()}
        argv = [sys.executable, "-m", "deploy.local.up", "--state-dir", str(self.state_dir)]
        with self.output.open("wb") as output:
            return subprocess.Popen(argv, cwd=ROOT, env=env | changed, stdout=output, stderr=subprocess.STDOUT)

    def said(self) -> str:
        return self.output.read_text()

    def wait_until_said(self, text: str, process: subprocess.Popen[bytes], seconds: float) -> None:
        end = time.monotonic() + seconds
        while text not in self.said():
            assert process.poll() is None, self.said()[-5000:]
            assert time.monotonic() < end, self.said()[-5000:]
            time.sleep(0.05)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    tmp_path.chmod(0o711)
    prepared = Up(tmp_path)
    yield prepared
    clear(prepared.state_dir)


@pytest.mark.estate
@pytest.mark.timeout(240)
def test_everything_starts_and_control_c_leaves_nothing(up: Up) -> None:
    process = up.begin()
    try:
        up.wait_until_said("Ctrl-C", process, 180)
        said = up.said()
        assert "user0001@example.com" in said
        for name in ("postgres", "valkey", "monolith", "payments", "worker", "payments-worker", "beat", "proxy"):
            assert f"✓ {name} is ready" in said
        with urllib.request.urlopen(f"http://127.0.0.1:{up.ports.proxy}/", timeout=10) as answer:
            assert answer.status == 200
        second = subprocess.run(
            [*process.args[:3], "--state-dir", str(up.state_dir)],  # type: ignore[index,misc]
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert second.stderr == (
            f"make up: the estate already runs here (pid {process.pid}); use that one, or stop it with `kill {process.pid}`\n"
        )
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 10
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        assert time.monotonic() - began < 10
        assert not wait_gone(family, timeout=1)
    finally:
        process.terminate()
        process.wait(15)


def test_a_taken_port_is_one_sentence_and_nothing_is_left(up: Up) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = up.begin(MONOLITH_PORT=str(port))
        assert process.wait(60) == 1
    assert up.said().startswith(f"make up: port {port} for monolith is taken by ")
    assert up.said().endswith("stop that program or set MONOLITH_PORT to a free port\n")
    assert up.said().count("\n") == 1


def test_a_wrong_port_is_misuse(up: Up) -> None:
    process = up.begin(PROXY_PORT="eighty")
    assert process.wait(60) == 2
    assert up.said() == "make up: PROXY_PORT='eighty' is not a port; set it to a number from 1 to 65535\n"


def test_a_database_that_does_not_answer_is_one_sentence(up: Up) -> None:
    url = f"postgres://nobody:nothing@127.0.0.1:{up.ports.postgres}/shop"
    process = up.begin(DATABASE_URL=url, PAYMENTS_DATABASE_URL=url)
    assert process.wait(60) == 1
    assert up.said().startswith("make up: the database of DATABASE_URL doesn't answer (")
    assert "nothing@" not in up.said()
    assert up.said().endswith("start it, or unset DATABASE_URL to use the embedded one\n")
    assert up.said().count("\n") == 1
