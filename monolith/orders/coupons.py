"""Coupons: what one takes off an order, and that it is not used more often than it may."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import F

from monolith.orders.contract import CouponRefused
from monolith.orders.models import Coupon, Order

CENT = Decimal("0.01")


def redeem(*, code: str, subtotal: Decimal, currency: str, now: datetime) -> tuple[Coupon, Decimal]:
    """The coupon and the discount, used once more; within the transaction of the order. Raises ``CouponRefused``."""
    coupon = Coupon.objects.filter(code=code.strip().upper()).first()
    if coupon is None or not coupon.valid_from <= now < coupon.valid_until or not _fits(coupon, currency):
        raise CouponRefused("This coupon is not valid, or not now.", coupon=code)
    if subtotal < coupon.min_total:
        least = f"{coupon.min_total} {coupon.currency}"
        raise CouponRefused("This coupon is for orders from %(least)s.", coupon=code, least=least)
    # The limit stands in the statement that counts: of two at once for the last use one finds none left.
    if not Coupon.objects.filter(pk=coupon.pk, used__lt=F("max_uses")).update(used=F("used") + 1):
        raise CouponRefused("This coupon has been used up.", coupon=code)
    return coupon, discount(coupon, subtotal)


def _fits(coupon: Coupon, currency: str) -> bool:
    """A percentage without a minimum is the same in every currency."""
    return coupon.currency == currency or (coupon.amount is None and not coupon.min_total)


def discount(coupon: Coupon, subtotal: Decimal) -> Decimal:
    """To the cent, never more than the order."""
    off = coupon.amount if coupon.amount is not None else subtotal * (coupon.percent or 0) / 100
    return min(subtotal, off.quantize(CENT, ROUND_HALF_UP))


def give_back(*, order_id: int) -> None:
    """The use of a coupon, when its order was cancelled; within that transaction, so once."""
    used = Order.objects.filter(pk=order_id).exclude(coupon=None).values("coupon")
    Coupon.objects.filter(pk__in=used, used__gt=0).update(used=F("used") - 1)
