"""How long a unit of work may still take: set where time is short, heeded at every socket and lock below.

While writes are parked a service that hangs must not hold them for as long as a call may take at other times (``max_pause_ms``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float | None] = ContextVar("strangler_deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is called inside has so long, or as long as an outer bound leaves. Threads need ``contextvars.copy_context``."""
    outer = _end.get()
    mine = time.monotonic() + seconds
    token = _end.set(mine if outer is None else min(mine, outer))
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float | None:
    """Seconds, not below 0; None where nothing bounds."""
    end = _end.get()
    return None if end is None else max(0.0, end - time.monotonic())


def cap(seconds: float, *, least: float = 0.001) -> float:
    """``seconds``, or what is left if that is less; at least ``least``, because 0 stands for no limit in many places."""
    bound = left()
    return seconds if bound is None else max(least, min(seconds, bound))
