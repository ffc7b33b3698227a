"""Connecting to one of several addresses: the next is tried when one fails, or says nothing for a moment (RFC 8305)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_STAGGER = 0.25


async def first(addresses: Sequence[str], connect: Callable[[str], Coroutine[Any, Any, T]], discard: Callable[[T], None]) -> T:
    """The first connection that stands; later ones are given to ``discard``. Raises the last ``OSError`` if none does."""
    if len(addresses) == 1:
        return await connect(addresses[0])
    left, running = list(addresses), set[asyncio.Task[T]]()
    failure = OSError("there is no address")
    try:
        while left or running:
            if left:
                running.add(asyncio.ensure_future(connect(left.pop(0))))
            done, running = await asyncio.wait(running, timeout=_STAGGER if left else None, return_when=asyncio.FIRST_COMPLETED)
            standing = [task.result() for task in done if task.exception() is None]
            for spare in standing[1:]:
                discard(spare)
            if standing:
                return standing[0]
            for task in done:
                error = task.exception()
                assert error is not None
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for task in running:
            task.add_done_callback(lambda late: None if late.cancelled() or late.exception() else discard(late.result()))
            task.cancel()
