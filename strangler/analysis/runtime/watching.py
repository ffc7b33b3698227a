"""What the ledger does at each statement of a unit that is traced: look who runs it, and note what it commits with."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from random import random
from types import FrameType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from strangler import conf
from strangler.analysis import survey
from strangler.analysis.runtime import handlers, transactions
from strangler.analysis.runtime.sites import NOWHERE, Place, Site, Sites
from strangler.analysis.runtime.storing import Kept
from strangler.analysis.usage import flushing, statements, units
from strangler.analysis.usage.statements import CONTROL
from strangler.analysis.usage.tally import Seen
from strangler.domain.coupling.atlas import Atlas
from strangler.errors import Misconfigured

SURE, AGAIN, MOST = 8, 1 / 16, 4_096

_known: tuple[object, Sites] | None = None
_stacks: dict[tuple[Any, Seen], tuple[int, tuple[Site, ...]]] = {}
gathered = Kept(lambda: sites().atlas)


def sites() -> Sites:
    """For the contexts as ``strangler.toml`` declares them now. With a wrong one nothing crosses until it is mended."""
    global _known
    declared = conf.load()[0]
    if _known is None or _known[0] is not declared:
        try:
            atlas = survey.atlas()
        except Misconfigured:
            atlas = Atlas()
        root = Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).resolve()
        _known = (declared, Sites(atlas, root))
        _stacks.clear()
    return _known[1]


def _stack(unit: units.Unit, seen: Seen, frame: FrameType) -> tuple[Site, ...]:
    """A walk to the view is dear. Where a statement has come from the same stack a few times in the same unit, it is believed
    to do so, and looked at now and then.
    """
    match = unit.request.resolver_match if unit.request is not None else None
    key = (match.func if match is not None else unit.name, seen)
    times, known = _stacks.get(key, (0, ()))
    if times >= SURE and random() >= AGAIN:
        return known
    found = sites().stack(frame)
    if len(_stacks) >= MOST:
        _stacks.clear()
    _stacks[key] = (times + 1 if found == known else 1, found)
    return found


class Tracer:
    def place(self) -> Place:
        return sites().innermost(sys._getframe(3)) if apps.ready else NOWHERE  # 3: who called record(), which calls note()

    def ran(self, connection: BaseDatabaseWrapper, unit: units.Unit, seen: Seen) -> None:
        head = seen.sql[:4].upper()
        if head == "SELE":
            return
        try:
            if head in CONTROL:
                transactions.control(connection, unit, seen.sql)
            else:
                place: Any = seen.place or NOWHERE
                if not place.site.is_test:
                    transactions.wrote(connection, unit, seen, functools.partial(_stack, unit, seen, sys._getframe(2)))
        except Exception as error:
            flushing.failed(error)

    def watch(self, connection: BaseDatabaseWrapper) -> None:
        transactions.watch(connection)


def install(share: float) -> None:
    """Begin to trace that share of the units in this process. Idempotent."""
    units.share = share
    units.UNKNOWN.is_traced = True
    statements.tracer = Tracer()
    handlers.install()
    if gathered not in flushing.readers:
        flushing.readers.append(gathered)
