"""Whether this unit of work is a rehearsal of a write: it runs as if this side were the owner, and nothing of it stays.

What looks: claims (they are local), ``replica.quiet`` (it holds everything back), and the caches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

ORIGIN = "rehearsal:"
"""How the origin of a rehearsal's transaction begins. The fence lets an origin pass; no transaction with this one commits."""
_context: ContextVar[str] = ContextVar("strangler_rehearsing", default="")


def of(context: str) -> bool:
    """Is this a rehearsal of a write of the context?"""
    return _context.get() == context != ""


def here() -> bool:
    return _context.get() != ""


@contextlib.contextmanager
def begin(context: str) -> Iterator[None]:
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)
