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
    """``state`` is what is true, with the payment looked at: pending, paid or cancelled."""

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


@dataclass(frozen=True)
class OrderPage:
    orders: list[OrderRecord]
    total: int


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

    def checkout(self, *, user_id: int, key: str, quantities: Mapping[str, int], method: str, pay: str) -> Placed:
        """Order ``{sku: quantity}``; ``pay`` is now or later. Idempotent by ``(user_id, key)``.

        Raises ``UnknownProduct``, ``OutOfStock``, ``PaymentDeclined``, ``KeyReused``. Where the outcome of the payment is not
        known in time, the order is pending with a payment that is processing, and will be paid or cancelled by itself.
        """

    def cancel(self, *, user_id: int, order_id: int) -> OrderRecord:
        """Cancel, give the stock back and what was paid. Idempotent. Raises ``OrderNotFound`` and what payments raises."""


orders: Orders = local("monolith.orders.services.LocalOrders")
