"""Lengths of time as people write them, ``10m``, and as they say them, ``10 min``."""

from __future__ import annotations

import re

WRITTEN = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def seconds(text: str) -> float:
    """``"10m"`` → 600.0. Raises ``ValueError`` naming the form it takes."""
    match = WRITTEN.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 10s or 5m")
    return float(match[1]) * SECONDS[match[2]]


def span(seconds: float) -> str:
    """``5400`` → ``1.5 h``, for what is held against another length: minutes are whole ones, so none is full too early."""
    for size, unit in UNITS[:2]:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds // 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def about(seconds: float) -> str:
    """``5000`` → ``83 min``: in whole units, for what is estimated or goes by; never less than a second."""
    for size, unit in UNITS:
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"
