"""Writes of products: the stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import F
from django.db.models.functions import Now

from monolith.products import selectors
from monolith.products.contract import OutOfStock, ProductPage, ProductRecord
from monolith.products.models import Product


class LocalProducts:
    """Rows are taken in order of id, so that two checkouts of the same goods wait instead of deadlocking."""

    def by_sku(self, *, skus: Iterable[str]) -> dict[str, ProductRecord]:
        return selectors.records_by_sku(skus=skus)

    def page(self, *, offset: int, limit: int) -> ProductPage:
        return selectors.page(offset=offset, limit=limit)

    def reserve(self, *, quantities: Mapping[int, int]) -> None:
        for product_id, quantity in sorted(quantities.items()):
            on_hand = Product.objects.filter(pk=product_id, is_active=True, stock__gte=quantity)
            if not on_hand.update(stock=F("stock") - quantity, updated_at=Now()):
                raise OutOfStock("There is not enough left of one of the products.", product=product_id, wanted=quantity)

    def release(self, *, quantities: Mapping[int, int]) -> None:
        for product_id, quantity in sorted(quantities.items()):
            Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity, updated_at=Now())
