"""Goods that are kept for somebody for a while: taken off the stock at once, and given back once, whoever does it first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from monolith.products.contract import products
from monolith.products.models import Product, Reservation

State = Reservation.State


@transaction.atomic
def hold(*, reference: str, quantities: Mapping[int, int], minutes: int) -> bool:
    """All of ``{product id: quantity}`` or nothing: raises ``OutOfStock``. False if there is one for this reference already."""
    until = timezone.now() + timedelta(minutes=minutes)
    wanted = sorted(quantities.items())
    rows = [Reservation(reference=reference, product_id=pk, quantity=count, expires_at=until) for pk, count in wanted]
    before = Reservation.objects.filter(reference=reference).exists()
    Reservation.objects.bulk_create(rows, ignore_conflicts=True)
    if before or Reservation.objects.filter(reference=reference, expires_at=until).count() != len(rows):
        return False
    products.reserve(quantities=quantities)
    return True


@transaction.atomic
def use(*, reference: str, wanted: Mapping[int, int]) -> dict[int, int]:
    """They are sold: they stay off the stock. Gives what is still to be taken off it for ``wanted``; below 0: given back."""
    rows = list(Reservation.objects.select_for_update().filter(reference=reference, state=State.HELD))
    Reservation.objects.filter(pk__in=[row.pk for row in rows]).update(state=State.USED)
    held = {row.product_id: row.quantity for row in rows}
    return {pk: wanted.get(pk, 0) - held.get(pk, 0) for pk in {*wanted, *held}}


@transaction.atomic
def release(*, reference: str) -> bool:
    """Give them back; whether this call did."""
    return bool(_release(Reservation.objects.select_for_update().filter(reference=reference, state=State.HELD)))


def expire(*, batch: int = 500) -> int:
    """Give back what was held for too long; how many. Several at once share the work: each takes rows that no other has."""
    total = 0
    while True:
        with transaction.atomic():
            over = Reservation.objects.filter(state=State.HELD, expires_at__lte=timezone.now())
            count = _release(over.select_for_update(skip_locked=True).order_by("product_id", "id")[:batch])
        total += count
        if count < batch:
            return total


def _release(rows: object) -> int:
    """In order of product, as all who take locks on the stock."""
    found = sorted(rows, key=lambda row: (row.product_id, row.pk))  # type: ignore[call-overload]
    for row in found:
        Product.objects.filter(pk=row.product_id).update(stock=F("stock") + row.quantity)
    Reservation.objects.filter(pk__in=[row.pk for row in found]).update(state=State.RELEASED)
    return len(found)
