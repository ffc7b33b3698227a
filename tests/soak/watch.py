"""Memory and file descriptors of the worker that is never killed, over time, and the line through them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import psutil

MEGABYTE = 1024 * 1024


@dataclass
class Curve:
    """Points (seconds, value)."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def after(self, seconds: float) -> Curve:
        return Curve([point for point in self.points if point[0] >= seconds])

    def slope(self) -> float:
        """Value a second, by least squares; 0 for fewer than three points."""
        count = len(self.points)
        if count < 3:
            return 0.0
        middle = sum(at for at, _ in self.points) / count
        mean = sum(value for _, value in self.points) / count
        spread = sum((at - middle) ** 2 for at, _ in self.points)
        return sum((at - middle) * (value - mean) for at, value in self.points) / spread

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]


class Watch:
    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.began = time.monotonic()
        self.memory, self.descriptors = Curve(), Curve()

    def look(self) -> None:
        at = time.monotonic() - self.began
        self.memory.points.append((at, self._process.memory_info().rss / MEGABYTE))
        self.descriptors.points.append((at, float(self._process.num_fds())))

    async def run(self, every: float) -> None:
        while True:
            self.look()
            await asyncio.sleep(every)
