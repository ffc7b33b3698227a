"""The model and the code agree: random walks of the model drive the real saga, and after each move both stand alike.

Compared are the sides (epoch, owner), the open operation (step, token) and the table (position, hold). A message to the service
is several moves of the model (sent, heard, answered) and one call of the code, made when the message is heard or given up.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from strangler.domain.stages import Side
from tests.models.handover.engine import FORWARD, UNDO
from tests.models.handover.explore import successors
from tests.models.handover.state import Engine, State, settled
from tests.models.handover.state import World as Bounds
from tests.unit.control.world import LOST, OK, REFUSED, Holder, World

BOUNDS = Bounds(operations=3, tokens=3, writes=0)
WALKS, MOVES = 120, 120
SHOWN = {"pause": "hold", "reverse": "flip"}  # steps that the model has no name for
MOST = 14  # calls of the code for one move

Seen = dict[str, Any]


def of_model(state: State) -> Seen:
    op = state.op
    return {
        "monolith": (state.monolith.epoch, state.monolith.owner),
        "service": (state.service.epoch, state.service.owner),
        "operation": (op.step, op.token) if op else None,
        "live": state.table.live,
        "holds": bool(state.table.hold),
    }


def of_code(world: World) -> Seen:
    op = world.operation
    return {
        "monolith": (world.monolith.epoch, str(world.monolith.owner)),
        "service": (world.service.epoch, str(world.service.owner)),
        "operation": (SHOWN.get(op.step, op.step), op.token) if op else None,
        "live": world.position.stage.owner is Side.SERVICE,
        "holds": bool(world.parked) and "writes" in world.parked[-1],
    }


@dataclass
class Pair:
    """A walk of the model, and the code beside it."""

    bounds: Bounds
    state: State
    world: World = field(default_factory=World)
    holders: dict[tuple[int, int], Holder] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    raised: set[tuple[int, int]] = field(default_factory=set)  # who has done its call, and heard no answer

    @classmethod
    def begin(cls, bounds: Bounds) -> Pair:
        world = World()
        for side in world.sides.values():
            side.epoch = 1
        return cls(bounds, bounds.start(), world)

    def close(self) -> None:
        for holder in self.world.holders:
            holder.kill()

    def go(self, what: str, after: State) -> None:
        before, self.state = self.state, after
        self.story.append(what)
        if " begins a " in what:
            self._note(self.world.begin())
        elif "is over; engine" in what:
            self._note(self.world.take_over())
            self._bury()
        else:
            self._move(what, before)
        assert of_code(self.world) == of_model(after), "\n".join(["the code went another way:", *self.story])

    def _note(self, holder: Holder) -> None:
        assert self.state.op is not None
        self.holders[self.state.op.id, self.state.op.token] = holder

    def _bury(self) -> None:
        """Whoever lost its place to the new one is dead."""
        living = {(engine.op.id, engine.op.token) for engine in self.state.engines if engine.op}
        for key in set(self.holders) - living:
            self.holders.pop(key).kill()

    def _move(self, what: str, before: State) -> None:
        mover = _mover(what, before)
        if what.startswith("the service hears"):
            self._heard(what, before)
        elif mover is not None:
            self._engine(what, self.holders[_key(mover)], mover)

    def _heard(self, what: str, before: State) -> None:
        """Whose message it was: of the one that is told now, or of one that waits; else of the tick, or of the dead."""
        told = [engine for engine in self.state.engines if engine.phase == "told" and engine not in before.engines]
        said = {put for put in before.puts if put not in self.state.puts}
        waits = [engine for engine in before.engines if engine.said in said and _key(engine) not in self.raised]
        if told:
            self.holders[_key(told[0])].step(OK)
        elif waits:
            self.holders[_key(waits[0])].step(LOST)
            self.raised.add(_key(waits[0]))
        else:
            for put in said:
                self.world.service.change(put.epoch, put.owner, self.world.begun[put.op - 1])

    def _engine(self, what: str, holder: Holder, engine: Engine) -> None:
        step = engine.op.step if engine.op else ""
        self.taken[f"{'fails at ' if ' fails at ' in what else ''}{step}"] += 1
        if " sends the service " in what or " goes on with " in what:
            return  # done when it is heard; nothing yet
        verdict = OK
        if "the answer is lost" in what:
            verdict = LOST
            self.raised.add(_key(engine))
        elif " fails at " in what:
            verdict = OK if _key(engine) in self.raised else REFUSED
        self._run(holder, verdict, what)
        if verdict is not LOST:
            self.raised.discard(_key(engine))

    def _run(self, holder: Holder, verdict: str, what: str) -> None:
        wanted = of_model(self.state)
        assert not holder.ended, "\n".join(["the code went another way, and ended:", *self.story])
        if " again" in what:  # reload, note, and reload once more: the code looks before and after its nap
            for befalls in [verdict, OK, OK, OK][verdict == OK :]:
                if not holder.ended:
                    holder.step(befalls)
            self.failures += 1
            return
        holder.step(verdict)
        for _ in range(MOST):
            is_gone = _mover(what, self.state) is None
            if (holder.ended if is_gone else of_code(self.world) == wanted) or holder.ended:
                break
            holder.step(OK)


def _key(engine: Engine) -> tuple[int, int]:
    assert engine.op is not None
    return engine.op.id, engine.op.token


def _mover(what: str, state: State) -> Engine | None:
    for engine in state.engines:
        if engine.op and what.startswith(f"engine {engine.op.id}.{engine.op.token} "):
            return engine
    return None


def _choices(pair: Pair) -> list[tuple[str, State]]:
    found = []
    agree = pair.state.monolith[:2] == pair.state.service[:2]
    for what, _, after in successors(pair.state, pair.bounds):
        if " begins a " in what and not agree:
            continue  # the gates would settle it; the tick does
        if " again" in what and pair.failures > 3:
            continue  # then the code leaves it to the tick
        if what == "the tick sends what is owed" and pair.state.op is not None:
            continue
        if any(engine.phase == "told" and _key(engine) in pair.raised for engine in after.engines if engine.op):
            continue  # the answer to another's message
        found.append((what, after))
    return found


def walk(seed: int, bounds: Bounds) -> Pair:
    luck, pair = random.Random(seed), Pair.begin(bounds)
    try:
        for _ in range(MOVES):
            choices = _choices(pair)
            if not choices:
                break
            unlucky = [choice for choice in choices if " fails at " in choice[0] or "is over; engine" in choice[0]]
            lucky = [choice for choice in choices if choice not in unlucky]
            pair.go(*luck.choice(unlucky if unlucky and (not lucky or luck.random() < 0.15) else lucky))
    finally:
        pair.close()
    return pair


def walk_all(bounds: Bounds) -> list[Pair]:
    return [walk(seed, bounds) for seed in range(WALKS)]


def test_the_code_goes_wherever_the_model_goes() -> None:
    pairs = walk_all(BOUNDS)
    taken = sum((pair.taken for pair in pairs), Counter())
    steps = {*FORWARD, *UNDO["monolith"], *UNDO["service"]}
    assert set(taken) >= steps | {f"fails at {step}" for step in FORWARD}, "a step was never walked through"
    assert sum(settled(pair.state) for pair in pairs) > WALKS / 4


@pytest.mark.parametrize("rule", ["undo-epoch", "atomic-fence", "point-of-no-return", "none-between"])
def test_where_the_model_has_another_rule_they_part(rule: str) -> None:
    """The comparison can fail."""
    other = replace(BOUNDS, without=frozenset({rule}))
    with pytest.raises(AssertionError, match="the code went another way"):
        walk_all(other)
