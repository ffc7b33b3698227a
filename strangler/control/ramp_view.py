"""A ramp as people read it: what CLI and console render."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from strangler import conf
from strangler.control.models import RampRun
from strangler.control.ramp_run import alias
from strangler.domain import ramp
from strangler.domain.estate import Ramp
from strangler.domain.ramp import State
from strangler.errors import Misuse


@dataclass(frozen=True)
class RampSeen:
    """``share`` and ``target`` in percent, 0 is shadow. Moments in ISO 8601. ``next``: a command, where it waits for a person."""

    context: str
    state: str
    share: int
    target: int
    who: str
    why: str
    reason: str
    backs: int
    since: str
    seen_at: str | None
    next_at: str | None
    next_step: str
    next: str | None

    @property
    def is_active(self) -> bool:
        return State(self.state).is_active

    @property
    def is_running(self) -> bool:
        return self.state == State.RUNNING

    @property
    def needs_somebody(self) -> bool:
        return self.state == State.FROZEN

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        state = {"aside": "stands aside"}.get(self.state, self.state)
        way = f"{ramp.position(self.share)} → {ramp.position(self.target)}"
        due = f"; next: {self.next_step}" if self.next_step else ""
        return f"{state}, started by {self.who}, {way}: {self.reason}{due}"


def seen(row: RampRun) -> RampSeen:
    declared = conf.estate().contexts.get(row.context)
    return RampSeen(
        context=row.context,
        state=row.state,
        share=row.percent,
        target=row.target,
        who=row.who,
        why=row.why,
        reason=row.reason,
        backs=row.backs,
        since=row.started_at.isoformat(),
        seen_at=row.seen_at.isoformat() if row.seen_at else None,
        next_at=row.next_at.isoformat() if row.next_at else None,
        next_step=_next_step(row, declared.ramp if declared else Ramp()),
        next=_next(row),
    )


def _next_step(row: RampRun, declared: Ramp) -> str:
    if row.next_at is None or row.state != State.RUNNING:
        return ""
    at = declared.schedule.say(row.next_at.timestamp())
    if row.percent >= row.target:
        return f"it ends at {at}, and leaves the cut-over to you"
    return f"{ramp.position(ramp.following(row.percent, row.target, declared.steps))} at {at}"


def _next(row: RampRun) -> str | None:
    if row.state in (State.HELD, State.FROZEN, State.ASIDE):
        return f"strangler ramp resume {row.context}"
    if row.state == State.DONE and row.percent == 100:
        return f"strangler advance {row.context} --to live"
    return None


def of(context: str) -> RampSeen | None:
    row = RampRun.objects.using(alias()).filter(context=context).first()
    return seen(row) if row else None


def listed(context: str | None = None) -> list[RampSeen]:
    """Of one context, or of all that ever had one. Raises ``Misuse`` for a context that has none."""
    if context is None:
        return [seen(row) for row in RampRun.objects.using(alias()).order_by("context")]
    if context not in conf.estate().contexts:
        raise Misuse(f"there is no context {context!r}; strangler.toml declares {', '.join(sorted(conf.estate().contexts))}")
    found = of(context)
    return [found] if found else []
