"""Writes of orders."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.db import transaction
from django.utils.translation import gettext_noop as noted

from monolith.orders import returns, selectors
from monolith.orders.checkout import checkout
from monolith.orders.contract import (
    EventRecord,
    NotThatWay,
    OrderNotFound,
    OrderPage,
    OrderRecord,
    OrderSummary,
    Placed,
    ReturnRecord,
    Wanted,
)
from monolith.orders.models import Order, PaymentIntent
from monolith.orders.states import FROM, mark_cancelled, mark_paid, move
from monolith.payments.contract import PAID, PaymentRefused, payments
from strangler.seams import Claim, Fenced, NotOwner, SeamTimeout, SeamUnavailable, claim

log = logging.getLogger(__name__)
BY_CUSTOMER = noted("cancelled by the customer")
NOT_NOW = (SeamUnavailable, SeamTimeout, NotOwner, Fenced, PaymentRefused)


class LocalOrders:
    def newest_id(self) -> int:
        return selectors.newest_id()

    def summary(self, *, order_id: int) -> OrderSummary | None:
        return selectors.summary(order_id=order_id)

    def page(self, *, user_id: int, offset: int, limit: int) -> OrderPage:
        return selectors.page(user_id=user_id, offset=offset, limit=limit)

    def get(self, *, user_id: int, number: str) -> OrderRecord:
        return selectors.get(user_id=user_id, number=number)

    def history(self, *, order_id: int) -> list[EventRecord]:
        return selectors.history(order_id=order_id)

    def returns(self, *, order_id: int) -> list[ReturnRecord]:
        return selectors.returns(order_id=order_id)

    def request_return(self, *, user_id: int, order_id: int, quantities: Mapping[int, int], reason: str) -> ReturnRecord:
        made = returns.request(user_id=user_id, order_id=order_id, quantities=quantities, reason=reason)
        return selectors.return_record(made)

    def checkout(self, *, user_id: int, key: str, wanted: Wanted) -> Placed:
        return checkout(user_id=user_id, key=key, wanted=wanted)

    def cancel(self, *, user_id: int, order_id: int) -> OrderRecord:
        return order_cancel(user_id=user_id, order_id=order_id)


def order_cancel(*, user_id: int, order_id: int) -> OrderRecord:
    """The contract's ``cancel``. Where payments is a service the money goes back first: then the order can't lie."""
    if not Order.objects.filter(pk=order_id, user_id=user_id).exists():
        raise OrderNotFound(f"You have no order {order_id}.")
    if not _cancel_here(order_id, user_id):
        _refund(order_id)
        with transaction.atomic():
            mark_cancelled(order_id=order_id, reason=BY_CUSTOMER, by=user_id)
    return selectors.record(order_id)


@transaction.atomic
def _cancel_here(order_id: int, user_id: int) -> bool:
    """Cancel in one transaction, with the refund if payments is local. False if a remote refund has to come first."""
    side = claim("payments")
    order = Order.objects.select_for_update(of=("self",)).get(pk=order_id)
    if order.state == Order.State.CANCELLED:
        return True
    if order.state not in FROM[Order.State.CANCELLED]:
        raise NotThatWay("The order is %(state)s; send it back instead.", state=order.state)
    if _money_in(order):
        if side is Claim.REMOTE:
            return False
        _refund(order_id)
    return mark_cancelled(order_id=order_id, reason=BY_CUSTOMER, by=user_id)


@transaction.atomic
def advance(*, order_id: int, to: str, by: int) -> OrderRecord:
    """A step that staff takes: packed, shipped, delivered. Again it changes nothing. Raises ``OrderNotFound``, ``NotThatWay``."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        raise OrderNotFound(f"There is no order {order_id}.")
    if move(order_id=order_id, to=to, by=by) is None and order.state != to:
        raise NotThatWay(f"The order is {order.state}; it can't be {to} next.")
    return selectors.record(order_id)


def _money_in(order: Order) -> bool:
    payment = payments.for_orders(order_ids=[order.pk]).get(order.pk)
    return order.state in (Order.State.PAID, Order.State.PACKED) or (payment is not None and payment.state in PAID)


def _refund(order_id: int) -> None:
    """Through the seam. Idempotent: also for what is refunded already."""
    order = Order.objects.get(pk=order_id)
    payment = payments.for_orders(order_ids=[order_id]).get(order_id)
    intent = PaymentIntent.objects.filter(order_id=order_id).first()
    payment_id = payment.id if payment else intent and intent.payment_id
    if payment_id is None:
        raise PaymentRefused("The payment of this order is not known yet; try again in a moment.")
    payments.refund(payment_id=payment_id, user_id=order.user_id, key=f"cancelled-{order.number}")
    if intent:
        PaymentIntent.objects.filter(pk=intent.pk, payment_id=payment_id).update(state=PaymentIntent.State.REFUNDED)


def settle(*, payment_id: int | None = None, limit: int = 500) -> int:
    """Bring orders to what their payments say: mark paid, refund what was captured for a cancelled one; how many.

    Idempotent; the floor under the events. With ``payment_id`` it looks at that payment's order alone.
    """
    scope = {} if payment_id is None else {"payments__id": payment_id}
    # planted: lookups across contexts, orders → payments; after a cut-over they read its read copy
    paid = Order.objects.filter(state=Order.State.PENDING, payments__state__in=PAID, **scope)
    settled = [
        mark_paid(order_id=order_id, at=captured_at)
        for order_id, captured_at in paid.values_list("id", "payments__captured_at")[:limit]
    ]
    owed = Order.objects.filter(state=Order.State.CANCELLED, payments__state__in=["captured", "partly_refunded"], **scope)
    for order_id in owed.values_list("id", flat=True)[:limit]:
        try:
            _refund(order_id)
            settled.append(True)
        except NOT_NOW as error:
            log.warning("orders.refund_unfinished", extra={"order": order_id, "error": str(error)})
    return sum(settled)
