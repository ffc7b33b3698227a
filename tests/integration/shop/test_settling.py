"""How an order learns of money that came elsewhere, and payments of an order that is on its way."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from monolith.orders import receivers, tasks
from monolith.orders.models import Order
from monolith.payments import intake
from monolith.payments.models import Payment
from monolith.users.models import User
from tests.integration.shop.shopping import Buy

pytestmark = pytest.mark.django_db(transaction=True)


def arrive(order: dict[str, Any], user: User) -> Payment:
    """A captured payment as the reverse mirror applies it: a row, and no event."""
    return Payment.objects.create(
        order_id=order["id"], user=user, amount=order["total"], currency="EUR", method="ok", state="captured",
        idempotency_key=order["number"], captured_at=timezone.now(),
    )  # fmt: skip


def test_p26_an_applied_payment_settles_its_order_after_the_commit(buy: Buy, user: User) -> None:
    order = buy(pay="later").json()
    with transaction.atomic():
        payment = arrive(order, user)
        receivers._on_applied(str(payment.pk), "upsert")
        assert Order.objects.get().state == "pending"
    found = Order.objects.get()
    assert (found.state, found.paid_at) == ("paid", payment.captured_at)


def test_p26_on_a_service_that_has_orders_as_a_read_copy_nothing_is_settled(buy: Buy, user: User, settings: Any) -> None:
    order = buy(pay="later").json()
    payment = arrive(order, user)
    with override_settings(STRANGLER={**settings.STRANGLER, "SIDE": "service", "CONTEXT": "payments"}):
        receivers._on_applied(str(payment.pk), "upsert")
    assert Order.objects.get().state == "pending"


def test_the_periodic_task_finds_what_was_missed(buy: Buy, user: User) -> None:
    arrive(buy(pay="later").json(), user)
    assert (tasks.settle(), tasks.settle()) == (1, 0)
    assert Order.objects.get().state == "paid"


def test_an_order_that_is_on_its_way_to_the_copy_is_waited_for(
    buy: Buy, api: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = buy(pay="later").json()
    read, looks = intake.orders.summary, []

    def lagging(*, order_id: int) -> Any:
        looks.append(order_id)
        return read(order_id=order_id) if len(looks) > 3 else None

    monkeypatch.setattr(intake.orders, "summary", lagging)
    body = {"order": order["id"], "amount": order["total"], "currency": "EUR", "method": "ok"}
    with override_settings(STRANGLER={**settings.STRANGLER, "SIDE": "service", "CONTEXT": "payments"}):
        answer = api.post("/api/payments/", body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, len(looks)) == (201, 4)


def test_the_owner_of_orders_waits_for_none(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(intake.orders, "summary", lambda *, order_id: looks.append(order_id))
    body = {"order": 99, "amount": "1.00", "currency": "EUR", "method": "ok"}
    assert api.post("/api/payments/", body, headers={"Idempotency-Key": "k"}).status_code == 404
    assert looks == [99]
