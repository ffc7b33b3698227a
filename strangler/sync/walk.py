"""A collection's rows in slices, for whoever asks next, and the threads that ask."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator

from django.db import connections

from strangler.sync import digest
from strangler.sync.collections import Collection
from strangler.sync.database import port, snapshot
from strangler.sync.digest import Range

SLICE = 25_000  # rows that are digested at once


class Walk:
    """The slices of a collection, each to whoever asks next; every thread reads on a connection of its own."""

    def __init__(self, collection: Collection, using: str | None) -> None:
        self.collection, self.using = collection, using
        self._low: str | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Range]:
        while True:
            with self._lock:
                if self._is_over:
                    return
                low = self._low
                with snapshot(self.using) as cursor:
                    self._low = digest.key_after(cursor, self.collection, Range(low), SLICE)
                self._is_over = self._low is None
                part = Range(low, self._low)
            yield part

    def end(self) -> None:
        """Nobody gets a slice any more."""
        self._is_over = True

    def slices(self, at_most: int) -> int:
        """How many there will be about, at least one and not more than asked for."""
        return max(1, min(at_most, estimate(self.collection, self.using) // SLICE))


def estimate(collection: Collection, using: str | None) -> int:
    """Rows as the planner knows them, partitions included; 0 where nothing was analysed yet."""
    return port(using).estimate(collection)


def abreast(work: Callable[[], None], count: int, on_failure: Callable[[], None]) -> None:
    """Runs ``work`` in this thread and in ``count - 1`` others; raises the first error when all have ended.

    Each thread has database connections of its own, and the others close theirs.
    """
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
            on_failure()

    def beside() -> None:
        try:
            guarded()
        finally:
            connections.close_all()

    others = [threading.Thread(target=contextvars.copy_context().run, args=(beside,), daemon=True) for _ in range(count - 1)]
    for thread in others:
        thread.start()
    guarded()
    for thread in others:
        thread.join()
    if failed:
        raise failed[0]
