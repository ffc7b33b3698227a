"""The access log: one JSON line a request, sampled, written by a thread so that a slow reader never slows a request."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import Any, TextIO

_MOST_WAITING = 10_000


def event(name: str, **fields: Any) -> None:
    """A log line about the proxy itself: ``proxy.started listen=127.0.0.1:8000``."""
    words = " ".join(f"{key}={value if ' ' not in str(value) else json.dumps(str(value))}" for key, value in fields.items())
    print(f"proxy.{name} {words}".rstrip(), file=sys.stderr, flush=True)


class AccessLog:
    """``wants`` is asked for each request; ``add`` only appends; the lines leave together, five times a second."""

    interval = 0.2

    def __init__(self, share: float, dropped: Callable[[], None], stream: TextIO | None = None) -> None:
        self._share, self._dropped, self._stream = share, dropped, stream or sys.stdout
        self._lines: list[dict[str, Any]] = []
        self._writing = False
        self._scheduled = False

    def wants(self, status: int) -> bool:
        return status >= 500 or (self._share > 0.0 and random.random() < self._share)

    def add(self, **fields: Any) -> None:
        """Fields of one request. Never a query string, a cookie or a credential: they may be secrets."""
        if len(self._lines) >= _MOST_WAITING:
            self._dropped()
            return
        self._lines.append(fields)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self.interval, self._leave)

    def _leave(self) -> None:
        self._scheduled = False
        if self._writing or not self._lines:
            return
        lines, self._lines = self._lines, []
        self._writing = True
        asyncio.get_running_loop().run_in_executor(None, self._write, lines).add_done_callback(self._written)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        self._stream.write("".join(json.dumps(line) + "\n" for line in lines))
        self._stream.flush()

    def _written(self, done: asyncio.Future[None]) -> None:
        self._writing = False
        if done.exception() is not None:
            self._dropped()
        if self._lines and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self.interval, self._leave)

    def close(self) -> None:
        """Writes what is left; at the end of the process."""
        if self._lines and not self._writing:
            lines, self._lines = self._lines, []
            try:
                self._write(lines)
            except OSError:
                self._dropped()
