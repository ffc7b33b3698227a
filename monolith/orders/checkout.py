"""From a cart to an order.

While payments is local, order, stock and payment are one transaction (planted: it writes three contexts). Once it is a service
that is a saga: order, stock and the intent to charge are one transaction; the charge follows, with the intent's id as its key;
what came of it is recorded in a second one, which gives the stock back if there is no money (P18).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from monolith.customers.contract import customers
from monolith.orders import intents, selectors
from monolith.orders.contract import OrderRecord, PaymentDeclined, Placed, UnknownProduct
from monolith.orders.coupons import redeem
from monolith.orders.models import Order, OrderLine, PaymentIntent
from monolith.orders.states import mark_cancelled
from monolith.payments.contract import payments
from monolith.problems import KeyReused
from monolith.products.contract import ProductRecord, products
from strangler.seams import Claim, Fenced, claim

IN_FLIGHT = timedelta(seconds=10)  # longer than the request that made the intent still tries by itself


def checkout(*, user_id: int, key: str, quantities: Mapping[str, int], method: str, pay: str, coupon: str = "") -> Placed:
    """The contract's ``checkout``. Retried whole once where the owner of payments changed under it (P17)."""
    asked = json.dumps([sorted(quantities.items()), method, pay, *([coupon.strip().upper()] if coupon else [])])
    fingerprint = hashlib.sha256(asked.encode()).hexdigest()
    before = _placed_before(user_id, key, fingerprint)
    if before is not None:
        return Placed(_unless_declined(before), repeated=True)

    def place() -> tuple[int, PaymentIntent | None]:
        return _place(user_id, key, fingerprint, quantities, method, pay, coupon)

    try:
        try:
            order_id, intent = place()
        except Fenced:
            order_id, intent = place()
    except IntegrityError:
        before = _placed_before(user_id, key, fingerprint)
        if before is None:
            raise
        return Placed(_unless_declined(before), repeated=True)
    if intent is not None:
        intents.pursue(intent)
    return Placed(_unless_declined(selectors.record(order_id)), repeated=False)


def _placed_before(user_id: int, key: str, fingerprint: str) -> OrderRecord | None:
    found = Order.objects.filter(user_id=user_id, idempotency_key=key).values_list("id", "fingerprint").first()
    if found is None:
        return None
    if found[1] != fingerprint:
        raise KeyReused("This Idempotency-Key was used for another checkout.")
    return selectors.record(found[0])


def _unless_declined(order: OrderRecord) -> OrderRecord:
    if order.state == Order.State.CANCELLED and order.payment and order.payment.state in ("declined", "failed"):
        raise PaymentDeclined(order.reason or "The payment was declined.", order=order.id, number=order.number)
    return order


@transaction.atomic
def _place(
    user_id: int, key: str, fingerprint: str, quantities: Mapping[str, int], method: str, pay: str, code: str
) -> tuple[int, PaymentIntent | None]:
    """One transaction. Gives the intent that is to be pursued after the commit, if payments is remote."""
    now = pay == Order.Pay.NOW
    side = claim("payments") if now else None
    goods = _goods(quantities)
    currency = next(iter(goods.values())).currency
    subtotal = sum((product.price * quantities[sku] for sku, product in goods.items()), Decimal(0))
    coupon, off = redeem(code=code, subtotal=subtotal, currency=currency, now=timezone.now()) if code else (None, Decimal(0))
    order = Order.objects.create(
        customer_id=customers.for_user(user_id=user_id).id,
        user_id=user_id,
        total=subtotal - off,
        discount=off,
        coupon=coupon,
        currency=currency,
        pay=pay,
        method=method,
        idempotency_key=key,
        fingerprint=fingerprint,
    )
    OrderLine.objects.bulk_create(_line(order, product, quantities[sku]) for sku, product in goods.items())
    products.reserve(quantities={product.id: quantities[sku] for sku, product in goods.items()})
    if side is Claim.LOCAL:
        _charge_here(order)
    elif side is Claim.REMOTE:
        due = timezone.now() + IN_FLIGHT
        return order.pk, PaymentIntent.objects.create(order=order, method=method, next_attempt_at=due)
    return order.pk, None


def _goods(quantities: Mapping[str, int]) -> dict[str, ProductRecord]:
    found = products.by_sku(skus=quantities)
    missing = sorted(set(quantities) - set(found))
    if missing or not quantities:
        raise UnknownProduct("These products are not on sale.", skus=missing)
    if len({product.currency for product in found.values()}) > 1:
        raise UnknownProduct("These products have different currencies; order them apart.", skus=sorted(found))
    return {sku: found[sku] for sku in quantities}


def _line(order: Order, product: ProductRecord, quantity: int) -> OrderLine:
    return OrderLine(
        order=order, product_id=product.id, sku=product.sku, name=product.name, unit_price=product.price, quantity=quantity
    )


def _charge_here(order: Order) -> None:
    """planted: one transaction over orders, products and payments. That the order is paid, the event of the charge notes."""
    payment = payments.charge(
        key=f"checkout-{order.number}",
        order_id=order.pk,
        user_id=order.user_id,
        amount=order.total,
        currency=order.currency,
        method=order.method,
    )
    if payment.state in ("declined", "failed"):
        mark_cancelled(order_id=order.pk, reason=payment.reason)
