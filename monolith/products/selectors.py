"""Reads of products."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from monolith.products.contract import ProductPage, ProductRecord
from monolith.products.models import Product

COLUMNS = ("id", "sku", "name", "price", "currency", "stock", "description")


def on_sale() -> QuerySet[Product]:
    return Product.objects.filter(is_active=True).order_by("id")


def records_by_sku(*, skus: Iterable[str]) -> dict[str, ProductRecord]:
    return {row[1]: ProductRecord(*row) for row in on_sale().filter(sku__in=list(skus)).values_list(*COLUMNS)}


def page(*, offset: int, limit: int) -> ProductPage:
    rows = on_sale().values_list(*COLUMNS)[offset : offset + limit]
    return ProductPage([ProductRecord(*row) for row in rows], on_sale().count())
