"""The stages of a context's migration, and who reads and writes where in each (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """A side of the estate. As an owner it may also be ``none``, for the moment of a hand-over."""

    MONOLITH = "monolith"
    SERVICE = "service"
    NONE = "none"

    @property
    def other(self) -> Side:
        return {Side.MONOLITH: Side.SERVICE, Side.SERVICE: Side.MONOLITH}[self]


class Stage(StrEnum):
    MONOLITH = "monolith"
    MIRROR = "mirror"
    SHADOW = "shadow"
    CANARY = "canary"
    LIVE = "live"
    RETIRED = "retired"

    @property
    def owner(self) -> Side:
        return Side.SERVICE if self in (Stage.LIVE, Stage.RETIRED) else Side.MONOLITH

    @property
    def rank(self) -> int:
        return list(Stage).index(self)


@dataclass(frozen=True, order=True)
class Position:
    """A place on the way: a stage, and in ``canary`` the share of users in percent."""

    rank: int
    percent: int = 0

    @property
    def stage(self) -> Stage:
        return list(Stage)[self.rank]

    @classmethod
    def of(cls, stage: Stage, percent: int = 0) -> Position:
        """Raises ``ValueError`` for a canary share outside 1…100, or a share elsewhere."""
        if stage is Stage.CANARY and not 1 <= percent <= 100:
            raise ValueError(f"a canary share is 1…100 percent, not {percent}")
        if stage is not Stage.CANARY and percent:
            raise ValueError(f"only canary has a share; {stage} has none")
        return cls(stage.rank, percent)

    def __str__(self) -> str:
        return f"{self.stage} {self.percent} %" if self.stage is Stage.CANARY else str(self.stage)


def next_position(at: Position, steps: tuple[int, ...]) -> Position | None:
    """One stage on, or one canary step; None at the end of the way. ``steps`` are the declared shares, rising."""
    if at.stage is Stage.RETIRED:
        return None
    if at.stage in (Stage.SHADOW, Stage.CANARY):
        larger = [share for share in steps if share > at.percent]
        if larger:
            return Position.of(Stage.CANARY, larger[0])
        return Position.of(Stage.LIVE)
    return Position.of(list(Stage)[at.rank + 1])


def previous_position(at: Position) -> Position | None:
    """One stage back; from any canary share to ``shadow``, from ``live`` to a canary of 100 %."""
    if at.stage is Stage.MONOLITH:
        return None
    if at.stage is Stage.LIVE:
        return Position.of(Stage.CANARY, 100)
    return Position.of(list(Stage)[at.rank - 1])
