"""When a child that died is started again: after pauses that grow until it has run well for a while."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S, LIMIT_S, WELL_S = 0.5, 30.0, 30.0


def pause(failures: int) -> float:
    """Seconds before the start after ``failures`` deaths in a row (1, 2, …): 0.5, 1, 2, … at most 30."""
    return float(min(LIMIT_S, FIRST_S * 2 ** (failures - 1)))


@dataclass
class Restarts:
    """The deaths of each child and the times at which they are due again; the clock is the caller's (seconds, monotonic)."""

    _failures: dict[str, int] = field(default_factory=dict)
    _started: dict[str, float] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def started(self, name: str, now: float) -> None:
        self._started[name] = now
        self._due.pop(name, None)

    def died(self, name: str, now: float) -> float:
        """Note a death; gives the seconds until the next start."""
        well = now - self._started.get(name, now) >= WELL_S
        self._failures[name] = 1 if well else self._failures.get(name, 0) + 1
        wait = pause(self._failures[name])
        self._due[name] = now + wait
        return wait

    def waiting(self, name: str) -> bool:
        return name in self._due

    def due(self, now: float) -> list[str]:
        """Who is to be started now."""
        return [name for name, at in self._due.items() if at <= now]
