"""Which way a context may go from where it stands: forward, back, past a gate by name. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from strangler.control.preview import HANDOVERS
from strangler.domain import plan
from strangler.domain.estate import Context
from strangler.domain.stages import Position, Stage, next_position, previous_position
from strangler.errors import Misuse


def target(to: str | None, percent: int | None) -> tuple[Stage | None, int | None]:
    """The stage and share that are meant. Raises ``Misuse`` for what can be none."""
    try:
        stage = Stage(to) if to else None
    except ValueError:
        raise Misuse(f"there is no stage {to!r}; the stages are {', '.join(Stage)}") from None
    if percent is not None:
        if stage not in (None, Stage.CANARY):
            raise Misuse(f"--percent belongs to canary, not to {stage}")
        if not 1 <= percent <= 100:
            raise Misuse(f"a canary share is 1…100 percent, not {percent}")
        stage = Stage.CANARY
    return stage, percent


def way_forward(context: Context, at: Position, to: str | None = None, percent: int | None = None) -> list[Position]:
    """The positions to go through. Raises ``Misuse`` where there is no way forward."""
    stage, percent = target(to, percent)
    steps = context.ramp.steps
    if stage is None:
        following = next_position(at, steps)
        if following is None:
            raise Misuse(f"{context.name} is {at}, the last stage; the way back is: strangler rollback {context.name}")
        return [following]
    if stage is Stage.CANARY and percent is None:
        larger = [share for share in steps if share > at.percent] if at.stage is Stage.CANARY else list(steps)
        if not larger:
            raise Misuse(f"{context.name} is {at} already; next is: strangler advance {context.name} --to live")
        percent = larger[0]
    there = Position.of(stage, percent or 0)
    if there == at:
        raise Misuse(f"{context.name} is {at} already; there is nothing to do")
    if there < at:
        raise Misuse(f"{context.name} is {at}, which is past {there}; the way back is: {back_command(context.name, there)}")
    return plan.forward(at, there, steps)


def way_back(context: Context, at: Position, to: str | None = None, percent: int | None = None) -> list[Position]:
    """The positions to go back through; without a target one stage. Raises ``Misuse`` where there is no way back."""
    stage, percent = target(to, percent)
    previous = previous_position(at)
    if previous is None:
        raise Misuse(f"{context.name} is {at}, the first stage; there is nothing to roll back")
    if stage is None:
        return [previous]
    there = Position.of(stage, (percent or 100) if stage is Stage.CANARY else 0)
    if there >= at:
        raise Misuse(f"{context.name} is {at}; {there} is not behind it. The way on is: strangler advance {context.name}")
    return plan.backward(at, there)


def check_overrides(context: str, at: Position, way: Sequence[Position], overrides: Sequence[str], why: str) -> None:
    """Raises ``Misuse`` for overrides without a reason, for more than one transition, or of a gate that stands for a promise."""
    if not overrides:
        return
    if not why.strip():
        raise Misuse(f'an override needs a reason, which the receipt keeps: --override {overrides[0]} --why "…"')
    if len(way) > 1:
        raise Misuse(
            f"an override is for one transition, and this goes through {plan.names(way)};"
            f" go one step at a time: strangler advance {context} --override {overrides[0]}"
        )
    for gate in overrides:
        refused = plan.refusal(gate, at, way[0])
        if refused:
            raise Misuse(f"gate {gate!r} can not be overridden: {refused}")


def back_command(context: str, to: Position) -> str:
    share = f" --percent {to.percent}" if to.stage is Stage.CANARY else ""
    return f"strangler rollback {context} --to {to.stage}{share}"


def check_hands_over(context: str, at: Position, way: Sequence[Position]) -> None:
    """Raises ``Misuse`` where no step of the way parks a write."""
    if not any(plan.kind(here, there) in HANDOVERS for here, there in zip([at, *way], way, strict=False)):
        raise Misuse(
            f"{context}: {at} → {plan.names(way)} changes no owner and parks no write, so there is no pause to bound or rehearse;"
            " that is canary 100 % → live, and the way back"
        )
