"""Ways between two positions, what each transition is, which gates it must pass, and what it changes, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from strangler.domain.gates import Verdict, closed
from strangler.domain.stages import Position, Side, Stage, next_position, previous_position


class Kind(StrEnum):
    """What a transition does besides publishing a new route table."""

    ENTER_MIRROR = "enter mirror"
    LEAVE_MIRROR = "leave mirror"
    PUBLISH = "publish"
    CUT_OVER = "cut-over"
    CUT_BACK = "cut-back"
    RETIRE = "retire"
    UNRETIRE = "unretire"


MIRRORED = ("health", "backfill", "lag", "copies", "drift", "quarantine", "proxies")
GATES: dict[Kind, tuple[str, ...]] = {
    Kind.ENTER_MIRROR: ("health",),
    Kind.LEAVE_MIRROR: ("orphans",),
    Kind.PUBLISH: MIRRORED,
    # Drift comes last: what changes after its check is compared again while writes are parked.
    Kind.CUT_OVER: (
        *(gate for gate in MIRRORED if gate != "drift"),
        *("loose keys", "receivers", "tasks", "writers", "transactions", "ownership", "drift"),
    ),
    Kind.CUT_BACK: ("health", "lag", "quarantine", "proxies", "transactions", "ownership", "drift"),
    Kind.RETIRE: ("health", "lag", "drift", "quarantine", "proxies", "unused"),
    Kind.UNRETIRE: ("health", "proxies"),
}


def kind(at: Position, to: Position) -> Kind:
    """What the transition between two neighbours is. Raises ``ValueError`` where they aren't."""
    if at.stage.owner is not to.stage.owner:
        return Kind.CUT_OVER if to.stage is Stage.LIVE else Kind.CUT_BACK
    if {at.stage, to.stage} == {Stage.MONOLITH, Stage.MIRROR}:
        return Kind.ENTER_MIRROR if to.stage is Stage.MIRROR else Kind.LEAVE_MIRROR
    if {at.stage, to.stage} == {Stage.LIVE, Stage.RETIRED}:
        return Kind.RETIRE if to.stage is Stage.RETIRED else Kind.UNRETIRE
    if Stage.MONOLITH in (at.stage, to.stage):
        raise ValueError(f"{at} and {to} are not neighbours")
    return Kind.PUBLISH


def gates_of(at: Position, to: Position) -> tuple[str, ...]:
    """The names of the gates between two neighbours. A way back by the route table alone has none."""
    what = kind(at, to)
    return () if what is Kind.PUBLISH and to < at else GATES[what]


def forward(at: Position, target: Position, steps: tuple[int, ...]) -> list[Position]:
    """The positions from after ``at`` to ``target``, through each stage and each declared canary share between."""
    way: list[Position] = []
    while at < target:
        following = next_position(at, steps)
        if following is None:
            break
        at = min(following, target)
        way.append(at)
    return way


def backward(at: Position, target: Position) -> list[Position]:
    way: list[Position] = []
    while at > target:
        following = previous_position(at)
        if following is None:
            break
        at = max(following, target)
        way.append(at)
    return way


def reads(position: Position, shadow_share: float = 0.0) -> str:
    match position.stage:
        case Stage.MONOLITH | Stage.MIRROR:
            return "all from the monolith"
        case Stage.SHADOW:
            share = f"{shadow_share:.0%}" if shadow_share else "a sample"
            return f"all from the monolith; {share} also goes to the service and is compared"
        case Stage.CANARY if position.percent < 100:
            return f"{position.percent} % of users from the service, the rest from the monolith"
        case Stage.CANARY:
            return "all users from the service; those that wait for a write of their own from the monolith"
        case _:
            return "all from the service"


def writes(owner: Side | str) -> str:
    return {"monolith": "monolith", "service": "service"}.get(str(owner), "nobody, for the moment of a hand-over")


def data(position: Position) -> str:
    match position.stage:
        case Stage.MONOLITH:
            return "only on the monolith"
        case Stage.MIRROR | Stage.SHADOW | Stage.CANARY:
            return "mirrored to the service"
        case Stage.LIVE:
            return "mirrored back to the monolith"
        case _:
            return "only on the service; the monolith's tables stay as they were"


@dataclass(frozen=True)
class Plan:
    """What one transition would do, and what its gates say now. Nothing was changed to find out."""

    context: str
    at: Position
    to: Position
    steps: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    epoch: int
    then: tuple[Position, ...] = ()

    @property
    def open(self) -> bool:
        return not closed(self.verdicts)

    def changes(self, shadow_share: float = 0.0) -> list[tuple[str, str, str]]:
        """(what, now, afterwards) for what really changes."""
        rows = [
            ("reads", reads(self.at, shadow_share), reads(self.to, shadow_share)),
            ("writes", writes(self.at.stage.owner), writes(self.to.stage.owner)),
            ("data", data(self.at), data(self.to)),
        ]
        moved = self.at.stage.owner is not self.to.stage.owner
        rows.append(("epoch", str(self.epoch), str(self.epoch + 1) if moved else str(self.epoch)))
        return [row for row in rows if row[1] != row[2]]

    def to_json(self) -> dict[str, Any]:
        return {
            "context": self.context,
            "from": str(self.at),
            "to": str(self.to),
            "steps": list(self.steps),
            "open": self.open,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "changes": [{"what": what, "now": now, "then": after} for what, now, after in self.changes()],
            "afterwards": [str(position) for position in self.then],
        }


def position_json(position: Position) -> dict[str, Any]:
    return {"stage": str(position.stage), "percent": position.percent}


def names(positions: Sequence[Position]) -> str:
    return " → ".join(str(position) for position in positions)
