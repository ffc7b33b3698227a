"""A request to pay an order, before it becomes a charge: is it a repetition, and is the order there to be paid?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from monolith.orders.contract import OrderSummary, orders
from monolith.payments import services
from monolith.payments.contract import PaymentRecord, PaymentRefused
from monolith.payments.models import IdempotencyKey, Payment
from monolith.problems import KeyReused, NotFound, NotYetKnown
from strangler.seams import Claim, resolve

COPY_PATIENCE_S = 2.0
COPY_PAUSE_S = 0.02


def answered(*, user_id: int, key: str, order: int, **asked: Any) -> dict[str, Any] | None:
    """What was answered to this key before. Raises ``KeyReused`` if that was for something else."""
    stored = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if stored is None:
        return None
    if stored.fingerprint != services.fingerprint(order_id=order, **asked):
        raise KeyReused("This Idempotency-Key was used for another payment.")
    return dict(stored.response)


def charge(*, user_id: int, key: str, trusted: bool, asked: Mapping[str, Any]) -> PaymentRecord:
    """Charge what the user asked for. ``trusted``: the caller owns the orders and has looked itself.

    Raises ``NotFound``, ``NotYetKnown``, ``PaymentRefused``, ``KeyReused``.
    """
    begun = Payment.objects.filter(user_id=user_id, idempotency_key=key).exists()
    if not begun and not trusted:
        _check(_order(asked["order"]), user_id, asked)
    return services.LocalPayments().charge(
        key=key,
        order_id=asked["order"],
        user_id=user_id,
        amount=asked["amount"],
        currency=asked["currency"],
        method=asked["method"],
    )


def _order(order_id: int) -> OrderSummary | None:
    """The order; where it is a read copy, one that was placed a moment ago may still be on its way.

    Raises ``NotYetKnown`` where it did not come in time and is newer than all that came: that it doesn't exist can't be said.
    """
    found = orders.summary(order_id=order_id)
    if found is None and resolve("orders") is Claim.REMOTE:
        deadline = time.monotonic() + COPY_PATIENCE_S
        while found is None and time.monotonic() < deadline:
            time.sleep(COPY_PAUSE_S)
            found = orders.summary(order_id=order_id)
        if found is None and order_id > orders.newest_id():
            raise NotYetKnown(f"Order {order_id} is not known here yet. Send it again with the same key.", order=order_id)
    return found


def _check(order: OrderSummary | None, user_id: int, asked: Mapping[str, Any]) -> None:
    if order is None or order.user_id != user_id:
        raise NotFound(f"You have no order {asked['order']}.")
    if order.state != "pending":
        raise PaymentRefused(f"The order is {order.state}; only a pending one can be paid.", order=order.id)
    if (order.total, order.currency) != (asked["amount"], asked["currency"]):
        raise PaymentRefused(f"The order costs {order.total} {order.currency}.", order=order.id)
