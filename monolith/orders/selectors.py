"""Reads of orders."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from monolith.orders.contract import (
    EventRecord,
    LineRecord,
    OrderNotFound,
    OrderPage,
    OrderRecord,
    OrderSummary,
    PaymentState,
    ReturnRecord,
)
from monolith.orders.models import Order, OrderEvent, Return
from monolith.orders.settlement import payment_state_of, true_state
from monolith.payments.contract import payments


def summary(*, order_id: int) -> OrderSummary | None:
    columns = ("id", "number", "user_id", "state", "total", "currency")
    found = Order.objects.filter(pk=order_id).values_list(*columns).first()
    return OrderSummary(*found) if found else None


def newest_id() -> int:
    return Order.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def visible_to(*, user_id: int, is_staff: bool = False) -> QuerySet[Order]:
    """With all that ``records`` needs, newest first. A user sees their own orders, staff all."""
    # planted: select_related across contexts, orders → customers
    found = Order.objects.select_related("customer", "intent").prefetch_related("lines").order_by("-id")
    return found if is_staff else found.filter(user_id=user_id)


def records(found: Sequence[Order]) -> list[OrderRecord]:
    """Each with its payment: one query for all of them."""
    seen = payments.for_orders(order_ids=[order.pk for order in found]) if found else {}
    known = {order_id: PaymentState(payment.id, payment.state) for order_id, payment in seen.items()}
    return [_record(order, known.get(order.pk) or _from_intent(order)) for order in found]


def history(*, order_id: int) -> list[EventRecord]:
    columns = ("before", "after", "by", "reason", "at")
    return [EventRecord(*row) for row in OrderEvent.objects.filter(order_id=order_id).values_list(*columns)]


def returns(*, order_id: int) -> list[ReturnRecord]:
    return [return_record(made) for made in Return.objects.filter(order_id=order_id).prefetch_related("lines")]


def return_record(made: Return) -> ReturnRecord:
    lines = {line.line_id: line.quantity for line in made.lines.all()}
    return ReturnRecord(made.pk, made.order_id, str(made.state), made.reason, made.amount, lines)


def record(order_id: int) -> OrderRecord:
    return records([visible_to(user_id=0, is_staff=True).get(pk=order_id)])[0]


def page(*, user_id: int, offset: int, limit: int) -> OrderPage:
    found = visible_to(user_id=user_id)
    return OrderPage(records(list(found[offset : offset + limit])), found.count())


def get(*, user_id: int, number: str) -> OrderRecord:
    found = list(visible_to(user_id=user_id).filter(number=number))
    if not found:
        raise OrderNotFound(f"You have no order {number}.")
    return records(found)[0]


def _record(order: Order, payment: PaymentState | None) -> OrderRecord:
    return OrderRecord(
        id=order.pk,
        number=order.number,
        user_id=order.user_id,
        customer=order.customer.name,
        state=true_state(order.state, payment.state if payment else None),
        total=order.total,
        currency=order.currency,
        pay=order.pay,
        method=order.method,
        reason=order.reason,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        payment=payment,
        lines=tuple(LineRecord(line.sku, line.name, line.unit_price, line.quantity, line.pk) for line in order.lines.all()),
        discount=order.discount,
    )


def _from_intent(order: Order) -> PaymentState | None:
    intent = getattr(order, "intent", None)
    state = payment_state_of(intent.state) if intent else None
    return PaymentState(intent.payment_id, state) if intent and state else None
