"""Breadth first over every interleaving: the number of states, or the shortest way to a fault.

Two questions. *Safety*: does an invariant hold in every state? *Liveness*: is an end still reachable from every state, by moves
that need no bad luck? (Weaker and cheaper than TLA+'s fairness: there is no state from which all ways are barred.)
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.models.handover import engine, traffic
from tests.models.handover.state import State, World, invariant, settled, tidy


@dataclass
class Found:
    """``story`` is empty and ``wrong`` too where all is well."""

    states: int
    seconds: float
    complete: bool
    wrong: str = ""
    story: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.wrong:
            return (
                f"{self.states:,} states in {self.seconds:.1f} s, {'all' if self.complete else 'not all'} of them; nothing wrong"
            )
        lines = [f"{number:3d}. {what}" for number, what in enumerate(self.story, 1)]
        return "\n".join([*lines, f"  ⇒  {self.wrong}", f"({self.states:,} states in {self.seconds:.1f} s)"])


def successors(state: State, world: World) -> list[tuple[str, bool, State]]:
    found = []
    for part in (engine.moves, engine.messages, traffic.moves):
        for what, lucky, after in part(state, world):
            tidied = tidy(after, world)
            if tidied != state:
                found.append((what, lucky, tidied))
    return found


@contextmanager
def _no_garbage() -> Iterator[None]:
    """States hold no cycles, and looking for some among millions of them takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def explore(world: World, most: int = 10_000_000) -> Found:
    """Ends at the first fault, or when there is nothing new; or after ``most`` states, which is then said."""
    with _no_garbage():
        return _explore(world, most)


def _explore(world: World, most: int) -> Found:
    began = time.perf_counter()
    start = world.start()
    numbers: dict[State, int] = {start: 0}
    came: list[tuple[int, str]] = [(-1, "")]
    back: list[list[int]] = [[]]  # by lucky moves
    ends: list[int] = []
    queue = deque([start])
    while queue and len(numbers) < most:
        state = queue.popleft()
        number = numbers[state]
        if settled(state):
            ends.append(number)
        for what, lucky, after in successors(state, world):
            known = numbers.get(after)
            if known is None:
                known = numbers[after] = len(came)
                came.append((number, what))
                back.append([])
                wrong = invariant(after)
                if wrong:
                    return Found(len(numbers), time.perf_counter() - began, False, wrong, _story(came, known))
                queue.append(after)
            if lucky:
                back[known].append(number)
    seconds = time.perf_counter() - began
    if queue:
        return Found(len(numbers), seconds, False)
    stuck = _stuck(back, ends)
    if stuck is not None:
        return Found(len(numbers), seconds, True, "from here no end can be reached", _story(came, stuck))
    return Found(len(numbers), seconds, True)


def _stuck(back: list[list[int]], ends: list[int]) -> int | None:
    """The first state from which no way leads to an end."""
    reaches = bytearray(len(back))
    todo = list(ends)
    for number in todo:
        reaches[number] = 1
    while todo:
        for before in back[todo.pop()]:
            if not reaches[before]:
                reaches[before] = 1
                todo.append(before)
    stuck = reaches.find(0)
    return None if stuck < 0 else stuck


def _story(came: list[tuple[int, str]], number: int) -> list[str]:
    story = []
    while number > 0:
        number, what = came[number]
        story.append(what)
    return story[::-1]
