"""Who uses a context in the monolith, for the gates ``writers`` (P27) and ``unused``, and for ``strangler usage``."""

from __future__ import annotations

from strangler import conf
from strangler.analysis.usage import storing
from strangler.domain import gates
from strangler.domain.estate import Context
from strangler.domain.gates import DAY_S, Verdict
from strangler.domain.usage import Recording, Use, foreign_writers

NEVER = Recording(())


def writers(context: Context) -> Verdict:
    days = context.gates.writers_days
    found = foreign_writers(_uses(context, days), context.also_written_by)
    return gates.writers(context.name, found, _recording(days), days=days)


def unused(context: Context, *, keep_copy: bool) -> Verdict:
    days = context.gates.retire_days
    return gates.unused(context.name, _uses(context, days), _recording(days), days=days, keep_copy=keep_copy)


def seen(context: Context, days: float) -> tuple[list[Use], Recording]:
    return storing.uses(context.name, days * DAY_S), storing.recording()


def _uses(context: Context, days: float) -> list[Use]:
    return storing.uses(context.name, days * DAY_S) if days else []


def _recording(days: float) -> Recording:
    return storing.recording() if days and conf.setting("USAGE") else NEVER
