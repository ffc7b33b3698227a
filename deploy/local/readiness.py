"""When a process counts as ready: it answers, not merely runs."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deploy.local.child import Child


class Readiness(Protocol):
    def __call__(self, child: Child) -> bool:
        """Whether ``child`` is ready now. Never blocks longer than a second, never raises."""


@dataclass(frozen=True)
class Answers:
    """A GET of ``url`` is answered with 200."""

    url: str

    def __call__(self, child: Child) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def as_command(self, python: str) -> tuple[str, ...]:
        """The same question as a program of its own."""
        return (python, "-c", f"import urllib.request; urllib.request.urlopen({self.url!r}, timeout=2)")


@dataclass(frozen=True)
class Says:
    """Its log has ``text`` since this start."""

    text: str

    def __call__(self, child: Child) -> bool:
        return self.text in child.log_since_start()


@dataclass(frozen=True)
class Holds:
    """A check of the server's own: ``check()`` is true."""

    check: Callable[[], bool]

    def __call__(self, child: Child) -> bool:
        return self.check()
