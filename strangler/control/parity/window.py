"""Since when samples count: an old fault must not hold for ever, and a mended service is to be judged by what it does now.

The window of a context begins with its last reset (``strangler parity reset``, to be called where the service is deployed), or
with its last stay below shadow, where its rows were made anew; gates look at no more than the last day of it. A changed rule
begins anew by itself: counts stand under the fingerprint of the rules that they were made with.
"""

from __future__ import annotations

import datetime as dt
import hashlib

from django.db.models import Q

from strangler import conf
from strangler.control import receipts
from strangler.control.models import Receipt
from strangler.control.positions import position_of
from strangler.domain.parity.rules import Ruleset
from strangler.domain.stages import Stage
from strangler.errors import Misuse

RESET = "parity reset"
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def began(context: str) -> dt.datetime:
    """What was sampled before does not count."""
    below = Q(outcome="done", to_stage__in=[str(Stage.MONOLITH), str(Stage.MIRROR)])
    found = Receipt.objects.using(conf.setting("DATABASE")).filter(below | Q(verb=RESET), context=context)
    return found.order_by("-id").values_list("at", flat=True).first() or LONG_AGO


def reset(context: str, *, who: str, why: str) -> Receipt:
    """Begins anew; what was counted stays in the database for a while, and the receipt for ever. Raises ``Misuse``."""
    if context not in conf.estate().contexts:
        known = ", ".join(sorted(conf.estate().contexts)) or "none"
        raise Misuse(f"there is no context {context!r}; strangler.toml declares {known}")
    if not why.strip():
        raise Misuse('a reset needs a reason: --why "payments 1.4.2 rounds as the monolith does"')
    return receipts.remark(context, RESET, position_of(context), who=who, why=why)


def fingerprint(rules: Ruleset) -> str:
    """Of the rules that hold for an endpoint; ``why`` and by whom a rule was made changes no count."""
    if not rules.rules:
        return ""
    told = sorted((rule.endpoint, rule.field, str(rule.how)) for rule in rules.rules)
    return hashlib.sha256(repr((told, sorted(rules.origins))).encode()).hexdigest()[:16]
