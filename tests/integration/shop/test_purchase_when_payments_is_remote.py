"""The checkout as a saga: intent first, the charge through the seam, and no order that lies (P17, P18)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from monolith.orders import intents, selectors, services
from monolith.orders.models import Order, PaymentIntent
from monolith.payments.contract import payments
from monolith.payments.models import Payment
from monolith.products.models import Product
from strangler.seams import RemoteInsideTransaction
from tests.integration.shop.shopping import Buy, PaymentsService, stock_of

pytestmark = pytest.mark.django_db(transaction=True)
PROCESSING = {"id": None, "state": "processing"}


@pytest.fixture(autouse=True)
def _intents_are_due_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monolith.orders.checkout.IN_FLIGHT", timedelta(0))


def resume() -> int:
    """A round of the periodic task, after every pause is over."""
    PaymentIntent.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    return intents.resume()


def test_p18_the_intent_is_committed_before_the_charge_and_is_its_key(
    service: PaymentsService, buy: Buy, products: list[Product]
) -> None:
    answer = buy(quantity=2)
    assert (answer.status_code, answer.json()["state"]) == (201, "paid")
    intent, payment = PaymentIntent.objects.get(), Payment.objects.get()
    assert (intent.state, intent.payment_id, payment.idempotency_key) == ("captured", payment.pk, str(intent.pk))
    assert Order.objects.get().state == "paid"
    assert stock_of(products[0]) == 8


def test_p18_a_remote_charge_inside_a_transaction_is_refused(service: PaymentsService, buy: Buy) -> None:
    order = buy(pay="later").json()
    with pytest.raises(RemoteInsideTransaction), transaction.atomic():
        payments.charge(key="k", order_id=order["id"], user_id=1, amount=order["total"], currency="EUR", method="ok")
    assert not service.calls


def test_a_declined_card_is_compensated(service: PaymentsService, buy: Buy, products: list[Product]) -> None:
    answer = buy(method="declined", key="k")
    assert answer.status_code == 402
    assert (Order.objects.get().state, PaymentIntent.objects.get().state, stock_of(products[0])) == ("cancelled", "declined", 10)
    assert buy(method="declined", key="k").status_code == 402
    assert (Order.objects.count(), resume()) == (1, 0)


@pytest.mark.parametrize("fault", ["down", "lost"])
def test_an_unknown_outcome_is_pending_and_finished_by_itself(
    service: PaymentsService, buy: Buy, api: APIClient, products: list[Product], monkeypatch: Any, fault: str
) -> None:
    service.fault = fault
    with monkeypatch.context() as patch:
        patch.setattr("monolith.payments.services.selectors.records_for_orders", lambda *, order_ids: {})  # the copy lags
        answer = buy(key="k")
    assert (answer.status_code, answer.json()["state"], answer.json()["payment"]) == (202, "pending", PROCESSING)
    assert Order.objects.get().state == "pending"
    service.fault = ""
    assert resume() == 1
    seen = api.get(f"/api/orders/{answer.json()['id']}/").json()
    assert (seen["state"], seen["payment"]["state"], Order.objects.get().state) == ("paid", "captured", "paid")
    assert (Payment.objects.count(), stock_of(products[0]), resume()) == (1, 9, 0)
    assert buy(key="k").status_code == 200


def test_what_stays_unknown_is_tried_again(service: PaymentsService, buy: Buy) -> None:
    service.fault = "down"
    buy()
    resume()
    intent = PaymentIntent.objects.get()
    assert (intent.state, intent.attempts) == ("open", 1)
    assert intent.last_error
    assert intent.next_attempt_at > timezone.now()
    assert intents.resume() == 0  # not due yet


def test_a_bank_that_answers_late_is_waited_for(service: PaymentsService, buy: Buy) -> None:
    from monolith.payments import services as payment_services

    answer = buy(method="timeout")
    assert (answer.status_code, answer.json()["payment"]["state"]) == (202, "processing")
    resume()
    assert PaymentIntent.objects.get().state == "open"
    payment_services.resolve(older_than=timedelta(0))  # on the service
    resume()
    assert (Order.objects.get().state, PaymentIntent.objects.get().state) == ("paid", "captured")


def test_an_order_cancelled_before_its_money_came_is_refunded(service: PaymentsService, buy: Buy, api: APIClient) -> None:
    service.fault = "down"
    order = buy().json()
    assert api.post(f"/api/orders/{order['id']}/cancel/").json()["state"] == "cancelled"
    service.fault = ""
    resume()
    assert (Order.objects.get().state, Payment.objects.get().state) == ("cancelled", "refunded")
    assert PaymentIntent.objects.get().state == "refunded"
    assert resume() == 0


def test_a_refund_that_is_due_is_not_forgotten(service: PaymentsService, buy: Buy, api: APIClient, monkeypatch: Any) -> None:
    service.fault = "down"
    order = buy().json()
    api.post(f"/api/orders/{order['id']}/cancel/")
    service.fault = ""
    serve = service.request

    def fail_refunds(method: str, url: str, **given: Any) -> Any:
        service.fault = "down" if url.endswith("/refund/") else ""
        return serve(method, url, **given)

    with monkeypatch.context() as patch:
        patch.setattr(service, "request", fail_refunds)
        resume()
    assert (PaymentIntent.objects.get().state, Payment.objects.get().state) == ("refund_due", "captured")
    service.fault = ""
    resume()
    assert (PaymentIntent.objects.get().state, Payment.objects.get().state) == ("refunded", "refunded")


def test_cancelling_a_paid_order_refunds_it_first(
    service: PaymentsService, buy: Buy, api: APIClient, products: list[Product]
) -> None:
    order = buy().json()
    service.fault = "down"
    answer = api.post(f"/api/orders/{order['id']}/cancel/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert Order.objects.get().state == "paid"
    service.fault = ""
    answer = api.post(f"/api/orders/{order['id']}/cancel/")
    assert (answer.json()["state"], answer.json()["payment"]["state"]) == ("cancelled", "refunded")
    assert stock_of(products[0]) == 10


def test_the_answer_does_not_wait_for_the_read_copy(service: PaymentsService, buy: Buy, api: APIClient, monkeypatch: Any) -> None:
    monkeypatch.setattr("monolith.payments.services.selectors.records_for_orders", lambda *, order_ids: {})
    order = buy().json()
    assert (order["state"], order["payment"]) == ("paid", {"id": Payment.objects.get().pk, "state": "captured"})
    assert api.post(f"/api/orders/{order['id']}/cancel/").json()["payment"]["state"] == "refunded"
    assert Payment.objects.get().state == "refunded"


def test_a_payment_made_at_the_service_shows_at_once_and_settles_the_order(service: PaymentsService, buy: Buy, user: Any) -> None:
    order = buy(pay="later").json()
    Payment.objects.create(  # as the reverse mirror applies it: no event fires
        order_id=order["id"], user=user, amount=order["total"], currency="EUR", method="ok", state="captured",
        idempotency_key="k", captured_at=timezone.now(),
    )  # fmt: skip
    assert Order.objects.get().state == "pending"
    assert selectors.record(order["id"]).state == "paid"
    assert services.settle(payment_id=Payment.objects.get().pk) == 1
    assert Order.objects.get().state == "paid"
    assert services.settle() == 0


def test_p17_a_checkout_waits_while_nobody_owns_payments_and_goes_where_the_owner_is(
    service: PaymentsService, buy: Buy, settings: Any
) -> None:
    import threading

    from django.db import connections

    from strangler.sync import ownership

    ownership.change("payments", epoch=2, owner="none", operation="back")

    def hand_back() -> None:
        try:
            ownership.change("payments", epoch=2, owner="monolith", operation="back")
        finally:
            connections.close_all()

    timer = threading.Timer(0.2, hand_back)
    timer.start()
    answer = buy()
    timer.join()
    assert (answer.status_code, answer.json()["state"]) == (201, "paid")
    assert not service.calls
    assert not PaymentIntent.objects.exists()
