"""Writes of payments: charge, capture, refund.

Each is two transactions around a call to the provider: the first commits what is about to be asked, with its key; the second
records the answer. Killed between any two lines, the same call with the same key, or ``resolve``, carries on. Inside a caller's
transaction, as in the monolith's checkout, both are part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from monolith.payments import ledger, provider, selectors
from monolith.payments.contract import PaymentNotFound, PaymentRecord, PaymentRefused, payment_captured
from monolith.payments.models import IdempotencyKey, Payment, Refund
from monolith.payments.serializers import payment_body
from monolith.problems import KeyReused

State = Payment.State


class LocalPayments:
    def charge(self, *, key: str, order_id: int, user_id: int, amount: Decimal, currency: str, method: str) -> PaymentRecord:
        payment = _begin(key=key, order_id=order_id, user_id=user_id, amount=amount, currency=currency, method=method)
        if payment.state == State.PROCESSING:
            payment = _ask(payment)
        return selectors.record(payment)

    def capture(self, *, payment_id: int, user_id: int) -> PaymentRecord:
        payment = _own(payment_id, user_id)
        if payment.state == State.AUTHORISED:
            payment = record_answer(payment, provider.capture(reference=payment.provider_reference), expected=State.AUTHORISED)
        elif payment.state != State.CAPTURED:
            raise PaymentRefused(f"The payment is {payment.state}; only an authorised one can be captured.")
        return selectors.record(payment)

    def refund(self, *, payment_id: int, user_id: int, key: str, amount: Decimal | None = None) -> PaymentRecord:
        refund = _begin_refund(payment_id, user_id, key, amount)
        if refund is not None and refund.state == Refund.State.PROCESSING:
            _finish_refund(refund)
        return selectors.record(Payment.objects.get(pk=payment_id))

    def for_orders(self, *, order_ids: Iterable[int]) -> dict[int, PaymentRecord]:
        return selectors.records_for_orders(order_ids=order_ids)


def fingerprint(*, order_id: int, amount: Decimal, currency: str, method: str) -> str:
    """What a key stands for: the same key with another fingerprint is refused."""
    asked = json.dumps([order_id, f"{amount:.2f}", currency, method])
    return hashlib.sha256(asked.encode()).hexdigest()


def resolve(*, older_than: timedelta) -> int:
    """Ask the provider again for all whose outcome is still unknown; how many there were. Idempotent."""
    before = timezone.now() - older_than
    stuck = list(Payment.objects.filter(state=State.PROCESSING, created_at__lt=before).order_by("created_at")[:200])
    for payment in stuck:
        record_answer(payment, provider.find(key=payment.idempotency_key, method=payment.method))
    refunds = list(Refund.objects.filter(state=Refund.State.PROCESSING, created_at__lt=before).order_by("created_at")[:200])
    for refund in refunds:
        _finish_refund(refund)
    return len(stuck) + len(refunds)


def _begin(*, key: str, order_id: int, user_id: int, amount: Decimal, currency: str, method: str) -> Payment:
    """The payment with this key, made if there is none."""
    existing = Payment.objects.filter(user_id=user_id, idempotency_key=key).first()
    if existing is None:
        try:
            with transaction.atomic():
                return Payment.objects.create(
                    order_id=order_id, user_id=user_id, amount=amount, currency=currency, method=method, idempotency_key=key
                )
        except IntegrityError:
            existing = Payment.objects.filter(user_id=user_id, idempotency_key=key).first()
            if existing is None:
                raise PaymentRefused("The order is paid, or a payment of it is under way.", order=order_id) from None
    asked = fingerprint(order_id=order_id, amount=amount, currency=currency, method=method)
    if asked != _fingerprint_of(existing):
        raise KeyReused("This Idempotency-Key was used for another payment.")
    return existing


def _fingerprint_of(payment: Payment) -> str:
    return fingerprint(order_id=payment.order_id, amount=payment.amount, currency=payment.currency, method=payment.method)


def _ask(payment: Payment) -> Payment:
    try:
        answers = provider.charge(
            key=payment.idempotency_key, method=payment.method, amount=payment.amount, currency=payment.currency
        )
    except provider.ProviderTimeout:
        return payment  # processing: `resolve` asks again
    for answer in answers:
        payment = record_answer(payment, answer)
    return payment


@transaction.atomic(savepoint=False)
def record_answer(payment: Payment, answer: provider.Answer, *, expected: str = State.PROCESSING) -> Payment:
    """Note the provider's answer, once: an answer that comes again, or too late, changes nothing."""
    now = timezone.now()
    noted = {
        "state": State(answer.state),
        "provider_reference": answer.reference,
        "reason": answer.reason,
        "captured_at": now if answer.state == State.CAPTURED else None,
        "updated_at": now,
    }
    if not Payment.objects.filter(pk=payment.pk, state=expected).update(**noted):
        payment.refresh_from_db()
        return payment
    for name, value in noted.items():
        setattr(payment, name, value)
    record = selectors.record(payment)
    if expected == State.PROCESSING:
        IdempotencyKey.objects.create(
            user_id=payment.user_id,
            key=payment.idempotency_key,
            fingerprint=_fingerprint_of(payment),
            response=payment_body(record),
        )
    if payment.state == State.CAPTURED:
        ledger.book_capture(payment, at=now)
        payment_captured.send(Payment, payment=record)
    return payment


def _own(payment_id: int, user_id: int) -> Payment:
    payment = Payment.objects.filter(pk=payment_id, user_id=user_id).first()
    if payment is None:
        raise PaymentNotFound(f"You have no payment {payment_id}.")
    return payment


@transaction.atomic
def _begin_refund(payment_id: int, user_id: int, key: str, amount: Decimal | None) -> Refund | None:
    """The refund with this key, made if there is none; None where nothing is left and all of it is asked for again.

    The row of the payment is locked: what is under way counts, so all refunds together never exceed the payment.
    """
    payment = Payment.objects.select_for_update(of=("self",)).filter(pk=payment_id, user_id=user_id).first()
    if payment is None:
        raise PaymentNotFound(f"You have no payment {payment_id}.")
    refunds = list(payment.refunds.exclude(state=Refund.State.FAILED))
    same = next((refund for refund in refunds if refund.idempotency_key == key), None)
    if same is not None:
        if amount not in (None, same.amount):
            raise KeyReused("This Idempotency-Key was used for a refund of another amount.")
        return same
    left = payment.amount - sum((refund.amount for refund in refunds), Decimal(0))
    if amount is None and refunds and not left:
        return next((refund for refund in refunds if refund.state == Refund.State.PROCESSING), None)
    if payment.state not in (State.CAPTURED, State.PARTLY_REFUNDED):
        raise PaymentRefused(f"The payment is {payment.state}; only a captured one can be refunded.")
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise PaymentRefused(f"{left:.2f} {payment.currency} of the payment are left to refund.", left=f"{left:.2f}")
    return Refund.objects.create(payment=payment, amount=wanted, idempotency_key=key, asked_by_id=user_id)


def _finish_refund(refund: Refund) -> None:
    payment = Payment.objects.get(pk=refund.payment_id)
    answer = provider.refund(key=refund.idempotency_key, reference=payment.provider_reference, amount=refund.amount)
    refund_done(refund, reference=answer.reference)


@transaction.atomic
def refund_done(refund: Refund, *, reference: str) -> bool:
    """Note that the money went back, once; whether this call did."""
    now = timezone.now()
    undone = Refund.objects.filter(pk=refund.pk, state=Refund.State.PROCESSING)
    if not undone.update(state=Refund.State.DONE, provider_reference=reference, done_at=now):
        return False
    given_back = F("refunded_amount") + refund.amount
    state = Case(When(amount__lte=given_back, then=Value(State.REFUNDED)), default=Value(State.PARTLY_REFUNDED))
    Payment.objects.filter(pk=refund.payment_id).update(refunded_amount=given_back, state=state, updated_at=now)
    ledger.book_refund(refund, at=now)
    return True


def refund_failed(refund: Refund, *, reason: str) -> bool:
    """Note that the provider could not give it back, once; what was reserved for it is free again."""
    undone = Refund.objects.filter(pk=refund.pk, state=Refund.State.PROCESSING)
    return bool(undone.update(state=Refund.State.FAILED, reason=reason[:200], done_at=timezone.now()))
