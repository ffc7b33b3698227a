"""No call leaves a rehearsal: a payment provider that is asked again may charge again.

Python's own audit events are raised upon, in the rehearsal's context: of a socket that connects, and of ``http.client`` that
sends, also over a connection which was kept alive. What does not go through them is not seen: the database's driver, which may
call, and C libraries with clients of their own, which should not.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_calls: ContextVar[list[str] | None] = ContextVar("strangler_rehearsal_calls", default=None)
_hooked = False


class CallRefused(ConnectionRefusedError):
    """A rehearsal makes no calls."""


@contextlib.contextmanager
def refused() -> Iterator[list[str]]:
    """Gives where to it was tried to connect, to be looked at afterwards."""
    _hook()
    tried: list[str] = []
    token = _calls.set(tried)
    try:
        yield tried
    finally:
        _calls.reset(token)


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """For what only reads: a cache."""
    token = _calls.set(None)
    try:
        yield
    finally:
        _calls.reset(token)


def _hook() -> None:
    """Once in a process: an audit hook can't be taken away again."""
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "http.client.send"):
        return
    tried = _calls.get()
    if tried is not None:
        tried.append(_where(event, arguments))
        raise CallRefused(f"a rehearsal makes no calls: {tried[-1]}")


def _where(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "http.client.send":
        return f"{arguments[0].host}:{arguments[0].port}"
    address = arguments[1]
    return ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)
