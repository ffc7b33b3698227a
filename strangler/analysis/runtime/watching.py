"""What the ledger does at each statement of a unit that is traced: look who runs it, and note what it commits with."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from strangler import conf
from strangler.analysis import survey
from strangler.analysis.runtime import handlers, transactions
from strangler.analysis.runtime.sites import NOWHERE, Place, Sites
from strangler.analysis.runtime.storing import Kept
from strangler.analysis.usage import flushing, statements, units
from strangler.analysis.usage.statements import CONTROL
from strangler.analysis.usage.tally import Seen
from strangler.domain.coupling.atlas import Atlas
from strangler.errors import Misconfigured

_known: tuple[object, Sites] | None = None
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
    return _known[1]


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
                    transactions.wrote(connection, unit, seen, functools.partial(sites().stack, sys._getframe(2)))
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
