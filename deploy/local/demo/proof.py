"""The end state, looked at in both databases: nothing acknowledged is missing, nothing is there twice, both sides are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from deploy.local.demo.journal import Journal

PAYMENTS = "SELECT id::text, order_id::text, amount, state FROM payments_payment"
REFUNDED = "SELECT payment_id::text, sum(amount) FROM payments_refund GROUP BY payment_id"
LYING_ORDERS = """
    SELECT o.id::text, o.state FROM orders_order o
    LEFT JOIN payments_payment p ON p.order_id = o.id AND p.state IN ('captured', 'refunded')
    WHERE o.id::text = ANY(%s) AND (o.state = 'paid') IS DISTINCT FROM (p.id IS NOT NULL)
"""


@dataclass(frozen=True)
class Finding:
    """One sentence of the proof. ``bad`` lists what contradicts it; empty means it holds."""

    claim: str
    bad: list[str]

    @property
    def holds(self) -> bool:
        return not self.bad


def look(journal: Journal, *, shop_url: str, payments_url: str, drift: Callable[[], list[str]]) -> list[Finding]:
    """Holds the journal against both databases. ``drift`` gives the rows in which the digests of both sides differ."""
    sides = {"monolith": _read(shop_url), "service": _read(payments_url)}
    failures = [f"[{failure.stage}] {failure.request}: {failure.reason}" for failure in journal.failures]
    stale = [f"[{failure.stage}] {failure.request}: {failure.reason}" for failure in journal.stale_reads]
    return [
        Finding(f"no request failed ({journal.requests:,} sent)", failures),
        Finding(f"every read after a write showed it ({journal.checked_reads:,} looked)", stale),
        *(_complete(journal, side, *state) for side, state in sides.items()),
        *(_single(journal, side, *state) for side, state in sides.items()),
        Finding("no order says other than its payment", _lying_orders(journal, shop_url)),
        Finding("the digests of both sides are equal", drift()),
    ]


Rows = dict[str, tuple[str, Decimal, str]]
Refunds = dict[str, Decimal]


def _read(url: str) -> tuple[Rows, Refunds]:
    with psycopg.connect(url) as connection:
        rows = {identity: (order, amount, state) for identity, order, amount, state in connection.execute(PAYMENTS)}
        return rows, {payment: Decimal(total) for payment, total in connection.execute(REFUNDED)}


def _complete(journal: Journal, side: str, rows: Rows, refunds: Refunds) -> Finding:
    bad = []
    for payment in journal.payments.values():
        order, amount, state = rows.get(payment.id, ("", Decimal(0), "missing"))
        if (order, amount, state) != (payment.order, payment.amount, payment.state):
            bad.append(f"payment {payment.id}: acknowledged {payment.state} {payment.amount}, found {state} {amount}")
        elif payment.state == "refunded" and refunds.get(payment.id) != payment.amount:
            bad.append(f"payment {payment.id}: refunded {payment.amount}, found {refunds.get(payment.id)}")
    return Finding(f"no acknowledged write is missing on the {side} ({len(journal.payments):,} payments)", bad)


def _single(journal: Journal, side: str, rows: Rows, _: Refunds) -> Finding:
    per_order = Counter(
        order for order, _, state in rows.values() if state in ("captured", "refunded") and order in journal.orders
    )
    bad = [f"order {order} was paid {times} times" for order, times in per_order.items() if times > 1]
    return Finding(f"no write is doubled on the {side}", bad)


def _lying_orders(journal: Journal, url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        wrong: list[Any] = connection.execute(LYING_ORDERS, [list(journal.orders)]).fetchall()
    return [f"order {order} says {state}" for order, state in wrong]
