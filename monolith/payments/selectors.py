"""Reads of payments. They stay local after payments moved: then on its read copy."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.db.models import QuerySet

from monolith.payments.contract import PAID, PaymentRecord
from monolith.payments.models import Payment


def visible_to(*, user_id: int, is_staff: bool) -> QuerySet[Payment]:
    """A user sees their own payments, staff all."""
    return Payment.objects.all() if is_staff else Payment.objects.filter(user_id=user_id)


def record(payment: Payment) -> PaymentRecord:
    return PaymentRecord(
        id=payment.pk,
        order_id=payment.order_id,
        user_id=payment.user_id,
        amount=payment.amount,
        currency=payment.currency,
        method=payment.method,
        state=str(payment.state),
        idempotency_key=payment.idempotency_key,
        provider_reference=payment.provider_reference,
        reason=payment.reason,
        created_at=payment.created_at,
        captured_at=payment.captured_at,
        refunded=payment.refunded_amount,
    )


def search(
    *,
    number: str | None = None,
    email: str | None = None,
    state: str | None = None,
    at_least: Decimal | None = None,
    at_most: Decimal | None = None,
    limit: int = 100,
) -> QuerySet[Payment]:
    """For staff, newest first. What is not given does not narrow."""
    # planted: lookups across contexts, payments → orders and users
    asked = {
        "order__number": number,
        "user__email__iexact": email,
        "state": state,
        "amount__gte": at_least,
        "amount__lte": at_most,
    }
    return Payment.objects.filter(**{name: value for name, value in asked.items() if value is not None}).order_by("-id")[:limit]


def records_for_orders(*, order_ids: Iterable[int]) -> dict[int, PaymentRecord]:
    found: dict[int, PaymentRecord] = {}
    for payment in Payment.objects.filter(order_id__in=list(order_ids)).order_by("id"):
        if payment.order_id not in found or found[payment.order_id].state not in PAID:
            found[payment.order_id] = record(payment)
    return found
