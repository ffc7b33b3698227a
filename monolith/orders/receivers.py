"""What orders does when money comes: at once where the payment is made here, after the apply where a service made it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from monolith.orders import services
from monolith.orders.states import mark_paid
from monolith.payments.contract import PaymentRecord, payment_captured
from strangler.seams import Claim, claim, on_row_applied, resolve


def connect() -> None:
    payment_captured.connect(_on_captured, dispatch_uid="orders.payment_captured")
    on_row_applied("payments.Payment", _on_applied)


def _on_captured(*, payment: PaymentRecord, **_: Any) -> None:
    """planted: in the transaction of the payment, across contexts.

    Where orders is a read copy nothing happens: its owner learns it from the payment's row.
    """
    if claim("orders") is Claim.LOCAL:
        mark_paid(order_id=payment.order_id, at=payment.captured_at)


def _on_applied(key: str, op: str) -> None:
    if op == "upsert":
        transaction.on_commit(partial(_settle, int(key)), robust=True)


def _settle(payment_id: int) -> None:
    if resolve("orders") is Claim.LOCAL:
        services.settle(payment_id=payment_id)
