"""Sample orders of a year. A few customers and a few products make most of them, evenings, weekends and December more than the
rest; the older an order, the further it has come; some were returned, some declined, some wait for their money.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

ORDER_COLUMNS = (
    "id", "number", "customer_id", "user_id", "state", "total", "discount", "coupon_id", "currency", "pay", "method", "reason",
    "idempotency_key", "fingerprint", "placed_at", "paid_at", "cancelled_at", "updated_at",
)  # fmt: skip
LINE_COLUMNS = ("id", "order_id", "product_id", "sku", "name", "unit_price", "quantity")
EVENT_COLUMNS = ("order_id", "before", "after", "reason", "at")
COUPON_COLUMNS = ("id", "code", "percent", "currency", "min_total", "valid_from", "valid_until", "max_uses", "used")
RETURN_COLUMNS = ("id", "order_id", "state", "reason", "amount", "created_at", "updated_at")
RETURN_LINE_COLUMNS = ("returned_id", "line_id", "quantity")
CART_COLUMNS = ("user_id", "sku", "quantity", "changed_at")

YEAR = timedelta(days=365)
COUPONS = {1: ("WELCOME10", 10), 2: ("SUMMER15", 15), 3: ("LOYAL5", 5)}
# How long after it was placed an order comes to each state.
WAY = {
    "paid": timedelta(seconds=2),
    "packed": timedelta(days=1),
    "shipped": timedelta(days=3),
    "delivered": timedelta(days=7),
    "returned": timedelta(days=16),
}
DECLINED = "The card was declined."
_BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 15, 14, 13, 13, 14, 17, 22, 28, 30, 26, 14, 5)
_CENT = Decimal("0.01")
Row = tuple[Any, ...]


@dataclass(slots=True)
class Goods:
    id: int
    sku: str
    name: str
    price: Decimal


@dataclass(slots=True)
class Line:
    id: int
    goods: Goods
    unit_price: Decimal
    quantity: int


@dataclass(slots=True)
class Sampled:
    """An order as drawn: what its rows, and those of its payment, are made of. ``states`` are (state, since when).

    Half a million of them are drawn at a time, so what is asked for again and again is worked out once.
    """

    id: int
    user_id: int
    currency: str
    coupon: int | None
    states: tuple[tuple[str, datetime], ...]
    lines: tuple[Line, ...]
    discount: Decimal = field(init=False)
    total: Decimal = field(init=False)

    def __post_init__(self) -> None:
        subtotal = sum((line.unit_price * line.quantity for line in self.lines), Decimal(0))
        self.discount = _to_the_cent(subtotal * COUPONS[self.coupon][1] / 100) if self.coupon else Decimal(0)
        self.total = subtotal - self.discount

    @property
    def placed_at(self) -> datetime:
        return self.states[0][1]

    @property
    def state(self) -> str:
        return self.states[-1][0]

    def since(self, state: str) -> datetime | None:
        for reached, at in self.states:
            if reached == state:
                return at
        return None


def draw(
    count: int,
    goods: Sequence[Goods],
    currencies: Mapping[int, tuple[str, Decimal]],
    customers: int,
    chance: random.Random,
    *,
    now: datetime,
) -> Iterator[Sampled]:
    """In order of time. ``currencies``: user id → (currency, what a euro costs in it), for those who pay in another one."""
    line = 0
    for number, at in enumerate(times(count, now=now), 1):
        user_id = min(customers, 1 + int(customers * chance.random() ** 2))
        currency, rate = currencies.get(user_id, ("EUR", Decimal(1)))
        lines = []
        for index in _popular(len(goods), chance.choice((1, 1, 2, 2, 3, 4)), chance):
            line += 1
            price = goods[index].price if rate == 1 else _to_the_cent(goods[index].price * rate)
            lines.append(Line(line, goods[index], price, chance.choice((1, 1, 1, 2, 3))))
        coupon = chance.choice(tuple(COUPONS)) if chance.random() < 0.06 else None
        yield Sampled(number, user_id, currency, coupon, _states(at, now, chance), tuple(lines))


def times(count: int, *, now: datetime) -> Iterator[datetime]:
    """``count`` moments of the year before ``now``, in order, the same every time."""
    start, hour = now - YEAR, timedelta(hours=1)
    weights = [_weight(start + hour * index, index) for index in range(365 * 24)]
    step = sum(weights) / count
    index, before, wanted = 0, 0.0, step / 2
    for _ in range(count):
        while before + weights[index] < wanted:
            before += weights[index]
            index += 1
        yield start + hour * (index + (wanted - before) / weights[index])
        wanted += step


def _weight(at: datetime, index: int) -> float:
    growth = 0.7 + 0.6 * index / (365 * 24)
    return _BY_HOUR[at.hour] * (1.4 if at.weekday() >= 5 else 1.0) * (1.8 if at.month == 12 else 1.0) * growth


def _popular(count: int, wanted: int, chance: random.Random) -> list[int]:
    """Different ones, the first much more often than the last."""
    chosen: dict[int, None] = {}
    while len(chosen) < min(wanted, count):
        chosen[int(count * chance.random() ** 3)] = None
    return list(chosen)


def _states(at: datetime, now: datetime, chance: random.Random) -> tuple[tuple[str, datetime], ...]:
    fate = chance.random()
    if fate >= 0.96:
        return (("pending", at), ("cancelled", at + WAY["paid"]))
    if fate >= 0.92:
        return (("pending", at),)
    way, age = [("pending", at)], now - at
    returned = chance.random() < 0.03
    for state, after in WAY.items():
        if state == "paid" or (after <= age and (returned or state != "returned")):
            way.append((state, at + after))
    return tuple(way)


def _to_the_cent(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def order_row(order: Sampled) -> Row:
    state, changed_at = order.states[-1]
    pay, method = ("later", "ok") if state == "pending" else ("now", "declined" if state == "cancelled" else "ok")
    return (
        order.id, f"S-{order.id:08}", order.user_id, order.user_id, state, order.total, order.discount, order.coupon,
        order.currency, pay, method, DECLINED if state == "cancelled" else "", f"sample-{order.id}", "", order.placed_at,
        order.since("paid"), order.since("cancelled"), changed_at,
    )  # fmt: skip


def line_rows(orders: Iterable[Sampled]) -> Iterator[Row]:
    for order in orders:
        for line in order.lines:
            yield line.id, order.id, line.goods.id, line.goods.sku, line.goods.name, line.unit_price, line.quantity


def event_rows(orders: Iterable[Sampled]) -> Iterator[Row]:
    for order in orders:
        for (before, _), (after, at) in pairwise(order.states):
            yield order.id, before, after, DECLINED if after == "cancelled" else "", at


def coupon_rows(orders: Iterable[Sampled], *, now: datetime) -> Iterator[Row]:
    used = dict.fromkeys(COUPONS, 0)
    for order in orders:
        if order.coupon and order.state != "cancelled":
            used[order.coupon] += 1
    for number, (code, percent) in COUPONS.items():
        yield number, code, percent, "EUR", 0, now - YEAR, now + 5 * YEAR, 10_000_000, used[number]


def return_rows(orders: Iterable[Sampled]) -> Iterator[tuple[Row, list[Row]]]:
    """Each return, and its lines: all of the order."""
    came_back = (order for order in orders if order.state == "returned")
    for number, order in enumerate(came_back, 1):
        at = order.since("returned")
        row = (number, order.id, "refunded", "It did not fit.", order.total, at, at)
        yield row, [(number, line.id, line.quantity) for line in order.lines]


def cart_rows(goods: Sequence[Goods], customers: int, chance: random.Random, *, now: datetime) -> Iterator[Row]:
    """One customer in fifty went away with something in the cart."""
    for user_id in range(50, customers + 1, 50):
        for index in _popular(len(goods), chance.choice((1, 1, 2)), chance):
            yield user_id, goods[index].sku, chance.choice((1, 1, 2)), now - timedelta(days=chance.random() * 60)
