"""Reading one's own writes: positions after a write, markers of the streams, and when a destination is fresh (P23, P24).

A position says how far a user has written on a database: ``{"monolith": (0, 123), "payments": (7, 88)}``, by database the
epoch and the value ``C`` of its marker sequence after the commit. A marker ``M`` of a stream says: everything up to ``M`` is
applied at its destination. The destination is fresh for ``C`` iff ``M > C``; an unknown marker is never fresh.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Positions = Mapping[str, tuple[int, int]]
Markers = Mapping[str, int]
Awaited = tuple[tuple[str, int], ...]
"""What must be passed before a read is fresh: (stream, C) pairs."""

NOWHERE: Positions = {}
_ENTRY = re.compile(r"^([A-Za-z_][\w-]{0,63})([.:])(\d{1,9})\2(\d{1,18})$", re.ASCII)
_MOST = 32


def _parse(entries: Iterable[str], separator: str) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        match = _ENTRY.match(entry.strip())
        if match and match[2] == separator and (match[1] in found or len(found) < _MOST):
            place = (int(match[3]), int(match[4]))
            found[match[1]] = max(place, found.get(match[1], place))
    return found


def from_cookie(value: str) -> dict[str, tuple[int, int]]:
    """Positions out of ``monolith.0.123~payments.7.88``. What is malformed is left out: the cookie comes from outside."""
    return _parse(value.split("~"), ".")


def from_header(value: str) -> dict[str, tuple[int, int]]:
    """Positions out of an application's ``X-Strangler-Position: monolith:0:123,payments:7:88``."""
    return _parse(value.split(","), ":")


def to_cookie(positions: Positions) -> str:
    return "~".join(f"{database}.{epoch}.{place}" for database, (epoch, place) in sorted(positions.items()))


def merge(first: Positions, second: Positions) -> dict[str, tuple[int, int]]:
    """The later position of each database: the higher epoch, and within it the higher place."""
    merged = dict(first)
    for database, place in second.items():
        merged[database] = max(place, merged.get(database, place))
    return merged


def unmet(awaited: Awaited, markers: Markers) -> Awaited:
    """Those of ``awaited`` that the markers do not pass yet. Empty means fresh."""
    return tuple((stream, place) for stream, place in awaited if markers.get(stream, -1) <= place)
