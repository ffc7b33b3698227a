"""Connections are counted right, whatever becomes of those who wanted them."""

from __future__ import annotations

import asyncio
import contextlib

import uvloop

from strangler_proxy.pool import Target
from strangler_proxy.settings import Limits


async def _given_up_after(steps: int, target: Target) -> None:
    """Wants a connection, and gives up after so many turns of the loop."""
    wanting = asyncio.create_task(target.acquire(fresh=True))
    for _ in range(steps):
        await asyncio.sleep(0)
    wanting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        (await wanting).close()


def test_a_connection_whose_making_is_cancelled_at_any_moment_is_not_counted_for_ever() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        target = Target(f"http://{host}:{port}", Limits(), loop, lambda: None, lambda url, why: None)  # type: ignore[arg-type, return-value]
        for steps in [*range(12)] * 20:
            await _given_up_after(steps, target)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while target.open:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        server.close()
        return target.open

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == 0
