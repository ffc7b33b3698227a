"""One contract, local or remote code behind it (P17, P18): all of the product that application code may import.

Names are imported when they are first used, so ``import strangler.seams`` is safe before Django's apps are ready and needs
neither requests nor Celery until something is called.

===============================  =========================================================================
``seam``                         an object that implements a contract: reads local, writes where the owner is
``claim``, ``Claim``             fixes local or remote for a transaction
``ServiceHttp``                  the HTTP client of remote implementations
``owner_task``                   a Celery task that runs only where its context is owned (P19)
``on_row_applied``               be told of rows that the other side changed (P9)
``loosen_deletes``               ``on_delete`` across contexts (P25)
``Fenced``, ``NotOwner``, …      what can go wrong; all are ``strangler.errors.StranglerError``
===============================  =========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strangler.errors import Fenced
    from strangler.seams.claims import Claim, claim, resolve
    from strangler.seams.errors import NotOwner, OutsideTransaction, RemoteInsideTransaction, SeamTimeout, SeamUnavailable
    from strangler.seams.http import ServiceHttp
    from strangler.seams.loose import loosen_deletes, sweep_orphans
    from strangler.seams.resolution import seam
    from strangler.seams.rows import on_row_applied
    from strangler.seams.tasks import owner_task

_HOME = {
    "Claim": "claims",
    "Fenced": "errors",
    "NotOwner": "errors",
    "OutsideTransaction": "errors",
    "RemoteInsideTransaction": "errors",
    "SeamTimeout": "errors",
    "SeamUnavailable": "errors",
    "ServiceHttp": "http",
    "claim": "claims",
    "loosen_deletes": "loose",
    "on_row_applied": "rows",
    "owner_task": "tasks",
    "resolve": "claims",
    "seam": "resolution",
    "sweep_orphans": "loose",
}

__all__ = [
    "Claim",
    "Fenced",
    "NotOwner",
    "OutsideTransaction",
    "RemoteInsideTransaction",
    "SeamTimeout",
    "SeamUnavailable",
    "ServiceHttp",
    "claim",
    "loosen_deletes",
    "on_row_applied",
    "owner_task",
    "resolve",
    "seam",
    "sweep_orphans",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"strangler.seams has no {name}")
    return getattr(import_module(f"strangler.seams.{_HOME[name]}"), name)
