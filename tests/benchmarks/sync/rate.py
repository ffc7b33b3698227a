"""How much was carried in how long, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Changes acknowledged, in so many seconds; milliseconds of CPU for a thousand of them, by kind of process."""

    changes: int
    seconds: float
    cpu: dict[str, float]

    @property
    def per_second(self) -> float:
        return self.changes / self.seconds
