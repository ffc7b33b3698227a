"""The guide as a test: every ``console`` block of a page is typed into one shell, in order, and must answer what the page shows.

A plugin (``pytest -p tests.guide docs/guide``). Numbers, ids, times and the width of a column may differ from the page; a line
``…`` stands for any lines, and ``…`` within a line for any text. With ``GUIDE_WRITE=1`` the page is given the real answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

from deploy.local.place import OURS
from deploy.local.ports import Ports

ROOT = Path(__file__).resolve().parents[1]
FOREGROUND = {"make up"}  # what a reader leaves running in another terminal
DONE = "--- done "
UNSURE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "0"),
    (re.compile(r"\bS-[0-9A-Z]{10}\b"), "0"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,40}\b"), "0"),
    (re.compile(r"\d[\d.,]*"), "0"),
    (re.compile(r"[─━-]{2,}"), "─"),
    (re.compile(r"\s+"), " "),
)


class Terminal:
    """A shell that stays, on ports and with databases of its own; the default ports of the pages stand for them."""

    def __init__(self, state: Path) -> None:
        ports, usual = Ports.free(), Ports()
        self.ports = {str(getattr(usual, name)): str(port) for name, port in vars(ports).items()}
        chosen = {f"{name.upper()}_PORT": str(port) for name, port in vars(ports).items()}
        kept = {name: value for name, value in os.environ.items() if name not in (*OURS, "DEBUG")}
        quiet = {"COLUMNS": "160", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
        self.env = {**kept, **chosen, **quiet, "STRANGLER_STATE_DIR": str(state), "USER": "you"}
        self.log = state / "up.out"
        self.running: list[subprocess.Popen[bytes]] = []
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, command: str) -> tuple[str, int]:
        """What it answers, and the status; the next command finds that in ``$?``."""
        assert self.shell.stdin
        assert self.shell.stdout
        self.shell.stdin.write(f"{self._moved(command)}\n__status=$?; printf '\\n{DONE}%s\\n' $__status; (exit $__status)\n")
        self.shell.stdin.flush()
        lines: list[str] = []
        for line in self.shell.stdout:
            if line.startswith(DONE):
                return self._home("".join(lines)).rstrip("\n"), int(line.removeprefix(DONE))
            lines.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(lines)}")

    def leave_running(self, command: str, until: str) -> str:
        """Starts it as in a terminal of its own, and gives what it says up to the line that looks like ``until``."""
        with self.log.open("w") as out:
            words = [sys.executable, "make.py", *command.split()[1:]]
            up = subprocess.Popen(words, cwd=ROOT, env=self.env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        self.running.append(up)
        said: list[str] = []
        tail = subprocess.Popen(["tail", "-n", "+1", "-f", f"--pid={up.pid}", self.log], stdout=subprocess.PIPE, text=True)
        assert tail.stdout
        with tail, tail.stdout as lines:
            for line in lines:
                said.append(self._home(line.rstrip("\n")))
                if likeness(said[-1]) == likeness(until):
                    break
            tail.terminate()
        return "\n".join(said)

    def close(self) -> None:
        for up in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(up.pid, signal.SIGINT)
            up.wait(timeout=30)
        if self.shell.stdin:
            self.shell.stdin.close()
        self.shell.wait(timeout=10)

    def _moved(self, command: str) -> str:
        for usual, port in self.ports.items():
            command = re.sub(rf"\b{usual}\b", port, command)
        return command

    def _home(self, said: str) -> str:
        for usual, port in self.ports.items():
            said = re.sub(rf"\b{port}\b", usual, said)
        return said


@pytest.fixture(scope="session")
def terminal() -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory(prefix="strangler-guide-") as state:
        Path(state).chmod(0o711)
        opened = Terminal(Path(state))
        yield opened
        opened.close()


def likeness(line: str) -> str:
    for pattern, same in UNSURE:
        line = pattern.sub(same, line)
    return line.strip()


def agrees(shown: list[str], said: list[str]) -> bool:
    """Whether ``said`` is what the page shows."""
    if not shown:
        return not said
    if shown[0].strip() == "…":
        return any(agrees(shown[1:], said[skipped:]) for skipped in range(len(said) + 1))
    return bool(said) and _alike(shown[0], said[0]) and agrees(shown[1:], said[1:])


def _alike(shown: str, said: str) -> bool:
    parts = [re.escape(likeness(part)) for part in shown.split("…")]
    return re.fullmatch(r"\s*.*\s*".join(parts), likeness(said)) is not None


def steps(block: str) -> Iterator[tuple[str, list[str]]]:
    """Command and shown answer, for each ``$`` line of a block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        more = next((place for place, line in enumerate(lines[1:], 1) if not line.startswith("> ")), len(lines))
        command = "\n".join([lines[0], *(line.removeprefix("> ") for line in lines[1:more])])
        shown = "\n".join(lines[more:])
        yield command, shown.rstrip("\n").split("\n") if shown.strip() else []


def evaluate(example: Example) -> str | None:
    terminal: Terminal = example.namespace["terminal"]
    written: list[str] = []
    wrong: list[str] = []
    todo = list(steps(str(example.parsed)))
    for place, (command, shown) in enumerate(todo):
        if command in FOREGROUND:
            said, status = terminal.leave_running(command, shown[-1]), 0
        else:
            said, status = terminal.type(command)
        expects_failure = place + 1 < len(todo) and todo[place + 1][0] == "echo $?"
        if status and not expects_failure:
            wrong.append(f"$ {command}\nended with {status}:\n{said}")
        lines = [line.rstrip() for line in said.split("\n")] if said.strip() else []
        if not agrees(shown, lines):
            wrong.append(f"$ {command}\nthe page shows:\n{chr(10).join(shown)}\nit said:\n{said}")
        typed = "\n> ".join(command.split("\n"))
        written.append("\n".join([f"$ {typed}", *(shown if agrees(shown, lines) else lines)]))
    if os.environ.get("GUIDE_WRITE"):
        _write(example, "\n".join(written) + "\n")
        return None
    return "\n\n".join(wrong) or None


def _write(example: Example, block: str) -> None:
    page = Path(example.path)
    text = page.read_text(encoding="utf-8")
    old = f"```console\n{str(example.parsed).rstrip(chr(10))}\n```"
    assert old in text, old
    page.write_text(text.replace(old, f"```console\n{block}```", 1), encoding="utf-8")


class Plugin:
    pytest_collect_file = staticmethod(
        Sybil(
            parsers=[CodeBlockParser(language="console", evaluator=evaluate)],
            pattern="*.md",
            path=str(ROOT / "docs" / "guide"),
            fixtures=["terminal"],
        ).pytest()
    )


def pytest_configure(config: Any) -> None:
    config.pluginmanager.register(Plugin(), "the guide")
