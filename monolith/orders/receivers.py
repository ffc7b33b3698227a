"""What orders does when money comes: at once where the payment is made here, after the apply where a service made it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.db import transaction

from monolith.orders import services
from monolith.orders.contract import carts
from monolith.orders.states import mark_paid
from monolith.payments.contract import PaymentRecord, payment_captured
from strangler.seams import Claim, claim, on_row_applied, resolve

SESSION_CART = "cart"


def connect() -> None:
    # planted: a signal across contexts, of users' log-in
    user_logged_in.connect(_on_log_in, dispatch_uid="orders.user_logged_in")
    payment_captured.connect(_on_captured, dispatch_uid="orders.payment_captured")
    on_row_applied("payments.Payment", _on_applied)


def _on_captured(*, payment: PaymentRecord, **_: Any) -> None:
    """planted: in the transaction of the payment, across contexts.

    Where orders is a read copy nothing happens: its owner learns it from the payment's row.
    """
    if claim("orders") is Claim.LOCAL:
        mark_paid(order_id=payment.order_id, at=payment.captured_at)


def _on_log_in(*, request: Any, user: Any, **_: Any) -> None:
    """planted: what somebody put into their cart before they said who they are joins what they had."""
    session = getattr(request, "session", None)
    anonymous = session.pop(SESSION_CART, None) if session is not None else None
    if anonymous:
        carts.add(user_id=user.pk, quantities=anonymous)


def _on_applied(key: str, op: str) -> None:
    if op == "upsert":
        transaction.on_commit(partial(_settle, int(key)), robust=True)


def _settle(payment_id: int) -> None:
    if resolve("orders") is Claim.LOCAL:
        services.settle(payment_id=payment_id)
