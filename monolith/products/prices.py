"""Prices and what they were."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from django.db import transaction
from django.utils import timezone

from monolith.products.models import Price, Product

CENT = Decimal("0.01")


@transaction.atomic
def set_price(*, product_id: int, amount: Decimal) -> None:
    """The product's row is locked: its price and the open one of its history are the same at every commit."""
    product = Product.objects.select_for_update().get(pk=product_id)
    _note([product], {product.pk: amount})
    product.price = amount
    product.save(update_fields=["price", "updated_at"])


@transaction.atomic
def raise_prices(*, product_ids: Sequence[int], percent: Decimal) -> int:
    """By so many percent, to the cent; how many. planted: bulk_update and bulk_create, which send no signals."""
    products = list(Product.objects.select_for_update().filter(pk__in=product_ids).order_by("pk"))
    amounts = {each.pk: (each.price * (100 + percent) / 100).quantize(CENT, ROUND_HALF_UP) for each in products}
    _note(products, amounts)
    for product in products:
        product.price = amounts[product.pk]
    return Product.objects.bulk_update(products, ["price"], batch_size=1000)


def _note(products: Sequence[Product], amounts: dict[int, Decimal]) -> None:
    """Closes the open prices, and opens the new ones. What has no history yet gets the price of until now."""
    now = timezone.now()
    ids = [product.pk for product in products]
    known = set(Price.objects.filter(product__in=ids, valid_until=None).values_list("product_id", flat=True))
    Price.objects.filter(product__in=ids, valid_until=None).update(valid_until=now)
    first = [
        Price(product=each, amount=each.price, currency=each.currency, valid_from=each.created_at, valid_until=now)
        for each in products
        if each.pk not in known
    ]
    opened = [Price(product=each, amount=amounts[each.pk], currency=each.currency, valid_from=now) for each in products]
    Price.objects.bulk_create([*first, *opened], batch_size=1000)
