"""Which fields of a differing row differ, and how: what one asks next at three in the morning.

The names may stand anywhere. The values may be secrets, so whoever shows them was asked to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from strangler.sync import digest, drift
from strangler.sync.comparison import DriftReport, Remote, parts
from strangler.sync.database import snapshot


@dataclass(frozen=True)
class Field:
    """Canonical texts (DESIGN section 5); None is NULL, or that the side has no such column."""

    name: str
    source: str | None
    destination: str | None


def of(
    report: DriftReport, at_most: int, *, using: str | None = None, client: Remote | None = None
) -> dict[tuple[str, str], list[Field]]:
    """(collection, key) → fields that differ now, of the first ``at_most`` rows that both sides have.

    A row that is equal by now has none. A row is left out if the service doesn't tell its rows. Raises ``ServiceUnavailable``.
    """
    comparison, known, _ = drift.begin(report.stream, using, client)
    found: dict[tuple[str, str], list[Field]] = {}
    wanted: dict[str, list[str]] = {}
    for name, key, kind in report.differing:
        if kind == "different" and name in known and sum(map(len, wanted.values())) < at_most:
            wanted.setdefault(name, []).append(key)
    for name, keys in wanted.items():
        for part in parts(keys):
            there = comparison.client.rows(name, part)
            if there is None:
                return found
            with snapshot(using) as cursor:
                here = digest.texts_of(cursor, known[name], part)
            source, destination = (there, here) if comparison.is_reverse else (here, there)
            for key in set(source) & set(destination):
                found[name, key] = list(_unlike(source[key], destination[key]))
    return found


def _unlike(source: dict[str, str | None], destination: dict[str, str | None]) -> Iterator[Field]:
    for name in sorted({*source, *destination}):
        field = Field(name, source.get(name), destination.get(name))
        if field.source != field.destination or (name in source) != (name in destination):
            yield field
