"""The JSON of payments: the same here and in the service, so that seams and replays can rely on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from monolith.payments.contract import METHODS, PaymentRecord
from monolith.payments.models import Payment


class PaymentBody(serializers.Serializer[PaymentRecord]):
    id = serializers.IntegerField()
    order = serializers.IntegerField(source="order_id")
    user = serializers.IntegerField(source="user_id")
    amount = serializers.DecimalField(max_digits=12, decimal_places=2)
    currency = serializers.CharField()
    method = serializers.CharField()
    state = serializers.CharField(help_text="processing, authorised, captured, declined, partly_refunded, refunded or failed")
    idempotency_key = serializers.CharField()
    provider_reference = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    captured_at = serializers.DateTimeField(allow_null=True)
    refunded = serializers.DecimalField(max_digits=12, decimal_places=2)


class RefundBody(serializers.Serializer[dict[str, Any]]):
    amount = serializers.DecimalField(
        max_digits=12, decimal_places=2, min_value=Decimal("0.01"), required=False, help_text="absent: all that is left"
    )


class SearchBody(serializers.Serializer[dict[str, Any]]):
    number = serializers.CharField(max_length=20, required=False, help_text="the order's number")
    email = serializers.EmailField(required=False)
    state = serializers.ChoiceField(choices=Payment.State.choices, required=False)
    at_least = serializers.DecimalField(max_digits=12, decimal_places=2, required=False)
    at_most = serializers.DecimalField(max_digits=12, decimal_places=2, required=False)


class PeriodQuery(serializers.Serializer[dict[str, Any]]):
    since = serializers.DateField(help_text="the first day")
    until = serializers.DateField(help_text="the last day")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["since"] > attrs["until"] or (attrs["until"] - attrs["since"]).days > 366:
            raise serializers.ValidationError("Give days in order, a year apart at most.")
        return attrs


class SettlementBody(serializers.Serializer[Any]):
    day = serializers.DateField()
    currency = serializers.CharField()
    captured = serializers.DecimalField(max_digits=14, decimal_places=2)
    refunded = serializers.DecimalField(max_digits=14, decimal_places=2)
    fees = serializers.DecimalField(max_digits=14, decimal_places=2)
    net = serializers.DecimalField(max_digits=14, decimal_places=2)


class ChargeBody(serializers.Serializer[dict[str, Any]]):
    order = serializers.IntegerField(min_value=1)
    amount = serializers.DecimalField(max_digits=12, decimal_places=2, min_value=0)
    currency = serializers.RegexField(r"^[A-Z]{3}$")
    method = serializers.ChoiceField(choices=METHODS)


def payment_body(payment: PaymentRecord) -> dict[str, Any]:
    """What ``PaymentBody`` describes, in the types of JSON alone, so that it can be stored and repeated."""
    return {
        "id": payment.id,
        "order": payment.order_id,
        "user": payment.user_id,
        "amount": f"{payment.amount:.2f}",
        "currency": payment.currency,
        "method": payment.method,
        "state": payment.state,
        "idempotency_key": payment.idempotency_key,
        "provider_reference": payment.provider_reference,
        "reason": payment.reason,
        "created_at": _moment(payment.created_at),
        "captured_at": _moment(payment.captured_at),
        "refunded": f"{payment.refunded:.2f}",
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def payment_record(body: dict[str, Any]) -> PaymentRecord:
    """The other way round, from a service's answer. Raises ``KeyError``, ``ValueError`` or ``ArithmeticError`` for rubbish."""
    captured_at, created_at = body["captured_at"], parse_datetime(body["created_at"])
    if created_at is None:
        raise ValueError(f"created_at is {body['created_at']!r}")
    return PaymentRecord(
        id=int(body["id"]),
        order_id=int(body["order"]),
        user_id=int(body["user"]),
        amount=Decimal(body["amount"]),
        currency=body["currency"],
        method=body["method"],
        state=body["state"],
        idempotency_key=body["idempotency_key"],
        provider_reference=body["provider_reference"],
        reason=body["reason"],
        created_at=created_at,
        captured_at=parse_datetime(captured_at) if captured_at else None,
        refunded=Decimal(body.get("refunded", 0)),
    )
