"""What happened: each request with its end, each disturbance with its time. All times are ``time.monotonic()``."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

GRACE = 0.5
"""Seconds after a disturbance in which its failures may still come to light, as on a connection that was kept."""


class Failed(Exception):
    """A request did not end as it should. ``away``: an answer that says an application could not be reached, or broke off."""

    def __init__(self, what: str, *, away: bool = False) -> None:
        super().__init__(what)
        self.away = away


@dataclass(frozen=True)
class Disturbance:
    """``what``: "worker" or an application's name; from the kill until it was there again."""

    what: str
    since: float
    until: float


@dataclass(frozen=True)
class Failure:
    kind: str
    since: float
    until: float
    what: str
    broken: bool
    """The connection broke, or an answer said that the application did."""


@dataclass
class Write:
    """``acknowledged`` None: nobody can know, the connection broke; False: an answer said that it was not executed."""

    id: str
    acknowledged: bool | None = None


@dataclass
class Journal:
    done: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    flips: Counter[str] = field(default_factory=Counter)
    owners: dict[int, str] = field(default_factory=dict)
    """By epoch of payments its owner."""

    def write(self) -> Write:
        noted = Write(f"w{len(self.writes)}")
        self.writes.append(noted)
        return noted

    def failed(self, kind: str, since: float, error: BaseException) -> None:
        broken = not isinstance(error, Failed) or error.away
        self.failures.append(Failure(kind, since, time.monotonic(), f"{type(error).__name__}: {error}"[:200], broken))

    @contextlib.contextmanager
    def disturbed(self, what: str) -> Iterator[None]:
        began, number = time.monotonic(), len(self.disturbances)
        self.disturbances.append(Disturbance(what, began, math.inf))
        try:
            yield
        finally:
            self.disturbances[number] = Disturbance(what, began, time.monotonic())

    def excuse(self, failure: Failure) -> str:
        """What was killed while the request was under way: only a broken connection or answer is explained by that."""
        if failure.broken:
            for one in self.disturbances:
                if failure.since <= one.until + GRACE and failure.until >= one.since:
                    return one.what
        return ""

    @property
    def unexcused(self) -> list[Failure]:
        return [failure for failure in self.failures if not self.excuse(failure)]

    @property
    def excused(self) -> Counter[str]:
        return Counter(excuse for failure in self.failures if (excuse := self.excuse(failure)))
