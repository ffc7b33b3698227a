"""Sample orders of a year, with lines: most are paid, some wait for their money, some were declined."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

ORDER_COLUMNS = (
    "id", "number", "customer_id", "user_id", "state", "total", "currency", "pay", "method", "reason",
    "idempotency_key", "fingerprint", "placed_at", "paid_at", "cancelled_at", "updated_at",
)  # fmt: skip
LINE_COLUMNS = ("id", "order_id", "product_id", "sku", "name", "unit_price", "quantity")


@dataclass(frozen=True)
class Goods:
    id: int
    sku: str
    name: str
    price: Decimal


@dataclass(frozen=True)
class Sampled:
    """An order as drawn: what its rows, and those of its payment, are made of."""

    id: int
    user_id: int
    state: str
    placed_at: datetime
    lines: tuple[tuple[Goods, int], ...]

    @property
    def total(self) -> Decimal:
        return sum((goods.price * quantity for goods, quantity in self.lines), Decimal(0))


def draw(count: int, goods: Sequence[Goods], customers: int, chance: random.Random, *, now: datetime) -> Iterator[Sampled]:
    """In order of time. A few customers order much, most little."""
    step = timedelta(days=365) / count
    for number in range(1, count + 1):
        state = chance.choices(("paid", "pending", "cancelled"), (92, 4, 4))[0]
        user_id = min(customers, 1 + int(customers * chance.random() ** 2))
        chosen = chance.sample(range(len(goods)), chance.choice((1, 1, 2, 2, 3, 4)))
        lines = tuple((goods[index], chance.choice((1, 1, 1, 2, 3))) for index in chosen)
        yield Sampled(number, user_id, state, now - timedelta(days=365) + step * number, lines)


def order_row(order: Sampled) -> tuple[Any, ...]:
    at = order.placed_at
    paid_at = at + timedelta(seconds=2) if order.state == "paid" else None
    cancelled_at = at + timedelta(seconds=2) if order.state == "cancelled" else None
    pay, method = ("later", "ok") if order.state == "pending" else ("now", "declined" if order.state == "cancelled" else "ok")
    reason = "The card was declined." if order.state == "cancelled" else ""
    return (
        order.id, f"S-{order.id:08}", order.user_id, order.user_id, order.state, order.total, "EUR", pay, method, reason,
        f"sample-{order.id}", "", at, paid_at, cancelled_at, paid_at or cancelled_at or at,
    )  # fmt: skip


def line_rows(orders: Sequence[Sampled]) -> Iterator[tuple[Any, ...]]:
    number = 0
    for order in orders:
        for goods, quantity in order.lines:
            number += 1
            yield number, order.id, goods.id, goods.sku, goods.name, goods.price, quantity
