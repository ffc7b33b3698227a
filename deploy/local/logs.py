"""The children's log files, followed together and printed with the child's name before each line."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
INTERVAL = 0.1


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Only on a terminal, and never against ``NO_COLOR`` (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Follower:
    """Prints what is appended to the watched files, by whole lines, until ``stop``."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._colour = wants_colour(self._out, os.environ)
        self._files: dict[str, tuple[Path, int]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, name: str, path: Path) -> None:
        """From the file's present end on."""
        with self._lock:
            self._files.setdefault(name, (path, path.stat().st_size if path.exists() else 0))

    def stop(self) -> None:
        """Print what is still unread, then end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        print(f"\033[1m{text}\033[0m" if self._colour else text, file=self._out, flush=True)

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._print_new()
        self._print_new()

    def _print_new(self) -> None:
        with self._lock:
            width = max((len(name) for name in self._files), default=0)
            for index, (name, (path, position)) in enumerate(self._files.items()):
                lines, end = _read_lines(path, position)
                self._files[name] = (path, end)
                for line in lines:
                    print(self._prefixed(index, name.ljust(width), line), file=self._out)
        self._out.flush()

    def _prefixed(self, index: int, name: str, line: str) -> str:
        if not self._colour:
            return f"{name} | {line}"
        return f"\033[{COLOURS[index % len(COLOURS)]}m{name} |\033[0m {line}"


def _read_lines(path: Path, position: int) -> tuple[list[str], int]:
    """The whole lines after ``position`` and where they end. A file that became shorter is read from its beginning."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(position if position <= size else 0)
            data = file.read()
            start = file.tell() - len(data)
    except OSError:
        return [], position
    whole = data.rfind(b"\n") + 1
    return data[:whole].decode(errors="replace").splitlines(), start + whole
