"""Where a context stands and what keeps it there, in one paragraph that needs no legend."""

from __future__ import annotations

from collections.abc import Sequence

from strangler.domain.gates import State, Verdict
from strangler.domain.stages import Position, Stage


def standing(context: str, reads: str, writes: str, next_: str) -> str:
    """``reads``, ``writes``: as ``domain.plan`` words them; ``next_``: as ``following`` does."""
    return f"Reads of {context}: {reads}. Writes: {writes}. Next: {next_}"


def following(to: Position | None, shut: Sequence[Verdict], said: str = "") -> str:
    """What comes next and what holds it back: a failed gate blocks, an unknown one holds. ``said``: another obstacle."""
    if to is None:
        return f"nothing, {said}" if said else "nothing"
    where = f"{to.percent} %" if to.stage is Stage.CANARY else str(to.stage)
    if said:
        return f"{where}, not now: {said}"
    failed = [held_by(verdict) for verdict in shut if verdict.state is State.FAIL]
    unknown = [held_by(verdict) for verdict in shut if verdict.state is State.UNKNOWN]
    held = [f"{word}: {'; '.join(parts)}" for word, parts in (("blocked", failed), ("held", unknown)) if parts]
    return f"{where}, {'; '.join(held)}" if held else f"{where}, nothing holds it back"


def held_by(verdict: Verdict) -> str:
    """``parity 98.7 % < 99.9 % …``, ``parity: needs 312 more samples …``."""
    return f"{verdict.gate}{' ' if ' < ' in verdict.reason else ': '}{verdict.reason}"
