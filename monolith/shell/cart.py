"""The cart: ``{sku: quantity}``, of a user in orders, of anybody else in the session; shown with the prices of now."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from monolith.orders.contract import MOST_OF_ONE, carts
from monolith.products.contract import ProductRecord, products
from monolith.shell import visitor

KEY = "cart"


@dataclass(frozen=True)
class CartLine:
    product: ProductRecord
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity


@dataclass(frozen=True)
class Cart:
    lines: list[CartLine]

    @property
    def total(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def currency(self) -> str:
        return self.lines[0].product.currency if self.lines else ""


def quantities(request: HttpRequest) -> dict[str, int]:
    user = _user(request)
    return carts.quantities(user_id=user) if user else dict(request.session.get(KEY, {}))


def put(request: HttpRequest, *, sku: str, quantity: int) -> None:
    """Have so many of it; none removes it."""
    user = _user(request)
    if user:
        carts.put(user_id=user, sku=sku, quantity=quantity)
        return
    wanted = quantities(request)
    wanted.pop(sku, None)
    if quantity > 0:
        wanted[sku] = min(quantity, MOST_OF_ONE)
    request.session[KEY] = wanted


def empty(request: HttpRequest) -> None:
    user = _user(request)
    if user:
        carts.clear(user_id=user)
    request.session.pop(KEY, None)


def _user(request: HttpRequest) -> int:
    return int(request.user.pk) if request.user.is_authenticated else 0


def priced(request: HttpRequest) -> Cart:
    """Without what is no longer on sale."""
    wanted = quantities(request)
    found = products.by_sku(skus=wanted, currency=visitor.currency(request)) if wanted else {}
    return Cart([CartLine(found[sku], quantity) for sku, quantity in wanted.items() if sku in found])


def cart_size(request: HttpRequest) -> dict[str, object]:
    """Context processor: how many things are in the cart, for pages that say it. Opens no session for those who have none."""
    known = hasattr(request, "session") and request.session.session_key
    return {"cart_size": SimpleLazyObject(lambda: sum(quantities(request).values())) if known else 0}
