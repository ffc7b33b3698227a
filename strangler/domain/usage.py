"""Who uses a context, as it was recorded, and for which time that record is complete. Ages are seconds before now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strangler.domain.durations import span

ROLES = ("web", "worker")  # of the processes that must have recorded
OFF = "is one running, STRANGLER_USAGE not off, and sqlglot installed (pip install django-strangler[analysis])?"
GAP_S = 3600.0  # between two spans of a role there may be as much: a deploy, an hour in which nothing ran


@dataclass(frozen=True)
class Use:
    """``access``: hit, read, write or unclear (a statement that names the table and could not be read)."""

    access: str
    table: str
    kind: str
    source: str
    through: bool
    own: bool
    count: int
    age_s: float
    last_at: str = ""

    def __str__(self) -> str:
        what = f"{self.access} {self.table}" if self.table else self.access
        return f"{self.kind} {self.source or '(not known)'}: {what}, {self.count} times, last {span(self.age_s)} ago"


@dataclass(frozen=True)
class Span:
    """Processes of ``role`` recorded from ``began_s`` ago until ``until_s`` ago; with ``lost`` that many uses were lost then."""

    role: str
    began_s: float
    until_s: float
    lost: int = 0


@dataclass(frozen=True)
class Recording:
    spans: tuple[Span, ...]

    def covers_s(self, role: str) -> float | None:
        """How long, up to now, the role's record has no gap. None where it has none now."""
        reached: float | None = None
        for one in sorted((one for one in self.spans if one.role == role and not one.lost), key=lambda one: one.until_s):
            if one.until_s - (reached or 0.0) > GAP_S:
                break
            reached = max(reached or 0.0, one.began_s)
        return reached

    @property
    def lost_s(self) -> float | None:
        """How long ago uses were lost last."""
        return min((one.until_s for one in self.spans if one.lost), default=None)

    @property
    def complete_s(self) -> float | None:
        """For how long, up to now, all is known. None where it isn't."""
        covered = [self.covers_s(role) for role in ROLES]
        if None in covered:
            return None
        limits = [*covered, *([self.lost_s] if self.lost_s is not None else [])]
        return min(one for one in limits if one is not None)

    def why_short(self, needed_s: float) -> str:
        """Why the record is not complete for so long, in words; empty where it is."""
        needs = f"needs {span(needed_s)}"
        for role in ROLES:
            covered = self.covers_s(role)
            if covered is None:
                return f"no {role} process records now; {OFF}"
            if covered < needed_s:
                return f"recording of {role} processes since {span(covered)}, {needs}"
        if self.lost_s is not None and self.lost_s < needed_s:
            return f"uses were lost {span(self.lost_s)} ago, as memory had no room; complete since then, {needs}"
        return ""


def foreign_writers(uses: Sequence[Use], declared: Sequence[str]) -> list[Use]:
    """Who writes from outside, and neither through the seam nor by a declared request."""
    outside = [use for use in uses if use.access in ("write", "unclear") and not use.own and not use.through]
    return [use for use in outside if not _is_declared(use, declared)]


def _is_declared(use: Use, declared: Sequence[str]) -> bool:
    """``declared``: the paths of ``also_written_by``. A request is named by its URL pattern, ``POST /api/orders/<int:id>/``."""
    if use.kind != "request":
        return False
    there = _segments(use.source.partition(" ")[2])
    return any(_covers(_segments(path), there) for path in declared)


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _covers(prefix: list[str], path: list[str]) -> bool:
    """On segment borders. A declared ``{id}`` fits anything; what is variable in the request's pattern fits nothing else."""
    return len(prefix) <= len(path) and all(a == b or a.startswith("{") for a, b in zip(prefix, path, strict=False))
