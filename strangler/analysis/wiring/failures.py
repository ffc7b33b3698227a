"""How what could not be asked is told."""

from __future__ import annotations

from strangler.domain.coupling.edges import Skipped

REACHED = (Exception, SystemExit)
"""What the project's own code may raise when it is imported."""


def skip(what: str, where: str, error: BaseException) -> Skipped:
    said = (str(error).strip().splitlines() or [""])[0]
    return Skipped(what, where, f"{type(error).__name__}: {said}".removesuffix(": "))
