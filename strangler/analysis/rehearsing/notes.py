"""What the processes of a rehearsal note: one JSON object a line, a file a process, each written at once, for any may be killed.

Imports no Django.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 100_000  # lines that are remembered, so that none is written twice


class Notes:
    """Each line once a process, in whichever process it is: one that was forked has a file of its own."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._pid, self._file = 0, -1
        self._known: set[str] = set()

    def add(self, note: str, **told: Any) -> None:
        line = json.dumps({"note": note, **told}, sort_keys=True)
        if line in self._known:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known.add(line)
        os.write(self._descriptor(), f"{line}\n".encode())

    def _descriptor(self) -> int:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._file = os.open(self._directory / f"{self._pid}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._file


def read(directory: Path) -> Iterator[dict[str, Any]]:
    """Those of all processes. A last line that a process that was killed left half written is nobody's."""
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue
