"""The table in force: loaded from a file, taken from the control plane, written back for the next start."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

from strangler.domain.table import RouteTable, TableError, compile
from strangler_proxy.access_log import event
from strangler_proxy.metrics import Metrics


def parse(text: str | bytes) -> RouteTable:
    """Raises ``TableError``, for text that is not JSON too."""
    try:
        return compile(json.loads(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError("", f"is not JSON: {error}") from error


def load(path: Path) -> RouteTable | None:
    """The table of a file; None if there is no such file. Raises ``TableError`` or ``OSError``."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse(text)


def store(path: Path, text: str) -> None:
    """Writes beside the file, flushes, then renames: a reader finds the old table or the new one, never half of one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class Tables:
    """``current`` is swapped in one assignment; ``applied`` then hears of it. ``error`` says why the last one was refused."""

    def __init__(self, *, disk: Path | None, applied: Callable[[RouteTable], None], metrics: Metrics) -> None:
        self.current: RouteTable | None = None
        self.error = ""
        self._disk, self._applied, self._metrics = disk, applied, metrics
        self._waiting: set[asyncio.Future[None]] = set()
        self._stored: asyncio.Future[None] | None = None
        self.applied_at = 0.0

    def offer(self, text: str | bytes, *, keep: bool) -> bool:
        """Applies a newer table; ignores an older or equal one (P21); refuses an invalid one whole. ``keep``: also on disk."""
        try:
            table = parse(text)
        except TableError as error:
            if self.error != str(error):
                event("table.refused", reason=error)
            self.error = str(error)
            self._metrics.tables.add("refused")
            return False
        self.error = ""
        if not table.supersedes(self.current):
            self._metrics.tables.add("ignored")
            return False
        self.apply(table)
        if keep and self._disk is not None:
            self._store(self._disk)
        return True

    def apply(self, table: RouteTable) -> None:
        self.current = table
        self.applied_at = asyncio.get_running_loop().time()
        self._metrics.tables.add("applied")
        event("table.applied", generation=table.generation, version=table.version)
        self._applied(table)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _store(self, disk: Path) -> None:
        """Off the loop, one at a time; when one is under way the newest follows it."""
        if self._stored is not None and not self._stored.done():
            return
        table = self.current
        assert table is not None
        loop = asyncio.get_running_loop()
        self._stored = loop.run_in_executor(None, store, disk, json.dumps(table.snapshot))
        self._stored.add_done_callback(lambda done: self._was_stored(done, disk, table))

    def _was_stored(self, done: asyncio.Future[None], disk: Path, table: RouteTable) -> None:
        if done.cancelled():
            return
        if done.exception() is not None:
            event("table.not_stored", file=disk, reason=done.exception())
        elif self.current is not table:
            self._store(disk)

    async def stored(self) -> None:
        """Waits until the disk has what was applied; at the end of the process."""
        while self._stored is not None and not self._stored.done():
            await asyncio.wait([self._stored])

    async def changed(self, since: RouteTable | None, within: float) -> bool:
        """Waits until another table than ``since`` is in force, or the time is over (False)."""
        if self.current is not since:
            return True
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(within):
                await waiting
            return True
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
