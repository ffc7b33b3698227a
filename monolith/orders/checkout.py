"""From a cart to an order.

While payments is local, order, stock and payment are one transaction (planted: it writes three contexts). Once it is a service
that is a saga: order, stock and the intent to charge are one transaction; the charge follows, with the intent's id as its key;
what came of it is recorded in a second one, which gives the stock back if there is no money (P18).
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from monolith.customers.contract import customers
from monolith.orders import intents, selectors
from monolith.orders.contract import OrderRecord, PaymentDeclined, Placed, UnknownCurrency, UnknownProduct, Wanted
from monolith.orders.coupons import redeem
from monolith.orders.models import Order, OrderLine, PaymentIntent
from monolith.orders.states import mark_cancelled
from monolith.payments.contract import payments
from monolith.problems import KeyReused
from monolith.products.contract import ProductRecord, products
from strangler.seams import Claim, Fenced, claim

IN_FLIGHT = timedelta(seconds=10)  # longer than the request that made the intent still tries by itself


def checkout(*, user_id: int, key: str, wanted: Wanted) -> Placed:
    """The contract's ``checkout``. Retried whole once where the owner of payments changed under it (P17)."""
    before = _placed_before(user_id, key, wanted)
    if before is not None:
        return Placed(_unless_declined(before), repeated=True)
    try:
        try:
            order_id, intent = _place(user_id, key, wanted)
        except Fenced:
            order_id, intent = _place(user_id, key, wanted)
    except IntegrityError:
        before = _placed_before(user_id, key, wanted)
        if before is None:
            raise
        return Placed(_unless_declined(before), repeated=True)
    if intent is not None:
        intents.pursue(intent)
    return Placed(_unless_declined(selectors.record(order_id)), repeated=False)


def _fingerprint(wanted: Wanted) -> str:
    """SHA-256 by which another request with the same key is told apart."""
    further = {name: value for name, value in (("coupon", _code(wanted)), ("currency", wanted.currency)) if value}
    asked = json.dumps([sorted(wanted.quantities.items()), wanted.method, wanted.pay, *([further] if further else [])])
    return hashlib.sha256(asked.encode()).hexdigest()


def _code(wanted: Wanted) -> str:
    return wanted.coupon.strip().upper()


def _placed_before(user_id: int, key: str, wanted: Wanted) -> OrderRecord | None:
    found = Order.objects.filter(user_id=user_id, idempotency_key=key).values_list("id", "fingerprint").first()
    if found is None:
        return None
    if found[1] != _fingerprint(wanted):
        raise KeyReused("This Idempotency-Key was used for another checkout.")
    return selectors.record(found[0])


def _unless_declined(order: OrderRecord) -> OrderRecord:
    if order.state == Order.State.CANCELLED and order.payment and order.payment.state in ("declined", "failed"):
        raise PaymentDeclined(order.reason or "The payment was declined.", order=order.id, number=order.number)
    return order


@transaction.atomic
def _place(user_id: int, key: str, wanted: Wanted) -> tuple[int, PaymentIntent | None]:
    """One transaction. Gives the intent that is to be pursued after the commit, if payments is remote."""
    side = claim("payments") if wanted.pay == Order.Pay.NOW else None
    quantities, goods = wanted.quantities, _goods(wanted)
    currency = next(iter(goods.values())).currency
    subtotal = sum((product.price * quantities[sku] for sku, product in goods.items()), Decimal(0))
    coupon, off = None, Decimal(0)
    if wanted.coupon.strip():
        coupon, off = redeem(code=_code(wanted), subtotal=subtotal, currency=currency, now=timezone.now())
    order = Order.objects.create(
        customer_id=customers.for_user(user_id=user_id).id,
        user_id=user_id,
        total=subtotal - off,
        discount=off,
        coupon=coupon,
        currency=currency,
        pay=wanted.pay,
        method=wanted.method,
        idempotency_key=key,
        fingerprint=_fingerprint(wanted),
    )
    # planted: bulk_create, of rows that point to another context
    OrderLine.objects.bulk_create(_line(order, product, quantities[sku]) for sku, product in goods.items())
    amounts = {product.id: quantities[sku] for sku, product in goods.items()}
    products.reserve(quantities=amounts, held=key if wanted.held else "")
    if side is Claim.LOCAL:
        _charge_here(order)
    elif side is Claim.REMOTE:
        due = timezone.now() + IN_FLIGHT
        return order.pk, PaymentIntent.objects.create(order=order, method=wanted.method, next_attempt_at=due)
    return order.pk, None


def _goods(wanted: Wanted) -> dict[str, ProductRecord]:
    found = products.by_sku(skus=wanted.quantities, currency=wanted.currency)
    missing = sorted(set(wanted.quantities) - set(found))
    if missing or not wanted.quantities:
        raise UnknownProduct("These products are not on sale.", skus=missing)
    currencies = {product.currency for product in found.values()}
    if wanted.currency and currencies != {wanted.currency}:
        raise UnknownCurrency("These products can't be paid in %(currency)s; choose another currency.", currency=wanted.currency)
    if len(currencies) > 1:
        raise UnknownProduct(
            "These products have different currencies; order them apart, or say in which one.", skus=sorted(found)
        )
    return {sku: found[sku] for sku in wanted.quantities}


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
