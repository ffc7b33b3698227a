"""A person has dealt with what a dead service had acknowledged, or gives up what it still has; a receipt stays (P22)."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from strangler import conf
from strangler.control import receipts
from strangler.control.models import Receipt
from strangler.control.positions import context_named, position_of
from strangler.domain.gates import State, Verdict
from strangler.errors import Misuse
from strangler.sync import stranded

SETTLE, ABANDON = "settle", "abandon"


def settle(context: str, subjects: Sequence[str] | None, *, who: str, why: str) -> tuple[Receipt, int]:
    """The receipt, and how many keys it is about; all that wait without ``subjects``. Raises ``Misuse`` where one does not."""
    _reasoned(context, why)
    using = conf.setting("DATABASE")
    with transaction.atomic(using=using):
        done = stranded.settle(context, subjects, using)
        missing = sorted(set(subjects or ()) - set(done))
        if missing or not done:
            what = f"{missing[0]} is not" if missing else "nothing is"
            raise Misuse(f"{what} among the stranded changes of {context} that wait; see: strangler sync stranded {context}")
        verdicts = [Verdict("stranded", State.FAIL, subject, "settled", "dealt with by a person") for subject in done]
        return receipts.remark(context, SETTLE, position_of(context), who=who, why=why, verdicts=verdicts), len(done)


def abandon(context: str, *, who: str, why: str) -> Receipt:
    """The service will not come back: what it has and nobody fetched is lost. Raises ``Misuse`` where all is here."""
    _reasoned(context, why)
    using = conf.setting("DATABASE")
    with transaction.atomic(using=using):
        if not stranded.give_up(context, using):
            raise Misuse(f"nothing of {context} waits to be collected; see: strangler sync stranded {context}")
        lost = Verdict("stranded", State.FAIL, "not collected", "collected", "given up: the service will not come back")
        return receipts.remark(context, ABANDON, position_of(context), who=who, why=why, verdicts=[lost])


def _reasoned(context: str, why: str) -> None:
    context_named(context)
    if not why.strip():
        raise Misuse('this needs a reason, kept for ever: --reason "what was done about them"')
