"""What each writer did, and what must therefore stand in the source: transactions, their outcome, their effects in order.

Every transaction inserts a row of its own, its *witness*: where that is, the whole transaction must be, and where it is not,
nothing of it. So a writer need not know whether a commit whose answer was lost was made.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    LAZY = "acknowledged before it was on disk"  # synchronous_commit=off: a crash of its database may take it back
    UNKNOWN = "unknown"  # the connection broke at the commit
    REFUSED = "refused"  # rolled back, or broken before the commit


MUST, MAY_NOT = {Outcome.ACKNOWLEDGED}, {Outcome.REFUSED}


@dataclass
class Transaction:
    """``effects``: (verb, key, value or other key) on the writer's own rows; ``counts``: counter → how much it was raised."""

    witness: str
    outcome: Outcome = Outcome.REFUSED
    effects: list[tuple[str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kinds: list[str] = field(default_factory=list)


@dataclass
class Journal:
    """Of one round. ``kinds``: kind of write → how many acknowledged transactions had it."""

    writers: dict[str, list[Transaction]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, writer: str, transaction: Transaction) -> None:
        with self._lock:
            self.writers.setdefault(writer, []).append(transaction)

    def all(self) -> list[Transaction]:
        with self._lock:
            return [transaction for noted in self.writers.values() for transaction in noted]

    def outcomes(self) -> Counter[Outcome]:
        return Counter(transaction.outcome for transaction in self.all())

    @property
    def kinds(self) -> Counter[str]:
        done = (Outcome.ACKNOWLEDGED, Outcome.LAZY)
        return Counter(kind for transaction in self.all() if transaction.outcome in done for kind in transaction.kinds)

    def wrong(self, witnesses: Iterable[str], *, may_lose: bool) -> list[str]:
        """Transactions that are not there and must be, or are there and may not. ``may_lose``: the source has crashed."""
        there = set(witnesses)
        must = MUST if may_lose else {*MUST, Outcome.LAZY}
        lost = [one for one in self.all() if one.outcome in must and one.witness not in there]
        ghosts = [one for one in self.all() if one.outcome in MAY_NOT and one.witness in there]
        return [f"{one.witness} is lost" for one in lost] + [f"{one.witness} was refused and is there" for one in ghosts]

    def rows(self, witnesses: Iterable[str]) -> dict[str, str]:
        """Key → value of all writers' own rows after the transactions that are there."""
        there, state = set(witnesses), dict[str, str]()
        for noted in self.writers.values():
            for one in noted:
                if one.witness in there:
                    for effect in one.effects:
                        _replay(state, *effect)
        return state

    def counts(self, witnesses: Iterable[str]) -> Counter[str]:
        there = set(witnesses)
        return sum((one.counts for one in self.all() if one.witness in there), Counter[str]())


def _replay(state: dict[str, str], verb: str, key: str, other: str) -> None:
    if verb == "put":
        state[key] = other
    elif verb == "drop":
        state.pop(key, None)
    elif verb == "change" and key in state:
        state[key] = other
    elif verb == "move" and key in state and other not in state:
        state[other] = state.pop(key)
