"""Payments as a service: the same contract over its public API, for the user whose order it is."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from monolith.payments import selectors
from monolith.payments.contract import PaymentNotFound, PaymentRecord, PaymentRefused
from monolith.payments.serializers import payment_record
from monolith.problems import KeyReused, Problem
from strangler.seams import SeamTimeout, SeamUnavailable, ServiceHttp

_REFUSALS: dict[int, type[Problem]] = {404: PaymentNotFound, 409: PaymentRefused, 422: KeyReused}


class RemotePayments:
    """Raises ``SeamUnavailable`` (nothing done), ``SeamTimeout`` (not known: repeat with the key) or ``NotOwner`` besides."""

    def __init__(self) -> None:
        self._http = ServiceHttp("payments", timeout=(0.5, 3.0), attempts=2)  # a person waits; intents are resumed anyway

    def charge(self, *, key: str, order_id: int, user_id: int, amount: Decimal, currency: str, method: str) -> PaymentRecord:
        body = {"order": order_id, "amount": str(amount), "currency": currency, "method": method}
        return self._post("/api/payments/", body, key=key, user_id=user_id)

    def capture(self, *, payment_id: int, user_id: int) -> PaymentRecord:
        return self._post(f"/api/payments/{payment_id}/capture/", {}, key=f"capture-{payment_id}", user_id=user_id)

    def refund(self, *, payment_id: int, user_id: int, key: str, amount: Decimal | None = None) -> PaymentRecord:
        body = {} if amount is None else {"amount": str(amount)}
        return self._post(f"/api/payments/{payment_id}/refund/", body, key=key, user_id=user_id)

    def for_orders(self, *, order_ids: Iterable[int]) -> dict[int, PaymentRecord]:
        return selectors.records_for_orders(order_ids=order_ids)

    def _post(self, path: str, body: dict[str, Any], *, key: str, user_id: int) -> PaymentRecord:
        answer = self._http.post(path, json=body, idempotency_key=key, act=user_id)
        try:
            said = answer.json()
            if answer.ok:
                return payment_record(said)
            detail = str(said.get("detail", ""))
        except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError) as error:
            raise SeamTimeout("payments", f"{path} answered {answer.status_code} with something else than a payment") from error
        if answer.status_code in _REFUSALS:
            raise _REFUSALS[answer.status_code](detail)
        if answer.status_code >= 500:
            raise SeamTimeout("payments", f"{path} answered {answer.status_code}: {detail}")
        raise SeamUnavailable("payments", f"{path} answered {answer.status_code}: {detail}")
