"""What an order's state has to be, given its payment. Pure, so that pages, tasks and tests agree."""

from __future__ import annotations

from monolith.orders.models import Order, PaymentIntent
from monolith.payments.contract import PAID

_INTENT_AS_PAYMENT = {
    PaymentIntent.State.OPEN: "processing",
    PaymentIntent.State.AUTHORISED: "authorised",
    PaymentIntent.State.CAPTURED: "captured",
    PaymentIntent.State.DECLINED: "declined",
    PaymentIntent.State.REFUND_DUE: "captured",
    PaymentIntent.State.REFUNDED: "refunded",
}


def true_state(noted: str, payment_state: str | None) -> str:
    """The row may be a moment behind the payment, never the page: a pending order with money in it is paid."""
    return str(Order.State.PAID) if noted == Order.State.PENDING and payment_state in PAID else noted


def payment_state_of(intent_state: str) -> str | None:
    """What is known of the payment from its intent, until the payment itself is seen here."""
    return _INTENT_AS_PAYMENT.get(PaymentIntent.State(intent_state))
