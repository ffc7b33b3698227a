"""Sample payments: one for each order that was paid or declined; a few were refunded."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from monolith.payments import provider
from monolith.payments.ledger import fee_of

PAYMENT_COLUMNS = (
    "id", "order_id", "user_id", "amount", "currency", "method", "state", "idempotency_key", "provider_reference", "reason",
    "created_at", "captured_at", "updated_at", "refunded_amount",
)  # fmt: skip
REFUND_COLUMNS = ("id", "payment_id", "amount", "state", "idempotency_key", "provider_reference", "created_at", "done_at")
TRANSFER_COLUMNS = ("id", "key", "kind", "payment_id", "debit", "credit", "amount", "currency", "at")
REFUNDED_SHARE = 0.03
Row = tuple[Any, ...]


class Ledger:
    """Collects the rows of both tables, as orders come by."""

    def __init__(self, chance: random.Random) -> None:
        self.payments: list[Row] = []
        self.refunds: list[Row] = []
        self.transfers: list[Row] = []
        self._chance = chance

    def note(self, *, order_id: int, user_id: int, total: Decimal, placed_at: datetime, paid: bool) -> None:
        number, key = len(self.payments) + 1, f"sample-{order_id}"
        method = "ok" if paid else "declined"
        answer, at = provider.find(key=key, method=method), placed_at + timedelta(seconds=2)
        refunded = paid and self._chance.random() < REFUNDED_SHARE
        if refunded:
            done = at + timedelta(days=3)
            back = provider.refund(key=f"refund-{number}", reference=answer.reference, amount=total)
            self.refunds.append((len(self.refunds) + 1, number, total, "done", f"refund-{number}", back.reference, done, done))
            self._book("refund", len(self.refunds), number, "refunds", "provider", total, done)
        self.payments.append((
            number, order_id, user_id, total, "EUR", method, "refunded" if refunded else answer.state, key, answer.reference,
            answer.reason, placed_at, at if paid else None, at, total if refunded else Decimal(0),
        ))  # fmt: skip
        if paid:
            self._book("capture", number, number, "provider", "sales", total, at)
            self._book("fee", number, number, "fees", "provider", fee_of(total), at)

    def _book(self, kind: str, of: int, payment: int, debit: str, credit: str, amount: Decimal, at: datetime) -> None:
        self.transfers.append((len(self.transfers) + 1, f"{kind}-{of}", kind, payment, debit, credit, amount, "EUR", at))
