"""Goods that come back, and the money for them.

The refund is asked for after the commit of what it is for, with the return's id in its key (P18): killed in between, or with
payments away, the periodic task asks again, and the same money is never given back twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext_noop as noted

from monolith.orders.contract import OrderNotFound, ReturnRefused
from monolith.orders.models import Order, OrderLine, Return, ReturnLine
from monolith.orders.states import move
from monolith.payments.contract import PaymentRefused, payments
from monolith.products.contract import products
from strangler.seams import Fenced, NotOwner, SeamTimeout, SeamUnavailable

log = logging.getLogger(__name__)
State = Return.State
NOT_NOW = (SeamUnavailable, SeamTimeout, NotOwner, Fenced, PaymentRefused)


@transaction.atomic
def request(*, user_id: int, order_id: int, quantities: Mapping[int, int], reason: str = "") -> Return:
    """``{order line id: quantity}``. The order's row is locked: together never more than was bought.

    Raises ``OrderNotFound``, ``ReturnRefused``.
    """
    order = Order.objects.select_for_update(of=("self",)).filter(pk=order_id, user_id=user_id).first()
    if order is None:
        raise OrderNotFound(f"You have no order {order_id}.")
    if order.state != Order.State.DELIVERED:
        raise ReturnRefused("The order is %(state)s; only a delivered one can be returned.", state=order.state)
    lines = {line.pk: line for line in OrderLine.objects.filter(order=order)}
    left = _left(order, lines)
    wrong = [pk for pk, quantity in quantities.items() if not 0 < quantity <= left.get(pk, 0)]
    if wrong or not quantities:
        raise ReturnRefused("Give lines of this order, and no more than you have of them.", lines=wrong)
    amount = _worth(order, lines, left, quantities)
    made = Return.objects.create(order=order, reason=reason[:200], amount=amount)
    ReturnLine.objects.bulk_create(ReturnLine(returned=made, line_id=pk, quantity=count) for pk, count in quantities.items())
    return made


@transaction.atomic
def decide(*, return_id: int, to: str) -> bool:
    """Approve or reject what was requested; whether that was possible."""
    asked = Return.objects.filter(pk=return_id, state=State.REQUESTED)
    return bool(asked.update(state=to, updated_at=timezone.now()))


def receive(*, return_id: int, by: int | None = None) -> bool:
    """The goods are here: back to the stock with them, and then the money; whether this call did it."""
    with transaction.atomic():
        order_id = Return.objects.filter(pk=return_id).values_list("order_id", flat=True).first()
        Order.objects.select_for_update(of=("self",)).filter(pk=order_id).first()
        approved = Return.objects.filter(pk=return_id, state=State.APPROVED)
        if not approved.update(state=State.RECEIVED, updated_at=timezone.now()):
            return False
        back: dict[int, int] = {}
        for product_id, quantity in ReturnLine.objects.filter(returned_id=return_id).values_list("line__product_id", "quantity"):
            back[product_id] = back.get(product_id, 0) + quantity
        products.release(quantities=back)
        if order_id and _all_back(order_id):
            move(order_id=order_id, to=Order.State.RETURNED, by=by, because=noted("all of it came back"))
    refund_due(Return.objects.select_related("order").get(pk=return_id))
    return True


def refund_due(returned: Return) -> bool:
    """Ask for the money of one that was received. Not in a transaction; what fails stays due."""
    payment = payments.for_orders(order_ids=[returned.order_id]).get(returned.order_id)
    try:
        if returned.amount:
            if payment is None:
                raise PaymentRefused("The payment of this order is not known yet.")
            payments.refund(
                payment_id=payment.id, user_id=returned.order.user_id, key=f"return-{returned.pk}", amount=returned.amount
            )
    except NOT_NOW as error:
        log.warning("orders.return_unfinished", extra={"return": returned.pk, "error": str(error)})
        return False
    due = Return.objects.filter(pk=returned.pk, state=State.RECEIVED)
    return bool(due.update(state=State.REFUNDED, updated_at=timezone.now()))


def resume(*, limit: int = 100) -> int:
    """Everything that was received and not paid back; how many were done. Idempotent, and safe to run twice at a time."""
    due = Return.objects.filter(state=State.RECEIVED).select_related("order").order_by("updated_at")[:limit]
    return sum(refund_due(returned) for returned in due)


def _left(order: Order, lines: Mapping[int, OrderLine]) -> dict[int, int]:
    """What can still be returned: {line: quantity}."""
    live = ReturnLine.objects.filter(returned__order=order).exclude(returned__state=State.REJECTED)
    taken = dict(live.values_list("line").annotate(sum=Sum("quantity")))
    return {pk: line.quantity - taken.get(pk, 0) for pk, line in lines.items()}


def _worth(order: Order, lines: Mapping[int, OrderLine], left: Mapping[int, int], quantities: Mapping[int, int]) -> Decimal:
    """A share of what was paid, by price, rounded down; who returns the last piece gets the remainder."""
    given = Return.objects.filter(order=order).exclude(state=State.REJECTED).aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    if all(quantities.get(pk, 0) == count for pk, count in left.items()):
        return order.total - given
    subtotal = sum((line.unit_price * line.quantity for line in lines.values()), Decimal(0))
    mine = sum((lines[pk].unit_price * count for pk, count in quantities.items()), Decimal(0))
    return min(order.total - given, (mine * order.total / subtotal).quantize(Decimal("0.01"), ROUND_DOWN)) if subtotal else mine


def _all_back(order_id: int) -> bool:
    bought = OrderLine.objects.filter(order_id=order_id).aggregate(sum=Sum("quantity"))["sum"]
    arrived = ReturnLine.objects.filter(returned__order_id=order_id, returned__state__in=[State.RECEIVED, State.REFUNDED])
    return bool(bought) and arrived.aggregate(sum=Sum("quantity"))["sum"] == bought
