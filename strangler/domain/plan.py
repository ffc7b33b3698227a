"""Ways between two positions, what each transition is, which gates it must pass, and what it changes, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from strangler.domain.changes import Change
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
    Kind.ENTER_MIRROR: ("health", "stranded"),
    Kind.LEAVE_MIRROR: ("orphans",),
    Kind.PUBLISH: MIRRORED,
    # Drift comes last: what changes after its check is compared again while writes are parked.
    Kind.CUT_OVER: (
        *(gate for gate in MIRRORED if gate != "drift"),
        *("stranded", "loose keys", "receivers", "tasks", "writers", "rehearsal", "transactions", "ownership", "drift"),
    ),
    Kind.CUT_BACK: ("health", "reverse mirror", "proxies", "transactions", "ownership", "drift"),
    Kind.RETIRE: ("health", "lag", "drift", "quarantine", "proxies", "unused"),
    Kind.UNRETIRE: ("health", "proxies"),
}

TRAFFIC: dict[Stage, tuple[str, ...]] = {Stage.SHADOW: ("parity",), Stage.CANARY: ("parity", "errors", "latency")}
"""What the stage that is left has to have shown of the service, with live traffic, before it is trusted with more."""


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
    if what is Kind.PUBLISH and to < at:
        return ()
    shown = TRAFFIC.get(at.stage, ()) if to > at else ()
    return (*shown, *GATES[what])


FIRM: dict[str, str] = {
    "health": "a service that does not answer can be given neither reads nor rows",
    "backfill": "rows that were never copied would be missing to whoever reads the service",
    "lag": "who wrote nothing lately would read rows that lie behind; if that is no harm, raise lag_p99_ms in strangler.toml",
    "copies": "the service would answer from tables of others that are not there, or old",
    "drift": "rows that differ would be taken over as they are, and an acknowledged write would be lost",
    "quarantine": "rows that were not applied would stay behind, and an acknowledged write would be lost",
    "reverse mirror": "what was written at the service would be missing on the monolith",
    "stranded": "what a dead service had acknowledged would be overwritten, and nobody has looked at it yet (P22)",
    "proxies": "a proxy that does not follow holds no writes, and would be waited for in vain",
    "loose keys": "orders could not be deleted once their payments have moved, for one, and orphans would stay (P25)",
    "orphans": "the foreign keys could not be restored (P25)",
    "receivers": "what they do would be done twice, or not at all (P26)",
    "tasks": "they would run on both sides, or on none (P26)",
    "transactions": "the fence waits for them in any case, and would undo the cut-over (P15)",
    "ownership": "there could be two owners (P16)",
}
"""Gates that stand for a promise of the protocol, and what would break it. They can't be overridden."""


def refusal(gate: str, at: Position, to: Position) -> str:
    """Why the gate can't be overridden in this transition; empty if it can."""
    gates = gates_of(at, to)
    if gate not in gates:
        return f"{at} → {to} has no gate {gate!r}; it has {', '.join(gates) or 'none'}"
    if gate in FIRM:
        return f"{FIRM[gate]}; mend what it says: strangler status shows it"
    return "" if gate in SOFT else "it stands for a promise of the protocol"


SOFT = ("parity", "errors", "latency", "writers", "unused", "rehearsal")
"""Judgements in which a person who knows better may be right. No row and no write hangs on them: a writer that nobody has
declared meets the fence, rehearsed or not, and whoever still asks a retired context of the monolith is told so."""


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


def data(position: Position, *, keeps_copy: bool = False) -> str:
    match position.stage:
        case Stage.MONOLITH:
            return "only on the monolith"
        case Stage.MIRROR | Stage.SHADOW | Stage.CANARY:
            return "mirrored to the service"
        case Stage.LIVE:
            return "mirrored back to the monolith"
        case Stage.RETIRED if keeps_copy:
            return "mirrored back to the monolith, as a read copy for what stays there"
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
    exact: tuple[Change, ...] = ()

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
            "exact": [asdict(change) for change in self.exact],
            "afterwards": [str(position) for position in self.then],
        }


def names(positions: Sequence[Position]) -> str:
    return " → ".join(str(position) for position in positions)
