"""Reports over all contexts, by SQL on their tables. Of a context that has moved they read the monolith's copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

# planted: raw SQL that joins four contexts
BEST_SELLERS = """
    SELECT p.sku, p.name, o.currency, count(DISTINCT c.id) AS customers,
        sum(l.quantity) AS pieces, sum(l.quantity * l.unit_price) AS turnover
    FROM orders_order o
    JOIN orders_orderline l ON l.order_id = o.id
    JOIN products_product p ON p.id = l.product_id
    JOIN customers_customer c ON c.id = o.customer_id
    JOIN payments_payment m ON m.order_id = o.id AND m.state = 'captured'
    WHERE o.placed_at >= %s AND o.placed_at < %s
    GROUP BY p.sku, p.name, o.currency
    ORDER BY turnover DESC, p.sku, o.currency
    LIMIT %s
"""


@dataclass(frozen=True)
class Seller:
    sku: str
    name: str
    currency: str
    customers: int
    pieces: int
    turnover: Decimal


def best_sellers(*, since: datetime, until: datetime, limit: int = 10) -> Sequence[Seller]:
    """What brought the most money in a time, of orders whose payment was captured."""
    with connection.cursor() as cursor:
        cursor.execute(BEST_SELLERS, [since, until, limit])
        return [Seller(*row) for row in cursor.fetchall()]
