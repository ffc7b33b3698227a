"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels until all have ended; how is not asked.

    Once is not enough: ``asyncio.wait_for`` of Python 3.11, on which redis-py stands, loses a cancellation that comes together
    with the result, and a loop around it goes on for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN)
        await asyncio.gather(*done, return_exceptions=True)  # nobody else asks what became of them
