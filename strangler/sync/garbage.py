"""The cyclic garbage collector stands still while thousands of small objects are made that all live until the batch is through.

None of them is part of a cycle, so each pass over them is for nothing; it takes two thirds of the time of building a batch.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holders = 0
_was_enabled = False


@contextmanager
def uncollected() -> Iterator[None]:
    """For short stretches without waiting. Several threads may be in it; the collector goes on when the last one has left."""
    global _holders, _was_enabled
    with _lock:
        if not _holders:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if not _holders and _was_enabled:
                gc.enable()
