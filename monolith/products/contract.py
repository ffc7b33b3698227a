"""What other contexts may know of products, and ask of the stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from monolith.binding import local
from monolith.problems import Problem


@dataclass(frozen=True)
class ProductRecord:
    id: int
    sku: str
    name: str
    price: Decimal
    currency: str
    stock: int
    description: str = ""


@dataclass(frozen=True)
class ProductPage:
    products: list[ProductRecord]
    total: int


class OutOfStock(Problem):
    title = "Out of stock"


class Products(Protocol):
    def by_sku(self, *, skus: Iterable[str]) -> dict[str, ProductRecord]:
        """The products that are on sale, by SKU; those that don't exist or are not on sale are left out."""

    def page(self, *, offset: int, limit: int) -> ProductPage:
        """Products on sale, in the order in which they were listed."""

    def reserve(self, *, quantities: Mapping[int, int]) -> None:
        """Take ``{product id: quantity}`` off the stock, all or, within a transaction, none: raises ``OutOfStock``."""

    def release(self, *, quantities: Mapping[int, int]) -> None:
        """Give ``{product id: quantity}`` back. Not idempotent: belongs into the transaction that notes why."""


products: Products = local("monolith.products.services.LocalProducts")
