"""The two ways out of ``pending``. Each happens once, whoever comes second changes nothing."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from monolith.orders.models import Order, OrderLine
from monolith.products.contract import products


def mark_paid(*, order_id: int, at: datetime | None) -> bool:
    """Whether it was pending until now. ``at`` is when the money came."""
    pending = Order.objects.filter(pk=order_id, state=Order.State.PENDING)
    now = timezone.now()
    return bool(pending.update(state=Order.State.PAID, paid_at=at or now, updated_at=now))


def mark_cancelled(*, order_id: int, reason: str) -> bool:
    """Cancel and give the stock back; within the caller's transaction. Whether it was not cancelled before."""
    live = Order.objects.filter(pk=order_id).exclude(state=Order.State.CANCELLED)
    now = timezone.now()
    if not live.update(state=Order.State.CANCELLED, reason=reason[:200], cancelled_at=now, updated_at=now):
        return False
    reserved = OrderLine.objects.filter(order_id=order_id).values_list("product_id", "quantity")
    products.release(quantities=dict(reserved))
    return True
