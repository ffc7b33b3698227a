"""Lengths of time as people write them, ``10m``, and as they say them, ``10 min``."""

from __future__ import annotations

import re

WRITTEN = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """``"10m"`` → 600.0. Raises ``ValueError`` naming the form it takes."""
    match = WRITTEN.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 10s or 5m")
    return float(match[1]) * SECONDS[match[2]]
