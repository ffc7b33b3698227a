"""What other contexts may know of orders, and ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from monolith.binding import local
from monolith.problems import NotFound, Problem


@dataclass(frozen=True)
class OrderSummary:
    """What payments needs to judge a payment. Read from the order's own row alone, which is all that a service has of it."""

    id: int
    number: str
    user_id: int
    state: str
    total: Decimal
    currency: str


@dataclass(frozen=True)
class LineRecord:
    sku: str
    name: str
    unit_price: Decimal
    quantity: int
    id: int = 0

    @property
    def total(self) -> Decimal:
        return self.unit_price * self.quantity


@dataclass(frozen=True)
class PaymentState:
    """``id`` is None while nobody knows whether there is a payment."""

    id: int | None
    state: str


@dataclass(frozen=True)
class OrderRecord:
    """``state`` is what is true, with the payment looked at: pending, paid, packed, shipped, delivered, returned or cancelled."""

    id: int
    number: str
    user_id: int
    customer: str
    state: str
    total: Decimal
    currency: str
    pay: str
    method: str
    reason: str
    placed_at: datetime
    paid_at: datetime | None
    payment: PaymentState | None
    lines: tuple[LineRecord, ...]
    discount: Decimal = Decimal(0)


@dataclass(frozen=True)
class EventRecord:
    """A step of the order's way. ``by`` is a user's id, None for the shop itself."""

    before: str
    after: str
    by: int | None
    reason: str
    at: datetime


@dataclass(frozen=True)
class ReturnRecord:
    """``state`` is requested, approved, rejected, received or refunded; ``lines`` is {order line id: quantity}."""

    id: int
    order_id: int
    state: str
    reason: str
    amount: Decimal
    lines: Mapping[int, int]


@dataclass(frozen=True)
class OrderPage:
    orders: list[OrderRecord]
    total: int


@dataclass(frozen=True)
class Wanted:
    """An order that is to be. ``quantities`` by SKU; ``pay`` is now or later; paid in ``currency``, by the rate of now, "" being
    that of the products. ``held``: goods are kept for the key of the checkout.
    """

    quantities: Mapping[str, int]
    method: str
    pay: str
    coupon: str = ""
    currency: str = ""
    held: bool = False


@dataclass(frozen=True)
class Placed:
    """The answer to a checkout; ``repeated`` if it was placed by an earlier one with the same key."""

    order: OrderRecord
    repeated: bool


class OrderNotFound(NotFound):
    pass


class UnknownProduct(Problem):
    status = 400
    title = "Unknown product"


class UnknownCurrency(Problem):
    status = 400
    title = "Unknown currency"


class CouponRefused(Problem):
    status = 400
    title = "Coupon refused"


class ReturnRefused(Problem):
    title = "Return refused"


class NotThatWay(Problem):
    """The order can't take this step from where it is."""

    title = "Not that way"


class PaymentDeclined(Problem):
    """The order was cancelled because its payment was declined. ``order`` and ``number`` name it."""

    status = 402
    title = "Payment declined"


class Orders(Protocol):
    def newest_id(self) -> int:
        """The greatest id of an order that is known here; 0 where there is none. A read copy may be behind."""

    def summary(self, *, order_id: int) -> OrderSummary | None:
        """The order's own row, or ``None``."""

    def page(self, *, user_id: int, offset: int, limit: int) -> OrderPage:
        """The user's orders, newest first."""

    def get(self, *, user_id: int, number: str) -> OrderRecord:
        """Raises ``OrderNotFound``."""

    def history(self, *, order_id: int) -> list[EventRecord]: ...

    def returns(self, *, order_id: int) -> list[ReturnRecord]: ...

    def request_return(self, *, user_id: int, order_id: int, quantities: Mapping[int, int], reason: str) -> ReturnRecord:
        """``{order line id: quantity}`` of a delivered order. Raises ``OrderNotFound``, ``ReturnRefused``."""

    def checkout(self, *, user_id: int, key: str, wanted: Wanted) -> Placed:
        """Idempotent by ``(user_id, key)``.

        Where the outcome of the payment is not known in time, the order is pending with a payment that is processing, and will be
        paid or cancelled by itself.

        Raises ``UnknownProduct``, ``UnknownCurrency``, ``OutOfStock``, ``CouponRefused``, ``PaymentDeclined``, ``KeyReused``.
        """

    def cancel(self, *, user_id: int, order_id: int) -> OrderRecord:
        """Cancel, give the stock back and what was paid. Idempotent.

        Raises ``OrderNotFound``, ``NotThatWay`` for what was shipped, and what payments raises.
        """


class Carts(Protocol):
    """``{sku: quantity}`` of a user."""

    def quantities(self, *, user_id: int) -> dict[str, int]: ...

    def put(self, *, user_id: int, sku: str, quantity: int) -> None:
        """Have so many of it, ``MOST_OF_ONE`` at most; none removes it."""

    def add(self, *, user_id: int, quantities: Mapping[str, int]) -> None:
        """Have so many more of each."""

    def clear(self, *, user_id: int) -> None: ...


MOST_OF_ONE = 99
orders: Orders = local("monolith.orders.services.LocalOrders")
carts: Carts = local("monolith.orders.carts.LocalCarts")
