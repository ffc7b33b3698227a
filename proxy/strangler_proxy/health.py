"""Whether a target should be asked: what became of the last requests decides (outlier detection, as Envoy calls it).

A target that fails several times in a row, or too large a share of its requests, is ejected for a while, each time for longer.
Then one request probes it: a success brings it back, with a share of the load that grows over some seconds; a failure ejects it
again. Failures are connections that can't be made or break, answers that don't come in time, and 502 and 504. A 503 is none:
applications say so themselves when a context changes hands. Nor is what the client is to blame for.

Active checks (``Checks``) are the second source. Where they ask a health page they also say when a target is back, and no
user's request has to find out. Where they can only connect, that ends an ejection for want of a connection; whether an
application that accepts connections also answers is for a request to find out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

GATEWAY_FAILURES = frozenset({502, 504})


@dataclass(frozen=True)
class Patience:
    """Times in seconds. ``share`` of at least ``least`` requests within ``window``; ``in_a_row`` whatever the share."""

    in_a_row: int = 5
    share: float = 0.5
    least: int = 20
    window: float = 10.0
    first: float = 5.0
    longest: float = 60.0
    slow_start: float = 10.0
    probe: float = 10.0
    checks: int = 3


class Health:
    """Of one target. All times are those of the event loop's clock. ``requests`` counts what was sent to it.

    ``watched``: active checks ask its health page.
    """

    __slots__ = (
        "_back_at",
        "_failed",
        "_in_a_row",
        "_marks",
        "_missed",
        "_patience",
        "_probing",
        "_unreachable",
        "ejections",
        "probed_at",
        "requests",
        "troubled",
        "until",
        "watched",
    )  # fmt: skip

    def __init__(self, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._in_a_row = self.requests = self._failed = self._missed = 0
        self._marks: deque[tuple[float, int, int]] = deque()
        self._back_at = self.probed_at = -1e9
        self._probing = self._unreachable = self.troubled = self.watched = False
        self.ejections = 0
        self.until = 0.0

    @property
    def ejected(self) -> bool:
        return self.until > 0.0

    def admits(self, now: float) -> bool:
        """Whether a request may be sent: always while it is well, and once after an ejection's time, to see."""
        if not self.until:
            return True
        if self.watched or self._missed:
            return False
        lost = now - self.probed_at > self._patience.probe  # nobody heard what became of it
        if now < self.until or (self._probing and not lost):
            return False
        self._probing, self.probed_at = True, now
        return True

    def succeeded(self, now: float) -> None:
        """Only of interest while ``troubled``."""
        self._in_a_row = 0
        self._unreachable = False
        if self.until and self._probing:
            self._return(now)
        self.troubled = self.until > 0.0

    def failed(self, now: float, *, connecting: bool = False) -> str:
        """Gives why it is ejected, if it is from now on: ``in-a-row``, ``share``, ``probe``. ``connecting``: none was taken."""
        self._in_a_row += 1
        self._failed += 1
        self.troubled = True
        self._unreachable = connecting
        if self.until:
            if not self._probing:
                return ""
            return self._eject(now, "probe")
        if self._in_a_row >= self._patience.in_a_row:
            return self._eject(now, "in-a-row")
        if self._is_outlier(now):
            return self._eject(now, "share")
        return ""

    def checked(self, well: bool, now: float) -> str:
        """What an active check found. Gives ``check`` if it is ejected from now on, until a check finds it well."""
        if not well:
            self._missed += 1
            if self.until or self._missed < self._patience.checks:
                return ""
            self._unreachable = True
            self._eject(now, "check")
            self.until = now
            return "check"
        self._missed = 0
        if self.until and now >= self.until and (self.watched or self._unreachable):
            self._return(now)
        return ""

    def mark(self, now: float) -> None:
        """Called now and then, so that old requests are forgotten; after a long time well the next ejection is a short one."""
        self._marks.append((now, self.requests, self._failed))
        while self._marks and now - self._marks[0][0] > self._patience.window:
            self._marks.popleft()
        if self.ejections and not self.until and now - self._back_at > 10 * self._patience.longest:
            self.ejections = 0

    def weight(self, now: float) -> float:
        """The share of its usual load that it should get: below 1 for a while after it came back."""
        grown = (now - self._back_at) / self._patience.slow_start
        return 1.0 if grown >= 1.0 else max(0.1, grown)

    def _is_outlier(self, now: float) -> bool:
        _, sent, failed = self._marks[0] if self._marks else (now, 0, 0)
        sent, failed = self.requests - sent, self._failed - failed
        return sent >= self._patience.least and failed >= self._patience.share * sent

    def _return(self, now: float) -> None:
        self.until, self._in_a_row = 0.0, 0
        self._probing = self._unreachable = self.troubled = False
        self._back_at = now
        self._marks.clear()

    def _eject(self, now: float, why: str) -> str:
        self.ejections += 1
        self._probing = False
        self._in_a_row = 0
        self.until = now + min(self._patience.longest, self._patience.first * 2 ** (self.ejections - 1))
        return why
