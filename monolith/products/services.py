"""Writes of products: the stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from monolith.products import categories, currencies, reservations, selectors
from monolith.products.contract import OutOfStock, Picture, ProductPage, ProductRecord
from monolith.products.models import Product


class LocalProducts:
    """Rows are taken in order of id, so that two checkouts of the same goods wait instead of deadlocking."""

    def by_sku(self, *, skus: Iterable[str], currency: str = "") -> dict[str, ProductRecord]:
        return selectors.records_by_sku(skus=skus, currency=currency)

    def page(self, *, offset: int, limit: int, q: str = "", category: str = "", currency: str = "") -> ProductPage:
        return selectors.page(offset=offset, limit=limit, q=q, category=category, currency=currency)

    def currencies(self) -> list[str]:
        return currencies.known()

    def categories(self) -> list[dict[str, Any]]:
        return categories.tree()

    def pictures(self, *, product_ids: Iterable[int]) -> dict[int, list[Picture]]:
        return selectors.pictures(product_ids=product_ids)

    def reserve(self, *, quantities: Mapping[int, int], held: str = "") -> None:
        missing = reservations.use(reference=held, wanted=quantities) if held else quantities
        for product_id, quantity in sorted(missing.items()):
            if quantity < 0:
                self.release(quantities={product_id: -quantity})
            elif quantity:
                self._take(product_id, quantity)

    def _take(self, product_id: int, quantity: int) -> None:
        # planted: QuerySet.update(F()), also by checkouts of orders
        on_hand = Product.objects.filter(pk=product_id, is_active=True, stock__gte=quantity)
        if not on_hand.update(stock=F("stock") - quantity, updated_at=Now()):
            raise OutOfStock("There is not enough left of one of the products.", product=product_id, wanted=quantity)

    def hold(self, *, reference: str, quantities: Mapping[int, int], minutes: int) -> bool:
        return reservations.hold(reference=reference, quantities=quantities, minutes=minutes)

    def let_go(self, *, reference: str) -> bool:
        return reservations.release(reference=reference)

    def release(self, *, quantities: Mapping[int, int]) -> None:
        for product_id, quantity in sorted(quantities.items()):
            Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity, updated_at=Now())
