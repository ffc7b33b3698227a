"""Fills the shop: draws the sample of every context and copies it into their tables.

planted: writes five contexts in one transaction, and knows their tables and samples.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from monolith.customers import sample as customers
from monolith.orders import sample as orders
from monolith.payments import sample as payments
from monolith.products import sample as products
from monolith.shell.loading import bare
from monolith.users import sample as users

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # the sample's present; the same rows whenever it is drawn
LABELS = (
    "users.User", "customers.Customer", "customers.Address", "products.Product", "products.Category", "products.Placement",
    "products.Price", "products.Rate", "products.ProductImage", "products.Reservation", "orders.Coupon", "orders.Order",
    "orders.OrderLine", "orders.OrderEvent", "orders.PaymentIntent", "orders.CartLine", "orders.Return", "orders.ReturnLine",
    "payments.Payment", "payments.Refund", "payments.IdempotencyKey", "payments.Transfer", "payments.ProviderEvent",
    "shell.Note", "shell.Activity",
)  # fmt: skip
Say = Callable[[str], None]


def is_empty() -> bool:
    return not any(_model(label).objects.exists() for label in ("users.User", "products.Product", "orders.Order"))


@transaction.atomic
def flush() -> None:
    """Empty every table of the shop, and what refers to it (the admin's log)."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(_tables())} RESTART IDENTITY CASCADE")


def fill(*, scale: int, say: Say) -> None:
    """1,000 customers, 500 products and 5,000 orders, times ``scale``; the same rows every time."""
    collects = gc.isenabled()
    gc.disable()  # millions of small objects, none of them in a ring: looking for rings takes a third of the time
    try:
        with transaction.atomic(), bare(_tables()):
            _fill(1000 * scale, 500 * scale, 5000 * scale, say)
    finally:
        if collects:
            gc.enable()
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(_tables())}")


def _fill(people: int, things: int, purchases: int, say: Say) -> None:
    chance = random.Random(20260101)
    _copy("users.User", users.COLUMNS, users.users(people, now=NOW), say)
    _copy("customers.Customer", customers.CUSTOMER_COLUMNS, customers.customers(people, now=NOW), say)
    _copy("customers.Address", customers.ADDRESS_COLUMNS, customers.addresses(people, chance), say)
    shelf = list(products.products(things, chance, now=NOW))
    _copy("products.Product", products.COLUMNS, shelf, say)
    _copy("products.Rate", products.RATE_COLUMNS, products.rates(now=NOW), say)
    _copy("products.Category", products.CATEGORY_COLUMNS, products.categories(), say)
    _copy("products.Price", products.PRICE_COLUMNS, products.prices(shelf, now=NOW), say)
    _copy("products.Placement", products.PLACEMENT_COLUMNS, products.placements(things), say)
    goods = [orders.Goods(id=row[0], sku=row[1], name=row[2], price=row[4]) for row in shelf]
    rates = dict(products.RATES)
    abroad = {pk: (code, rates[code]) for pk in range(1, people + 1) if (code := customers.currency(pk)) in rates}
    drawn = list(orders.draw(purchases, goods, abroad, people, chance, now=NOW))
    _copy("orders.Coupon", orders.COUPON_COLUMNS, orders.coupon_rows(drawn, now=NOW), say)
    _copy("orders.Order", orders.ORDER_COLUMNS, map(orders.order_row, drawn), say)
    _copy("orders.OrderLine", orders.LINE_COLUMNS, orders.line_rows(drawn), say)
    _copy("orders.OrderEvent", orders.EVENT_COLUMNS, orders.event_rows(drawn), say)
    back = list(orders.return_rows(drawn))
    _copy("orders.Return", orders.RETURN_COLUMNS, (row for row, _ in back), say)
    _copy("orders.ReturnLine", orders.RETURN_LINE_COLUMNS, (line for _, lines in back for line in lines), say)
    _copy("orders.CartLine", orders.CART_COLUMNS, orders.cart_rows(goods, people, chance, now=NOW), say)
    ledger = payments.Ledger()
    for order in drawn:
        if order.state != "pending":
            ledger.note(
                order_id=order.id,
                user_id=order.user_id,
                total=order.total,
                currency=order.currency,
                placed_at=order.placed_at,
                paid_at=order.since("paid"),
                refunded_at=order.since("returned"),
            )
    _copy("payments.Payment", payments.PAYMENT_COLUMNS, ledger.payments, say)
    _copy("payments.Refund", payments.REFUND_COLUMNS, ledger.refunds, say)
    _copy("payments.Transfer", payments.TRANSFER_COLUMNS, ledger.transfers, say)


def _tables() -> list[str]:
    return [connection.ops.quote_name(_model(label)._meta.db_table) for label in LABELS]


def _model(label: str) -> Any:
    return apps.get_model(label)


def _copy(label: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], say: Say) -> None:
    """COPY, then set the sequence behind the highest id."""
    meta: models.options.Options[Any] = _model(label)._meta
    table, count = connection.ops.quote_name(meta.db_table), 0
    with connection.cursor() as cursor:
        names = ", ".join(map(connection.ops.quote_name, columns))
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
                count += 1
        if columns[0] == "id":  # else the database numbered the rows
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, %s)", [meta.db_table, max(count, 1), count > 0])
    say(f"{label:<24}{count:>10,}")
