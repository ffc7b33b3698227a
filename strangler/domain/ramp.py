"""The auto-ramp, as a pure decision: from what was observed of a share to what is done next.

Invariants, for every sequence of verdicts and clocks:

- The share never rises while a gate does not pass, nor outside of the schedule.
- It rises only after ``interval`` of passing verdicts in a row, each no later than ``gap`` after the one before. Time that
  nobody watched is no evidence: a tick that comes hours late, a clock that jumps (either way) or a person who resumes begins the
  interval anew. So however late a tick comes, it does one step at most.
- A gate that fails takes the share back at once to the last one that held for an interval in this run, or to
  shadow, whatever the schedule says and also while the ramp is held; where ``on_fail`` is ``freeze`` it stops there instead.
  What a person has moved by hand a person watches: there the ramp stands aside until it is resumed.
- After ``max_backs`` rises that had to be taken back it freezes, so a share that fails again and again ends with a person.
- It ends at its target, which has to hold for an interval as well, and never changes the owner.

Times are seconds since the epoch by one clock, the database's. A share of 0 is the stage ``shadow``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from strangler.domain import plan
from strangler.domain.durations import span
from strangler.domain.estate import Ramp
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict, closed
from strangler.domain.stages import Position, Stage

GAP_S = 60.0  # the longest time that one look vouches for
SHORTEST_GAP_S = 5.0
OF_THE_STEP = frozenset({"proxies"})
"""What keeps the next table from arriving is no fault of the share, and a way back would not arrive either: it waits."""


class State(StrEnum):
    RUNNING = "running"
    HELD = "held"  # by a person: takes no step, but takes back what fails
    FROZEN = "frozen"  # by itself, until a person has looked; otherwise as held
    ASIDE = "aside"  # a person has moved the context, and watches it: does nothing
    DONE = "done"
    ABORTED = "aborted"

    @property
    def is_active(self) -> bool:
        return self not in (State.DONE, State.ABORTED)


class Deed(StrEnum):
    STEP = "step"
    BACK = "back"
    HOLD = "hold"
    FREEZE = "freeze"
    DONE = "done"


@dataclass(frozen=True)
class Act:
    """What to do, and why in one plain sentence. ``to`` is a share; ``next_at``: when the next step is due if all stays well."""

    deed: Deed
    reason: str
    to: int
    next_at: float | None = None


@dataclass(frozen=True)
class Run:
    """A ramp as it stands at share ``at``. ``good``: shares that held for an interval in this run, rising.

    ``good_since``: the first of the looks in a row that found every gate passing; ``seen_at``: the last look. ``risen``: the last
    move was a step up; ``backs``: how many such steps were taken back. ``why`` it is held or frozen.
    """

    at: int
    target: int
    state: State = State.RUNNING
    good: tuple[int, ...] = ()
    good_since: float | None = None
    seen_at: float | None = None
    backs: int = 0
    risen: bool = True
    why: str = ""

    def seen(self, passes: bool, now: float, gap_s: float) -> Run:
        """With the evidence of one more look."""
        watched = self.seen_at is not None and 0 <= now - self.seen_at <= gap_s
        since = self.good_since if watched and self.good_since is not None else now
        return replace(self, good_since=since if passes else None, seen_at=now)

    def after(self, deed: Deed, to: int) -> Run:
        """As it stands once the move to share ``to`` is done. A new share has no evidence yet."""
        if deed is Deed.STEP:
            good = (*(share for share in self.good if share < self.at), *([self.at] if self.at else []))
            return replace(self, at=to, good=good, good_since=None, risen=True)
        good = tuple(share for share in self.good if share < self.at)
        return replace(self, at=to, good=good, good_since=None, risen=False, backs=self.backs + self.risen)

    def resumed(self, at: int) -> Run:
        """As a person lets it go on from share ``at``: nothing counts that was seen before."""
        good = tuple(share for share in self.good if share < at)
        return replace(self, at=at, state=State.RUNNING, good=good, good_since=None, backs=0, risen=True, why="")

    @property
    def last_good(self) -> int:
        """Where it goes back to from here."""
        return max((share for share in self.good if share < self.at), default=0)


def position(share: int) -> Position:
    return Position.of(Stage.CANARY, share) if share else Position.of(Stage.SHADOW)


def share_of(at: Position) -> int | None:
    """None outside of shadow and canary, where no ramp is."""
    return at.percent if at.stage in (Stage.SHADOW, Stage.CANARY) else None


def following(at: int, target: int, steps: Sequence[int]) -> int:
    """The share after ``at``: the next declared one, but never past the target."""
    return min([share for share in steps if share > at] + [target])


def gap_s(ramp: Ramp) -> float:
    """How far apart two looks may be to count as one watch: well below the interval, so that several looks are needed."""
    return min(GAP_S, max(SHORTEST_GAP_S, ramp.interval_s / 4))


def gates(run: Run, steps: Sequence[int]) -> tuple[Position, Position, tuple[str, ...]]:
    """The transition whose gates are judged, and their names. At its target those of a step, not those of the cut-over."""
    at = position(run.at)
    if run.at < run.target:
        to = position(following(run.at, run.target, steps))
        return at, to, plan.gates_of(at, to)
    return at, Position.of(Stage.LIVE) if run.at == 100 else position(100), plan.gates_of(position(1), position(2))


def decide(run: Run, verdicts: Sequence[Verdict], now: float, ramp: Ramp) -> Act:
    """``run`` has seen the verdicts, which are of ``gates``."""
    failing = [verdict for verdict in verdicts if verdict.state is Of.FAIL and verdict.gate not in OF_THE_STEP]
    if failing:
        return _fall(run, failing, ramp)
    if run.state is not State.RUNNING:
        return _stay(run, run.why)
    if run.backs >= ramp.max_backs:
        return Act(
            Deed.FREEZE, f"{run.backs} steps up had to be taken back, and {ramp.max_backs} is the limit (max_backs)", run.at
        )
    missing = closed(verdicts)
    if missing or run.good_since is None:
        return _stay(run, "; ".join(map(str, missing)) or "nothing has been seen yet")
    return _rise(run, run.good_since + ramp.interval_s, now, ramp)


def _stay(run: Run, reason: str, next_at: float | None = None) -> Act:
    return Act(Deed.HOLD, reason, run.at, next_at)


def _fall(run: Run, failing: Sequence[Verdict], ramp: Ramp) -> Act:
    said = "; ".join(map(str, failing))
    if run.at == 0:
        return _stay(run, f"{said}; every read comes from the monolith already")
    if ramp.on_fail == "back":
        return Act(Deed.BACK, said, run.last_good)
    return Act(Deed.FREEZE, said, run.at) if run.state is State.RUNNING else _stay(run, run.why)


def _rise(run: Run, due: float, now: float, ramp: Ramp) -> Act:
    is_last = run.at >= run.target
    opens = due if is_last else ramp.schedule.opens(max(now, due))
    passed = f"every gate of {position(run.at)} has passed for {span(now - (due - ramp.interval_s))}"
    if now < due:
        return _stay(run, f"{passed} of {span(ramp.interval_s)}", opens)
    if is_last:
        return Act(Deed.DONE, f"{passed}; this is its target", run.at)
    if now < opens:
        return _stay(run, f"{passed}; outside of its hours, which begin on {ramp.schedule.say(opens)}", opens)
    return Act(Deed.STEP, passed, following(run.at, run.target, ramp.steps))
