"""Sample payments: one for each order that was paid or declined; what was returned is refunded."""

from __future__ import annotations

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
Row = tuple[Any, ...]


class Ledger:
    """Collects the rows of all tables, as orders come by."""

    def __init__(self) -> None:
        self.payments: list[Row] = []
        self.refunds: list[Row] = []
        self.transfers: list[Row] = []

    def note(
        self,
        *,
        order_id: int,
        user_id: int,
        total: Decimal,
        currency: str,
        placed_at: datetime,
        paid_at: datetime | None,
        refunded_at: datetime | None,
    ) -> None:
        """``paid_at``: none if it was declined."""
        number, key = len(self.payments) + 1, f"sample-{order_id}"
        method = "ok" if paid_at else "declined"
        answer, at = provider.find(key=key, method=method), paid_at or placed_at + timedelta(seconds=2)
        if refunded_at:
            back, of = provider.refund(key=f"refund-{number}", reference=answer.reference, amount=total), len(self.refunds) + 1
            self.refunds.append((of, number, total, "done", f"refund-{number}", back.reference, refunded_at, refunded_at))
            self._book("refund", of, number, "refunds", "provider", total, currency, refunded_at)
        self.payments.append((
            number, order_id, user_id, total, currency, method, "refunded" if refunded_at else answer.state, key,
            answer.reference, answer.reason, placed_at, paid_at, refunded_at or at, total if refunded_at else Decimal(0),
        ))  # fmt: skip
        if paid_at:
            self._book("capture", number, number, "provider", "sales", total, currency, at)
            self._book("fee", number, number, "fees", "provider", fee_of(total), currency, at)

    def _book(
        self, kind: str, of: int, payment: int, debit: str, credit: str, amount: Decimal, currency: str, at: datetime
    ) -> None:
        self.transfers.append((len(self.transfers) + 1, f"{kind}-{of}", kind, payment, debit, credit, amount, currency, at))
