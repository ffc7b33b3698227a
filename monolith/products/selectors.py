"""Reads of products."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import Exists, OuterRef, QuerySet

from monolith.products import currencies
from monolith.products.contract import Picture, ProductPage, ProductRecord
from monolith.products.models import WORDS, Placement, Product, ProductImage

COLUMNS = ("id", "sku", "name", "price", "currency", "stock", "description")


def on_sale() -> QuerySet[Product]:
    return Product.objects.filter(is_active=True).order_by("id")


def records_by_sku(*, skus: Iterable[str], currency: str = "") -> dict[str, ProductRecord]:
    found = records(on_sale().filter(sku__in=list(skus)), currency=currency)
    return {record.sku: record for record in found}


def page(*, offset: int, limit: int, q: str = "", category: str = "", currency: str = "") -> ProductPage:
    found = search(q=q, category=category)
    return ProductPage(records(found[offset : offset + limit], currency=currency), found.count())


def records(found: QuerySet[Product], *, currency: str = "") -> list[ProductRecord]:
    return currencies.convert((ProductRecord(*row) for row in found.values_list(*COLUMNS)), currency)


def search(
    *,
    q: str = "",
    category: str = "",
    min_price: Decimal | None = None,
    max_price: Decimal | None = None,
    in_stock: bool | None = None,
    order: str = "",
) -> QuerySet[Product]:
    """On sale; what is not given does not narrow. With words the best match first, unless another order is asked for."""
    found = on_sale()
    if q:
        words = SearchQuery(q, config="english", search_type="websearch")
        found = found.annotate(words=WORDS).filter(words=words).annotate(rank=SearchRank(WORDS, words)).order_by("-rank", "id")
    if category:
        found = found.filter(Exists(Placement.objects.filter(product=OuterRef("pk"), category__path__startswith=category)))
    asked = {"price__gte": min_price, "price__lte": max_price, "stock__gt": 0 if in_stock else None}
    found = found.filter(**{name: value for name, value in asked.items() if value is not None})
    return found.order_by(order, "id") if order else found


def pictures(*, product_ids: Iterable[int]) -> dict[int, list[Picture]]:
    found: dict[int, list[Picture]] = {}
    for image in ProductImage.objects.filter(product_id__in=list(product_ids)):
        found.setdefault(image.product_id, []).append(Picture(image.file.url, image.alt))
    return found
