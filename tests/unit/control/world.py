"""A small estate in memory, for the model tests of the hand-over: two sides, a ledger, proxies, and holders that can be stopped
at every call, killed, or overtaken while they sleep. One thread runs at a time; the test decides which, and what befalls it.
"""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from strangler.control.handover import Handed, HandOver, Known
from strangler.control.saga import Runner, Running
from strangler.domain.stages import Position, Side, Stage
from strangler.errors import LostLease, StaleEpoch, StranglerError

CANARY, LIVE = Position.of(Stage.CANARY, 100), Position.of(Stage.LIVE)
OK, REFUSED, LOST, KILLED, KILLED_AFTER = "ok", "refused", "answer lost", "killed", "killed after"
VERDICTS = (OK, REFUSED, LOST, KILLED, KILLED_AFTER)


class Killed(BaseException):
    """kill -9: nothing of the holder's own code may run any more."""


@dataclass
class SideState:
    name: Side
    epoch: int = 0
    owner: str = "monolith"
    operation: str = ""
    rows: set[int] = field(default_factory=set)
    log: list[int] = field(default_factory=list)

    @property
    def accepts(self) -> bool:
        """Whether its fence lets a write pass."""
        return self.owner == self.name

    def change(self, epoch: int, owner: str, operation: str, *, strict: bool = True) -> None:
        """P16."""
        same = (epoch, owner, operation) == (self.epoch, self.owner, self.operation)
        onward = epoch == self.epoch and operation == self.operation and self.owner == "none"
        if strict and not (epoch > self.epoch or same or onward):
            raise StaleEpoch(f"{self.name} is at {self.epoch}, not {epoch}")
        self.epoch, self.owner, self.operation = epoch, str(owner), operation


@dataclass
class World:
    """All that survives a process. ``strict`` and ``tokens`` are rules that a test may take out."""

    strict: bool = True
    tokens: bool = True
    fenced: bool = True
    sides: dict[Side, SideState] = field(default_factory=dict)
    operation: Running | None = None
    receipts: list[tuple[str, str]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    tables: list[Position] = field(default_factory=lambda: [CANARY])
    parked: list[set[str]] = field(default_factory=list)  # by table: what waits, tasks or writes
    now: float = 1000.0
    acknowledged: int = 0
    holders: list[Holder] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sides = {side: SideState(side) for side in (Side.MONOLITH, Side.SERVICE)}

    @property
    def monolith(self) -> SideState:
        return self.sides[Side.MONOLITH]

    @property
    def service(self) -> SideState:
        return self.sides[Side.SERVICE]

    @property
    def position(self) -> Position:
        return self.tables[-1]

    # ---- what a test does to it -----------------------------------------------------------------------------------

    def begin(self) -> Holder:
        assert self.operation is None
        at = self.position
        to = LIVE if at == CANARY else CANARY
        running = Running(uuid.uuid4().hex, "payments", "advance", at, to, "gates", 1)
        self.operation = running
        self.begun.append(running.id)
        return self._hold(running, resumed=False)

    def take_over(self) -> Holder:
        assert self.operation is not None
        self.operation = replace(self.operation, token=self.operation.token + 1)
        return self._hold(self.operation, resumed=True)

    def _hold(self, running: Running, *, resumed: bool) -> Holder:
        holder = Holder(self, running, resumed=resumed)
        self.holders.append(holder)
        return holder

    def write(self, side: Side) -> None:
        state = self.sides[side]
        if state.accepts or not self.fenced:
            self.acknowledged += 1
            state.rows.add(self.acknowledged)
            state.log.append(self.acknowledged)

    def tell_owed(self) -> None:
        """What the tick does between operations."""
        if self.operation is None and self.service.epoch < self.monolith.epoch:
            self.service.change(self.monolith.epoch, self.monolith.owner, self.monolith.operation)


class Holder:
    """One process that drives the operation. It stops before every call until ``step`` says what befalls that call."""

    def __init__(self, world: World, running: Running, *, resumed: bool) -> None:
        self.world, self.running, self.resumed = world, running, resumed
        self.ended = False
        self.inside = False  # in a transaction: nothing else can happen meanwhile
        self._verdict = OK
        self._go, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._stopped.wait(10)

    def step(self, verdict: str = OK) -> None:
        self._verdict = verdict
        self._stopped.clear()
        self._go.set()
        assert self._stopped.wait(10), "the holder neither called nor ended"

    def kill(self) -> None:
        if not self.ended:
            self.step(KILLED)

    def call(self, execute: Callable[[], Any]) -> Any:
        """A call outside the process."""
        if self.inside:
            return execute()
        befalls = self._befalls()
        result = execute()
        befalls()
        return result

    def _befalls(self) -> Callable[[], None]:
        """Stops until the test goes on. What befalls the call before it is executed is raised, what befalls it after is given."""
        self._stopped.set()
        self._go.wait()
        self._go.clear()
        verdict = self._verdict
        if verdict == KILLED:
            raise Killed
        if verdict == REFUSED:
            raise StranglerError("no connection")

        def after() -> None:
            if verdict == KILLED_AFTER:
                raise Killed
            if verdict == LOST:
                raise StranglerError("no answer")

        return after

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All inside happens at once or not at all; its COMMIT may be lost on the way back."""
        world = self.world
        befalls = self._befalls()
        kept = copy.deepcopy((world.sides, world.tables)), world.operation
        self.inside = True
        try:
            yield
        except BaseException:
            (world.sides, world.tables), world.operation = kept
            raise
        finally:
            self.inside = False
        befalls()

    def _run(self) -> None:
        over = HandOver(
            giver=self.running.at.stage.owner,
            sides={side: RemoteSide(self, side) for side in self.world.sides},
            plane=MemoryPlane(self),
            ledger=MemoryLedger(self),
            judge=lambda _: self.call(list),
            drain=lambda marker, _: self.call(lambda: self._drain(marker)),
            verify=lambda _: self.call(lambda: None),
            streams=lambda _: None,
            clock=lambda: self.world.now,
        )
        runner = Runner(over.saga(), over.ledger, clock=lambda: self.world.now, sleep=self._sleep, patience_s=3.0)
        try:
            runner.drive(self.running, resumed=self.resumed)
        except (Exception, Killed):
            pass  # the process is gone, or it gave up; what it left behind is the world's
        finally:
            self.ended = True
            self._stopped.set()

    def _sleep(self, seconds: float) -> None:
        self.world.now += seconds

    def _drain(self, marker: int) -> None:
        giver = self.running.at.stage.owner
        self.world.sides[giver.other].rows.update(self.world.sides[giver].log[:marker])


@dataclass
class RemoteSide:
    holder: Holder
    name: Side

    @property
    def _state(self) -> SideState:
        return self.holder.world.sides[self.name]

    def read(self) -> Known:
        return self.holder.call(lambda: Known(self._state.epoch, self._state.owner, self._state.operation))

    def change(self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None) -> Handed:
        def execute() -> Handed:
            self._state.change(epoch, owner, operation, strict=self.holder.world.strict)
            return Handed({}, len(self._state.log))

        return self.holder.call(execute)


@dataclass
class MemoryLedger:
    """``saga.Ledger`` whose transaction is a copy that is put back."""

    holder: Holder

    @property
    def _world(self) -> World:
        return self.holder.world

    def _mine(self, running: Running, *, step: bool = False) -> Running:
        open_ = self._world.operation
        if open_ is None or open_.id != running.id or (self._world.tokens and open_.token != running.token):
            raise LostLease("taken over")
        if step and open_.step != running.step:
            raise LostLease("moved by another")
        return open_

    def move(self, running: Running, step: str, data: Mapping[str, Any]) -> Running:
        return self.holder.call(lambda: self._set(running, step=step, data=data, check=True))

    def turn_back(self, running: Running, step: str, error: str) -> Running:
        return self.holder.call(lambda: self._set(running, step=step, undoing=True, error=error, check=True))

    def note(self, running: Running, *, error: str = "", data: Mapping[str, Any] | None = None) -> Running:
        return self.holder.call(lambda: self._set(running, error=error or running.error, data=data or {}))

    def reload(self, running: Running) -> Running:
        return self.holder.call(lambda: self._mine(running))

    def release(self, running: Running) -> None:
        self.holder.call(lambda: None)

    def finish(self, running: Running, outcome: str, data: Mapping[str, Any]) -> str:
        def execute() -> str:
            self._mine(running, step=True)
            self._world.operation = None
            self._world.receipts.append((running.id, outcome))
            return outcome

        return self.holder.call(execute)

    def _set(self, running: Running, *, check: bool = False, data: Mapping[str, Any] | None = None, **changes: Any) -> Running:
        now = self._mine(running, step=check)
        self._world.operation = replace(now, data={**now.data, **(data or {})}, **changes)
        return replace(self._world.operation, token=running.token)

    @contextmanager
    def guard(self, running: Running) -> Iterator[None]:
        with self.holder.transaction():
            self._mine(running)
            yield


@dataclass
class MemoryPlane:
    holder: Holder

    def publish(self, running: Running, position: Position, *, hold_ms: int = 0, pause_ms: int = 0) -> dict[str, Any]:
        with MemoryLedger(self.holder).guard(running):
            self.holder.world.tables.append(position)
            self.holder.world.parked.append({what for what, ms in (("tasks", pause_ms), ("writes", hold_ms)) if ms})
        return {}

    def paused(self, running: Running, *, timeout_s: float) -> None:
        self.holder.call(lambda: None)

    def held(self, running: Running, *, timeout_s: float) -> None:
        self.holder.call(lambda: None)

    def converged(self, *, timeout_s: float) -> dict[str, str]:
        return self.holder.call(dict)
