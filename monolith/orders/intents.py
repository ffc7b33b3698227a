"""Charges that were promised with an order while payments is a service: pursued until their outcome is known and recorded."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from monolith.orders.models import Order, PaymentIntent
from monolith.orders.states import mark_cancelled, mark_paid
from monolith.payments.contract import PaymentRecord, payments
from monolith.problems import Problem
from strangler.seams import Fenced, NotOwner, SeamTimeout, SeamUnavailable

log = logging.getLogger(__name__)
State = PaymentIntent.State
NOT_NOW = (SeamUnavailable, SeamTimeout, NotOwner, Fenced)
LONGEST_PAUSE_S = 30


def resume(*, limit: int = 100) -> int:
    """Pursue every intent that is due; how many there were. Idempotent, and safe to run twice at a time."""
    now = timezone.now()
    due = PaymentIntent.objects.filter(state__in=[State.OPEN, State.REFUND_DUE], next_attempt_at__lte=now)
    taken = 0
    for intent in due.select_related("order").order_by("next_attempt_at")[:limit]:
        pause = timedelta(seconds=min(LONGEST_PAUSE_S, 2 ** min(intent.attempts + 1, 6)))
        mine = PaymentIntent.objects.filter(pk=intent.pk, next_attempt_at=intent.next_attempt_at)
        if mine.update(next_attempt_at=now + pause, attempts=F("attempts") + 1):
            pursue(intent)
            taken += 1
    return taken


def pursue(intent: PaymentIntent) -> None:
    """Charge, or refund if that is due, and record the outcome. Not in a transaction. What fails stays due."""
    try:
        if intent.state == State.OPEN:
            intent.state = State(_conclude(intent, _charge(intent)))
        if intent.state == State.REFUND_DUE:
            _refund(intent)
    except NOT_NOW as error:
        log.warning("orders.intent_unfinished", extra={"intent": str(intent.pk), "error": str(error)})
        PaymentIntent.objects.filter(pk=intent.pk).update(last_error=str(error)[:300])


def _charge(intent: PaymentIntent) -> PaymentRecord | None:
    """The payment; None if it was refused because the order has another one."""
    order = intent.order
    try:
        return payments.charge(
            key=str(intent.pk),
            order_id=order.pk,
            user_id=order.user_id,
            amount=order.total,
            currency=order.currency,
            method=intent.method,
        )
    except Problem as refused:
        log.warning("orders.intent_refused", extra={"intent": str(intent.pk), "order": order.number, "error": str(refused)})
        return None


@transaction.atomic
def _conclude(intent: PaymentIntent, payment: PaymentRecord | None) -> str:
    """Record what became of the charge, in order and intent alike. Gives the intent's state from now on."""
    order = Order.objects.select_for_update(of=("self",)).get(pk=intent.order_id)
    if payment is None:
        state = State.VOID
    elif payment.state == "processing":
        return State.OPEN
    elif payment.state in ("declined", "failed"):
        state = State.DECLINED
        if order.state == Order.State.PENDING:
            mark_cancelled(order_id=order.pk, reason=payment.reason)
    elif payment.state == "captured" and order.state == Order.State.CANCELLED:
        state = State.REFUND_DUE
    else:
        state = State.CAPTURED if payment.state == "partly_refunded" else State(payment.state)
        if state is not State.AUTHORISED:
            mark_paid(order_id=order.pk, at=payment.captured_at)
    still_open = PaymentIntent.objects.filter(pk=intent.pk, state=State.OPEN)
    intent.payment_id = payment.id if payment else None
    still_open.update(state=state, payment_id=intent.payment_id, last_error="", updated_at=timezone.now())
    return state


def _refund(intent: PaymentIntent) -> None:
    if intent.payment_id is None:
        raise AssertionError(f"intent {intent.pk} is due for a refund and names no payment")
    payments.refund(payment_id=intent.payment_id, user_id=intent.order.user_id, key=f"cancelled-{intent.order.number}")
    due = PaymentIntent.objects.filter(pk=intent.pk, state=State.REFUND_DUE)
    due.update(state=State.REFUNDED, last_error="", updated_at=timezone.now())
