"""How far a long look is, and how long it will take: one line on the error stream that overwrites itself."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

EVERY_S = 0.1
WORDS = {"static": "reading the source", "live": "asking Django and the database", "runtime": "reading what was recorded"}


class Telling:
    """Says nothing where the stream is no terminal, or ``quiet``; leaves no line behind."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._shown = stream.isatty() and not quiet
        self._part, self._began, self._last, self._wide = "", 0.0, 0.0, 0

    def told(self, part: str, done: int, whole: int) -> None:
        now = time.monotonic()
        if part != self._part:
            self._part, self._began, self._last = part, now, 0.0
        if self._shown and (now - self._last >= EVERY_S or done == whole):
            self._last = now
            self._write(line(part, done, whole, now - self._began))

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text.ljust(self._wide)}")
        self._stream.flush()
        self._wide = len(text)

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._wide:
            self._stream.write(f"\r{' ' * self._wide}\r")
            self._stream.flush()


def line(part: str, done: int, whole: int, seconds: float) -> str:
    """``reading the source: 120 of 400 files, 3 s left``; what is left only after a while, when it means something."""
    said = WORDS.get(part, part)
    if not whole:
        return f"{said} …"
    left = f", {seconds / done * (whole - done):.0f} s left" if done and seconds >= 0.5 and done < whole else ""
    return f"{said}: {done:,} of {whole:,} files{left}"
