"""The runner of every transition: named steps, each an idempotent action followed by a compare-and-swap on (step, token).

What a step may assume: it may have run before, in whole or in part, by this process or by one that died. What the runner
promises: a step's result is recorded only while the token is still ours; a failure before ``no_return`` turns back; from
there on it only goes forward; a holder that lost its token stops at the next record and changes nothing more by it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from strangler.control import faultpoints
from strangler.control.errors import GatesClosed, Paused, Slow, StillRunning
from strangler.domain.stages import Position
from strangler.errors import LostLease, StranglerError

log = logging.getLogger("strangler.control")

DONE, UNDONE, REFUSED, REHEARSED = "done", "undone", "refused", "rehearsed"


@dataclass(frozen=True)
class Running:
    """An operation as its holder knows it. ``token`` rises when another holder takes it over."""

    id: str
    context: str
    verb: str
    at: Position
    to: Position
    step: str
    token: int
    undoing: bool = False
    who: str = ""
    why: str = ""
    error: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """Where operations are remembered. Every method that writes checks (step, token) and raises ``LostLease``."""

    def move(self, running: Running, step: str, data: Mapping[str, Any]) -> Running: ...
    def turn_back(self, running: Running, step: str, error: str) -> Running: ...
    def finish(self, running: Running, outcome: str, data: Mapping[str, Any]) -> Any: ...
    def note(self, running: Running, *, error: str = "", data: Mapping[str, Any] | None = None) -> Running: ...
    def reload(self, running: Running) -> Running: ...
    def release(self, running: Running) -> None: ...
    def guard(self, running: Running) -> AbstractContextManager[None]:
        """A transaction in which the token can't be taken: what is written inside is written by its true holder."""


Action = Callable[[Running], Mapping[str, Any]]


@dataclass(frozen=True)
class Saga:
    """``actions`` in order of the way there; ``undo`` in order of the way back.

    ``turning`` maps a forward step to the undo step at which turning back begins (absent: nothing was changed yet, so the
    operation ends as refused). ``atomic`` steps run in one transaction with their record. ``no_return`` are the steps in
    which a failure is retried instead of undone. A resumed operation turns back unless its step is in ``resumable``.
    """

    actions: Mapping[str, Action]
    undo: Mapping[str, Action]
    turning: Mapping[str, str]
    atomic: frozenset[str] = frozenset()
    no_return: frozenset[str] = frozenset()
    resumable: frozenset[str] = frozenset()
    outcome: str = DONE  # of one whose every action went through

    def after(self, running: Running) -> str | None:
        steps = list(self.undo if running.undoing else self.actions)
        place = steps.index(running.step) + 1
        return steps[place] if place < len(steps) else None

    def action(self, running: Running) -> Action:
        return (self.undo if running.undoing else self.actions)[running.step]


@dataclass(frozen=True)
class Event:
    """Something an onlooker wants to hear: ``kind`` is step, done, failed, undo, wait, again or receipt."""

    kind: str
    running: Running
    text: str
    ms: float | None = None


Progress = Callable[[Event], None]


def silent(_: Event) -> None:
    """Nobody listens."""


@dataclass
class Runner:
    saga: Saga
    ledger: Ledger
    progress: Progress = silent
    patience_s: float = 20.0  # how long a step that can only go forward is retried here before the tick takes over
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _failing_since: float | None = None

    def drive(self, running: Running, *, resumed: bool = False) -> Any:
        """To the end: gives what ``Ledger.finish`` gives. Raises ``LostLease`` or ``StillRunning``."""
        if resumed and not running.undoing and running.step not in self.saga.resumable:
            reached = self._turn_back(running, StranglerError(f"its process ended at step {running.step}"))
        else:
            reached = running
        while isinstance(reached, Running):
            reached = self._step(reached)
        return reached

    def _step(self, running: Running) -> Any:
        """One step: the operation as it stands afterwards, or what ``finish`` gave."""
        faultpoints.reach(running.step)
        self.progress(Event("undo" if running.undoing else "step", running, running.step))
        started = self.clock()
        try:
            if running.step in self.saga.atomic:
                with self.ledger.guard(running):
                    after = self._record(running, self.saga.action(running)(running), started)
            else:
                after = self._record(running, self.saga.action(running)(running), started)
        except LostLease:
            raise
        except Paused as pause:
            self.ledger.release(running)
            raise StillRunning(str(pause)) from pause
        except (Exception, KeyboardInterrupt) as error:
            return self._failed(running, error, started)
        self._failing_since = None
        self.progress(Event("done", running, running.step, (self.clock() - started) * 1000))
        return after

    def _record(self, running: Running, result: Mapping[str, Any], started: float) -> Any:
        took = round((self.clock() - started) * 1000, 2)
        data = {**result, "steps_ms": {**running.data.get("steps_ms", {}), running.step: took}}
        following = self.saga.after(running)
        log.info("operation.step context=%s step=%s ms=%s operation=%s", running.context, running.step, took, running.id)
        if following is None:
            return self.ledger.finish(running, UNDONE if running.undoing else self.saga.outcome, data)
        return self.ledger.move(running, following, data)

    def _failed(self, running: Running, error: BaseException, started: float) -> Any:
        text = plain(error)
        log.warning("operation.failed context=%s step=%s error=%s operation=%s", running.context, running.step, text, running.id)
        if not isinstance(error, StranglerError | KeyboardInterrupt):
            log.debug("operation.failed operation=%s", running.id, exc_info=error)
        self.progress(Event("failed", running, text, (self.clock() - started) * 1000))
        running = self.ledger.reload(running)  # a commit whose answer was lost has moved it all the same
        if running.undoing or running.step in self.saga.no_return:
            return self._retry(running, error, text)
        return self._turn_back(running, error)

    def _retry(self, running: Running, error: BaseException, text: str) -> Running:
        now = self.clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        waited = now - self._failing_since
        running = self.ledger.note(running, error=text)
        if waited > self.patience_s or isinstance(error, KeyboardInterrupt):
            self.ledger.release(running)
            raise StillRunning(
                f"{running.context}: step {running.step} waits: {text}. The operation goes on by itself as soon as that is"
                f" mended; strangler status {running.context} shows it"
            ) from error
        self.progress(Event("wait", running, text))
        self.sleep(min(1.0, max(0.05, waited)))
        return self.ledger.reload(running)

    def _turn_back(self, running: Running, error: BaseException) -> Any:
        text = plain(error)
        begin = self.saga.turning.get(running.step)
        data: dict[str, Any] = {}
        if isinstance(error, GatesClosed):
            data["verdicts"] = [verdict.to_json() for verdict in error.verdicts]
        if isinstance(error, Slow):
            data["slow"] = True
        running = self.ledger.note(running, error=text, data=data)
        if begin is None:
            return self.ledger.finish(running, REFUSED, {})
        return self.ledger.turn_back(running, begin, text)


def plain(error: BaseException) -> str:
    """One sentence for people. A bug says its type."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by hand"
    if isinstance(error, StranglerError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip().replace("\n", " ")
