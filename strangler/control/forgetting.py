"""What was learnt of a context on its way, taken away when it is uninstalled (P2): some of it holds rows and answers of users.

Receipts stay: they are the record of what was done, and go with ``migrate strangler zero``.
"""

from __future__ import annotations

from django.db import transaction

from strangler import conf
from strangler.analysis.usage.models import Usage
from strangler.control.models import RampRun
from strangler.control.parity.models import ParityBucket, ParityPair
from strangler.errors import StranglerError
from strangler.sync import stranded
from strangler.sync.models import Stranded, Stranding

LEARNT = (ParityBucket, ParityPair, Usage, RampRun, Stranded, Stranding)


def check(context: str) -> None:
    """Raises ``StranglerError`` while a write that a dead service had acknowledged waits for a person (P22)."""
    if stranded.pending(context) or stranded.waiting(context):
        raise StranglerError(
            f"{context}: what its dead service had acknowledged has not been settled, and would be forgotten;"
            f" first: strangler sync stranded {context}"
        )


def forget(context: str) -> None:
    using = conf.setting("DATABASE")
    with transaction.atomic(using=using):
        for model in LEARNT:
            model.objects.using(using).filter(context=context).delete()
