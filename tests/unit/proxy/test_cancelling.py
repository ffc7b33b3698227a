from __future__ import annotations

import asyncio
import contextlib

from strangler_proxy import cancelling


def test_a_task_that_loses_its_first_cancellations_ends_all_the_same() -> None:
    lost: list[int] = []

    async def stubborn() -> None:
        while len(lost) < 2:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            lost.append(1)
        await asyncio.Event().wait()

    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("on its way out")

    async def run() -> None:
        tasks = [asyncio.create_task(one()) for one in (stubborn, failing)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await cancelling.end(tasks)
        assert [task.done() for task in tasks] == [True, True]
        await cancelling.end([])

    asyncio.run(run())
    assert lost == [1, 1]
