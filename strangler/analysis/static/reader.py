"""A process that reads files: how it is started and asked, and what runs in it. Both speak pickles over its standard streams."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from typing import Any

from strangler.analysis.static.names import Exports
from strangler.analysis.static.source import Project
from strangler.analysis.static.walk import Detectors, Files, Part, look_at

# Isolated: no file of the project can take the place of one of Python's own.
START = "import sys; sys.path += sys.argv[1:]; from strangler.analysis.static.reader import serve; serve()"
# Memory of one tree is kept for the next: glibc would give it back to the system and ask for it again, page by page.
KEPT = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_TOP_PAD_": "16777216"}
BROKEN = (OSError, EOFError, ValueError, pickle.UnpicklingError)
PROTOCOL = pickle.HIGHEST_PROTOCOL


class Died(Exception):
    """The process ended before it answered."""


class Unstartable(Exception):
    """No process can be started here that knows this package."""


class Reader:
    """One process, started when it is first asked and anew after it died. Asked by one thread at a time."""

    def __init__(self, project: Project, detectors: Detectors) -> None:
        self.project = project
        self._opening = pickle.dumps((project, tuple(detectors)), PROTOCOL)
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def read(self, batch: Files) -> Part:
        """Raises ``Died``, ``Unstartable``, and what went wrong in the process."""
        process = self._process or self._start()
        try:
            _send(process, pickle.dumps(batch, PROTOCOL))
            answer: Part | Exception = _answer(process)
        except BROKEN as error:
            self._end()
            raise Died(f"the process that read it ended with {process.returncode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """For good: whoever asks it now is told that it died."""
        self._closed = True
        self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise Died("the reading was stopped")
        command = [sys.executable, "-I", "-c", START, *(path for path in sys.path if path)]
        try:
            process = subprocess.Popen(
                command, env=KEPT | os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise Unstartable(str(error)) from error
        self._process = process
        try:
            _send(process, self._opening)
            _answer(process)
        except BROKEN as error:
            self._end()
            raise Unstartable(f"it ended with {process.returncode}") from error
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass  # what was left to be written went with it


def _send(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin
    process.stdin.write(message)
    process.stdin.flush()


def _answer(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout
    return pickle.load(process.stdout)


def serve() -> None:
    """Until its standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not get between the answers
    questions: Any = sys.stdin.buffer
    project, detectors = pickle.load(questions)
    exports = Exports(project.files)
    pickle.dump(True, answers, PROTOCOL)
    answers.flush()
    gc.disable()  # a tree holds no cycles
    gc.freeze()
    while True:
        try:
            batch = pickle.load(questions)
        except EOFError:
            return
        try:
            answer: Part | Exception = look_at(project, batch, detectors, exports)
        except Exception as error:
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers, PROTOCOL)
        answers.flush()
        gc.collect()
