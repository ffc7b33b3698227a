"""The way of an order. Each step is a compare-and-swap on the state: whoever comes second changes nothing.

pending → paid → packed → shipped → delivered → returned
   ╰───────┴───────┴──→ cancelled
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from monolith.orders import coupons
from monolith.orders.models import Order, OrderEvent, OrderLine
from monolith.products.contract import products

State = Order.State
FROM: dict[str, tuple[str, ...]] = {
    State.PAID: (State.PENDING,),
    State.PACKED: (State.PAID,),
    State.SHIPPED: (State.PACKED,),
    State.DELIVERED: (State.SHIPPED,),
    State.RETURNED: (State.DELIVERED,),
    State.CANCELLED: (State.PENDING, State.PAID, State.PACKED),
}


def move(*, order_id: int, to: str, by: int | None = None, because: str = "", **columns: Any) -> str | None:
    """One step, with its line in the history, within the caller's transaction. The state before; None if it can't go there."""
    for before in FROM[to]:
        here = Order.objects.filter(pk=order_id, state=before)
        if here.update(state=to, updated_at=timezone.now(), **columns):
            OrderEvent.objects.create(order_id=order_id, before=before, after=to, by=by, reason=because[:200])
            return before
    return None


def mark_paid(*, order_id: int, at: datetime | None) -> bool:
    """Whether it was pending until now. ``at`` is when the money came."""
    return move(order_id=order_id, to=State.PAID, paid_at=at or timezone.now()) is not None


def mark_cancelled(*, order_id: int, reason: str, by: int | None = None) -> bool:
    """Cancel, give the stock back and the use of a coupon. Whether it could be cancelled and was not before."""
    reason, now = reason[:200], timezone.now()
    if move(order_id=order_id, to=State.CANCELLED, by=by, because=reason, reason=reason, cancelled_at=now) is None:
        return False
    reserved = OrderLine.objects.filter(order_id=order_id).values_list("product_id", "quantity")
    products.release(quantities=dict(reserved))
    coupons.give_back(order_id=order_id)
    return True
