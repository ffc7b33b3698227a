"""What is killed: applications, and workers of the proxy. Each time it is noted, until it is there again."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from tests.soak.estate import SIDES, Estate, until
from tests.soak.flips import Flips
from tests.soak.journal import Journal


class Faults:
    def __init__(self, estate: Estate, journal: Journal, flips: Flips) -> None:
        self._estate, self._journal, self._flips = estate, journal, flips

    async def restart_applications(self, every: float) -> None:
        while True:
            await asyncio.sleep(random.uniform(0.7, 1.3) * every)
            side = random.choice(SIDES)
            async with self._flips.quiet:
                with self._journal.disturbed(side):
                    await asyncio.to_thread(self._estate.kill_application, side)
                    await asyncio.to_thread(self._estate.start_application, side)

    async def kill_workers(self, every: float) -> None:
        """Always the last one: the first lives through it all, and its memory is watched."""
        while True:
            await asyncio.sleep(random.uniform(0.7, 1.3) * every)
            number = self._estate.workers - 1
            victim = (await asyncio.to_thread(self._estate.pids))[number]
            with self._journal.disturbed("worker"):
                os.kill(victim, signal.SIGKILL)
                await asyncio.to_thread(self._replaced, number, victim)

    def _replaced(self, number: int, victim: int) -> None:
        until(lambda: self._estate.pids().get(number, victim) != victim, f"the replacement of worker {number}")
