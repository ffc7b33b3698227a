"""What a 421 "not executed" said, and how often and how long a request is routed anew after one (P20)."""

from __future__ import annotations

import json
from typing import Any

from strangler.domain.stages import Side
from strangler_proxy.settings import Limits

_MOST = 64 * 1024


class Misdirected:
    """One for a request, kept over its tries. ``since`` is the loop's time of the first 421."""

    __slots__ = ("_pause", "_said", "_since", "_tries", "answer", "swallowing")

    def __init__(self, since: float) -> None:
        self._since = since
        self._tries = 0
        self._pause = 0.01
        self._said: dict[str, Any] | None = None
        self.answer = bytearray()
        self.swallowing = True

    def take(self, data: bytes) -> None:
        self._said = None
        if len(self.answer) + len(data) <= _MOST:
            self.answer += data

    def _body(self) -> dict[str, Any]:
        if self._said is None:
            try:
                said = json.loads(bytes(self.answer))
            except ValueError:
                said = {}
            self._said = said if isinstance(said, dict) else {}
        return self._said

    @property
    def epoch(self) -> int:
        epoch = self._body().get("epoch")
        return epoch if isinstance(epoch, int) else -1

    def owner(self) -> tuple[int, Side]:
        """Epoch and owner as the application named them; ``none`` for anything that is not a side."""
        owner = self._body().get("owner")
        return self.epoch, Side(owner) if owner in ("monolith", "service") else Side.NONE

    def newer_owner(self, stamped: int) -> bool:
        """Whether it named an owner at a newer epoch than the request's stamp."""
        return self.epoch > stamped and self.owner()[1] is not Side.NONE

    def again(self, limits: Limits) -> bool:
        """Counts a try at a named owner; False after too many."""
        self._tries += 1
        return self._tries <= limits.reroute_tries

    def left(self, now: float, limits: Limits) -> float:
        return self._since + limits.reroute_time - now

    def pause(self) -> float:
        """How long to wait before asking again: ever longer."""
        self._pause = min(2 * self._pause, 0.5)
        return self._pause
