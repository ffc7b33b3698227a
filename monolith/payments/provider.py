"""The payment provider of a test world: what it answers follows from the method, and it remembers without a store.

=============  ====================================================================
``ok``         captures
``authorise``  holds the money until it is captured
``declined``   declines
``timeout``    captures, but its answer is lost; asked again by key, it tells
``twice``      captures, and answers twice, as providers' webhooks do
=============  ====================================================================

Like real ones it is idempotent: the same key gives the same charge and the same reference, however often it is asked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext_noop as noted

_OUTCOMES = {"ok": "captured", "authorise": "authorised", "declined": "declined", "timeout": "captured", "twice": "captured"}


class ProviderTimeout(Exception):
    """No answer. The charge may have been made: ask again with ``find``."""


@dataclass(frozen=True)
class Answer:
    """``state`` is captured, authorised, declined or refunded."""

    state: str
    reference: str
    reason: str = ""


def charge(*, key: str, method: str, amount: Decimal, currency: str) -> tuple[Answer, ...]:
    """Every answer that comes, in order. Raises ``ProviderTimeout``."""
    answer = find(key=key, method=method)
    if method == "timeout":
        raise ProviderTimeout(key)
    return (answer, answer) if method == "twice" else (answer,)


def find(*, key: str, method: str) -> Answer:
    """What became of the charge with this key; made now, if it never arrived."""
    state = _OUTCOMES[method]
    return Answer(state, _reference("ch", key), noted("The card was declined.") if state == "declined" else "")


def capture(*, reference: str) -> Answer:
    """Take the money that is held. Idempotent."""
    return Answer("captured", reference)


def refund(*, key: str, reference: str, amount: Decimal) -> Answer:
    """Give money back. Idempotent by key."""
    return Answer("refunded", _reference("re", f"{reference}:{key}"))


def _reference(kind: str, key: str) -> str:
    return f"{kind}_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
