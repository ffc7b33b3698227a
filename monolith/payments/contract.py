"""What other contexts may know of payments, and ask of them. The code behind ``payments`` is local or a service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from django.dispatch import Signal

from monolith.problems import NotFound, Problem
from strangler.seams import seam

METHODS = ("ok", "authorise", "declined", "timeout", "twice")  # what the test provider knows
PAID = frozenset({"captured", "partly_refunded", "refunded"})  # the money came, even if it went back later


@dataclass(frozen=True)
class PaymentRecord:
    """``state``: processing (outcome not known), authorised, captured, declined, partly_refunded, refunded or failed."""

    id: int
    order_id: int
    user_id: int
    amount: Decimal
    currency: str
    method: str
    state: str
    idempotency_key: str
    provider_reference: str
    reason: str
    created_at: datetime
    captured_at: datetime | None
    refunded: Decimal = Decimal(0)


class PaymentNotFound(NotFound):
    pass


class PaymentRefused(Problem):
    """Payments won't do this to a payment in its present state, or for this order."""

    title = "Payment refused"


class Payments(Protocol):
    def charge(self, *, key: str, order_id: int, user_id: int, amount: Decimal, currency: str, method: str) -> PaymentRecord:
        """Charge an order; the caller has checked that it exists, is the user's and costs this.

        Idempotent by ``(user_id, key)``: asked again it continues what was begun and answers with the same payment. A decline is
        an answer, not an error. Raises ``KeyReused``, or ``PaymentRefused`` if the order has another payment under way.
        """

    def capture(self, *, payment_id: int, user_id: int) -> PaymentRecord:
        """Take what is held. Idempotent. Raises ``PaymentNotFound``, ``PaymentRefused``."""

    def refund(self, *, payment_id: int, user_id: int, key: str, amount: Decimal | None = None) -> PaymentRecord:
        """Give ``amount`` back, or all that is left. Idempotent by key; of what is refunded whole also with another one.

        Raises ``PaymentNotFound``, ``PaymentRefused``, or ``KeyReused`` if the key was used for another amount.
        """

    def for_orders(self, *, order_ids: Iterable[int]) -> dict[int, PaymentRecord]:
        """The payment that counts, by order id: the one with money in it, else the newest. Reads the local rows."""


payments: Payments = seam(
    "payments",
    local="monolith.payments.services.LocalPayments",
    remote="monolith.payments.remote.RemotePayments",
    writes={"charge", "capture", "refund"},
)

# Event: money arrived for an order, here, in the transaction that notes it. Arguments: ``payment: PaymentRecord``. It is not
# sent where the row was applied from the other side; who needs both listens to ``strangler.seams.on_row_applied`` as well.
payment_captured = Signal()
