"""Where somebody types commands of the monolith's ``manage.py``: each runs in a process of its own, forked from one that has
started Python and Django.

At a real site that start takes the time of the operator's machine; here it would take a good part of what the estate has.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from deploy.local.place import ROOT


class Command:
    """One that was begun, with the face of ``subprocess.Popen``: ``pid`` is that of the command's own process."""

    def __init__(self, connection: Connection, words: tuple[str, ...]) -> None:
        self.words = words
        self.returncode: int | None = None
        self._connection, self._said = connection, ("", "")
        connection.send(words)
        self.pid: int = connection.recv()

    def poll(self) -> int | None:
        """Its exit code, negative after a signal; None while it runs."""
        self._look(0)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it printed, and its errors, when it has ended. Raises ``subprocess.TimeoutExpired`` after ``timeout`` seconds."""
        if not self._look(timeout):
            raise subprocess.TimeoutExpired(self.words, timeout)
        return self._said

    def _look(self, timeout: float) -> bool:
        if self.returncode is None and self._connection.poll(timeout):
            self.returncode, *said = self._connection.recv()
            self._said = (said[0], said[1])
        return self.returncode is not None


class Terminal:
    """``with Terminal(env) as terminal: terminal.begin("strangler", "status")``, one command at a time; ``env`` is that of the
    monolith.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._last: Command | None = None
        self._connection, theirs = Pipe()
        with theirs:
            argv = [sys.executable, "-m", "deploy.local.terminal", str(theirs.fileno())]
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        return self._last is not None and self._last.poll() is None

    def begin(self, *words: str) -> Command:
        """``manage.py WORDS``. Raises ``EOFError`` or ``OSError`` when the terminal has gone."""
        self._last = Command(self._connection, words)
        return self._last

    def close(self) -> None:
        """A command that is under way goes on, unheard."""
        self._connection.close()
        self._process.terminate()
        self._process.wait()


def serve(connection: Connection) -> None:
    """Takes a command's words; gives its process id when it has begun and exit code, output and errors when it has ended."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")
    django.setup()
    from django.urls import get_resolver

    from strangler.management import cli

    cli.build_parser()  # these two import what every command would import
    get_resolver().url_patterns  # noqa: B018
    gc.freeze()  # a collection writes on every object, and what is written on is no longer shared with the command's process
    while True:
        words = connection.recv()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            process = get_context("fork").Process(target=_run, args=(words, out.fileno(), errors.fileno()))
            process.start()
            connection.send(process.pid)
            process.join()
            said = []
            for file in (out, errors):
                file.seek(0)
                said.append(file.read())
        connection.send((process.exitcode, *said))


def _run(words: tuple[str, ...], out: int, errors: int) -> None:
    from django.core.management import execute_from_command_line

    os.dup2(out, 1)
    os.dup2(errors, 2)
    execute_from_command_line(["manage.py", *words])


if __name__ == "__main__":
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, KeyboardInterrupt):
        sys.exit(130)
