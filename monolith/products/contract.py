"""What other contexts may know of products, and ask of the stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

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


@dataclass(frozen=True)
class Picture:
    url: str
    alt: str


class OutOfStock(Problem):
    title = "Out of stock"


class Products(Protocol):
    def by_sku(self, *, skus: Iterable[str], currency: str = "") -> dict[str, ProductRecord]:
        """The products that are on sale, by SKU; those that don't exist or are not on sale are left out.

        Prices are in ``currency``, by the rate of now; in the product's own where none is given or there is no rate.
        """

    def page(self, *, offset: int, limit: int, q: str = "", category: str = "", currency: str = "") -> ProductPage:
        """Products on sale, in the order in which they were listed; with ``q`` those with its words, the best first.

        ``category`` is a path: it and all below it. ``currency`` as above.
        """

    def currencies(self) -> list[str]:
        """In which one can pay."""

    def categories(self) -> list[dict[str, Any]]:
        """The tree: ``{"name", "path", "children": […]}``."""

    def pictures(self, *, product_ids: Iterable[int]) -> dict[int, list[Picture]]:
        """In order; products without one are left out."""

    def hold(self, *, reference: str, quantities: Mapping[int, int], minutes: int) -> bool:
        """Keep ``{product id: quantity}`` for somebody for a while. False if something is, or was, kept for this reference.

        Raises ``OutOfStock``.
        """

    def let_go(self, *, reference: str) -> bool:
        """Give back what is kept; whether there was something."""

    def reserve(self, *, quantities: Mapping[int, int], held: str = "") -> None:
        """Take ``{product id: quantity}`` off the stock, all or, within a transaction, none: raises ``OutOfStock``.

        What is kept for the reference ``held`` counts, and what of it is not wanted is given back.
        """

    def release(self, *, quantities: Mapping[int, int]) -> None:
        """Give ``{product id: quantity}`` back. Not idempotent: belongs into the transaction that notes why."""


products: Products = local("monolith.products.services.LocalProducts")
