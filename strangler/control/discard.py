"""An operator lets quarantined rows be: for a reason, and with a receipt that stays."""

from __future__ import annotations

from django.db import transaction

from strangler import conf
from strangler.control import receipts
from strangler.control.models import Receipt
from strangler.control.positions import position_of
from strangler.domain.gates import State, Verdict
from strangler.errors import Misuse
from strangler.sync import quarantine
from strangler.sync.models import Stream

DISCARD = "discard"


def discard(stream: str, collection: str | None, key: str | None, *, who: str, why: str) -> tuple[Receipt, int]:
    """The receipt, and how many keys it is about. Mark and receipt are one transaction.

    Nothing is lost by it: the rows are known drift from now on, and no hand-over passes its gates while they are
    (``quarantine``). Raises ``Misuse`` without a reason, or where nothing waits.
    """
    using = conf.setting("DATABASE")
    if not why.strip():
        raise Misuse('a discard needs a reason: --reason "why these rows may stay behind"')
    row = Stream.objects.using(using).filter(name=stream).first()
    if row is None:
        raise Misuse(f"there is no stream {stream!r}; see: strangler sync status")
    with transaction.atomic(using=using):
        chosen = quarantine.discard(stream, collection, key, using)
        if not chosen:
            raise Misuse(f"none of these keys of {stream} waits in quarantine; see: strangler sync quarantine list")
        verdicts = [Verdict("quarantine", State.FAIL, f"{name}/{one}", "applied", error) for name, one, error in chosen]
        receipt = receipts.remark(row.context, DISCARD, position_of(row.context), who=who, why=why, verdicts=verdicts)
    return receipt, len(chosen)
