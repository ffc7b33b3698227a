"""Who types the ``strangler`` commands: each runs in a process of its own, forked from one that has started Python and Django.

At a real site that start takes the time of the operator's machine; here it would take a good part of what the estate has.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[3]


class CommandFailed(Exception):
    """A ``strangler`` command did not end with 0; the message is what it said."""


class Operator:
    """``with Operator(env) as operator: operator.run("advance", "payments", …)``; ``env`` is that of the monolith."""

    def __init__(self, env: Mapping[str, str], patience_s: float = 120.0) -> None:
        self._env, self._patience_s = dict(env), patience_s

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "deploy.local.demo.operator"]
        self._process = subprocess.Popen(argv, cwd=ROOT, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        if kind is not None:
            self._process.terminate()
        self._process.wait()

    def run(self, *words: str) -> dict[str, object]:
        """The answer of ``strangler WORDS --json``. Raises ``CommandFailed``."""
        command = f"strangler {' '.join(words)}"
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([*words, "--json"]) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], self._patience_s)[0]:
            raise CommandFailed(f"{command} gave no answer in {self._patience_s:g} s")
        line = stdout.readline()
        if not line:
            raise CommandFailed(f"{command}: the operator's process has ended")
        code, out, err = json.loads(line)
        if code:
            raise CommandFailed(f"{command}: {(err or out).strip()[-2000:]}")
        return dict(json.loads(out))


def serve() -> None:
    """Commands on standard input, a JSON list of words a line; ``[code, output, errors]`` of each on standard output."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")
    django.setup()
    from strangler.management import cli

    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            pid = os.fork()
            if pid == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.exit(cli.run(json.loads(line), prog="strangler"))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read())
        print(json.dumps([code, *said]), flush=True)


if __name__ == "__main__":
    try:
        serve()
    except KeyboardInterrupt:
        sys.exit(130)
