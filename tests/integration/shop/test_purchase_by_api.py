"""A purchase while everything is one monolith."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from monolith.orders.models import Order, PaymentIntent
from monolith.payments.models import IdempotencyKey, Payment
from monolith.products.models import Product
from monolith.users.models import User
from tests.integration.shop.shopping import Buy, client_of, stock_of

pytestmark = pytest.mark.django_db


def test_a_checkout_is_paid_and_takes_the_stock(buy: Buy, products: list[Product], user: User) -> None:
    answer = buy(quantity=2)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["state"], body["total"], body["currency"]) == ("paid", "20.00", "EUR")
    assert body["payment"]["state"] == "captured"
    (line,) = body["lines"]
    assert line.pop("id") > 0
    assert line == {"sku": "SKU-1", "name": "Thing 1", "unit_price": "10.00", "quantity": 2}
    assert stock_of(products[0]) == 8
    payment = Payment.objects.get(pk=body["payment"]["id"])
    assert (payment.order_id, payment.user_id, payment.state) == (body["id"], user.pk, "captured")
    assert not PaymentIntent.objects.exists()


def test_the_same_key_is_the_same_order(buy: Buy, products: list[Product]) -> None:
    first, again = buy(key="k"), buy(key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (Order.objects.count(), Payment.objects.count(), stock_of(products[0])) == (1, 1, 9)


def test_a_key_is_not_reused_for_something_else(buy: Buy) -> None:
    buy(key="k")
    answer = buy(key="k", quantity=3)
    assert answer.status_code == 422
    assert Order.objects.count() == 1


def test_a_key_belongs_to_its_user(buy: Buy, other: User) -> None:
    assert buy(key="k").json()["id"] != buy(key="k", by=client_of(other)).json()["id"]


def test_a_checkout_without_a_key_is_refused(api: APIClient, products: list[Product]) -> None:
    body = {"lines": [{"sku": "SKU-1", "quantity": 1}], "method": "ok", "pay": "now"}
    answer = api.post("/api/orders/checkout/", body)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["errors"]


def test_a_declined_card_cancels_the_order_and_gives_the_stock_back(buy: Buy, products: list[Product]) -> None:
    answer = buy(method="declined", key="k")
    assert answer.status_code == 402
    order = Order.objects.get(pk=answer.json()["order"])
    assert (order.state, order.reason) == ("cancelled", "The card was declined.")
    assert Payment.objects.get().state == "declined"
    assert stock_of(products[0]) == 10
    assert buy(method="declined", key="k").status_code == 402


def test_what_is_not_there_cannot_be_bought(buy: Buy, products: list[Product]) -> None:
    answer = buy(quantity=11)
    assert (answer.status_code, answer.json()["title"]) == (409, "Out of stock")
    assert (Order.objects.count(), Payment.objects.count(), stock_of(products[0])) == (0, 0, 10)


def test_an_unknown_product_is_named(api: APIClient, products: list[Product]) -> None:
    body = {"lines": [{"sku": "NOPE", "quantity": 1}], "method": "ok", "pay": "now"}
    answer = api.post("/api/orders/checkout/", body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["skus"]) == (400, ["NOPE"])


def test_a_lost_answer_leaves_the_payment_processing_until_it_is_asked_for(buy: Buy, api: APIClient) -> None:
    from datetime import timedelta

    from monolith.payments import services

    answer = buy(method="timeout")
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["payment"]["state"]) == ("pending", "processing")
    assert services.resolve(older_than=timedelta(0)) == 1
    seen = api.get(f"/api/orders/{answer.json()['id']}/").json()
    assert (seen["state"], seen["payment"]["state"]) == ("paid", "captured")
    assert services.resolve(older_than=timedelta(0)) == 0


def test_an_answer_that_comes_twice_counts_once(buy: Buy) -> None:
    assert buy(method="twice").json()["state"] == "paid"
    assert (Payment.objects.count(), IdempotencyKey.objects.count()) == (1, 1)


def test_an_order_paid_later_is_paid_by_its_payment(buy: Buy, api: APIClient) -> None:
    order = buy(pay="later").json()
    assert (order["state"], order["payment"]) == ("pending", None)
    assert pay(api, order).status_code == 201
    assert api.get(f"/api/orders/{order['id']}/").json()["state"] == "paid"


def test_cancelling_gives_stock_and_money_back(buy: Buy, api: APIClient, products: list[Product]) -> None:
    order = buy().json()
    for _ in range(2):
        answer = api.post(f"/api/orders/{order['id']}/cancel/")
        assert answer.status_code == 200, answer.content
        assert (answer.json()["state"], answer.json()["payment"]["state"]) == ("cancelled", "refunded")
        assert stock_of(products[0]) == 10


def test_cancelling_what_is_not_paid_charges_and_refunds_nothing(buy: Buy, api: APIClient, products: list[Product]) -> None:
    order = buy(pay="later").json()
    assert api.post(f"/api/orders/{order['id']}/cancel/").json()["state"] == "cancelled"
    assert (Payment.objects.count(), stock_of(products[0])) == (0, 10)
    assert pay(api, order).status_code == 409


def test_money_that_comes_for_a_cancelled_order_goes_back(buy: Buy, api: APIClient) -> None:
    from datetime import timedelta

    from monolith.orders import services as orders
    from monolith.payments import services as payments

    order = buy(method="timeout").json()
    assert api.post(f"/api/orders/{order['id']}/cancel/").json()["state"] == "cancelled"
    payments.resolve(older_than=timedelta(0))
    assert Payment.objects.get().state == "captured"
    assert orders.settle() == 1
    assert Payment.objects.get().state == "refunded"
    assert orders.settle() == 0


def test_users_see_and_cancel_their_own_orders_alone(buy: Buy, other: User) -> None:
    order = buy().json()
    stranger = client_of(other)
    assert stranger.get("/api/orders/").json()["count"] == 0
    assert stranger.get(f"/api/orders/{order['id']}/").status_code == 404
    assert stranger.post(f"/api/orders/{order['id']}/cancel/").status_code == 404
    assert Order.objects.get().state == "paid"


def test_a_list_of_orders_asks_as_many_queries_for_ten_as_for_one(
    buy: Buy, api: APIClient, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        buy()
    with django_assert_max_num_queries(5):  # the user, the count, the orders, their lines, their payments
        assert len(api.get("/api/orders/").json()["results"]) == 10


def pay(api: APIClient, order: dict[str, Any], *, key: str = "pay", **more: Any) -> Any:
    body = {"order": order["id"], "amount": order["total"], "currency": order["currency"], "method": "ok", **more}
    return api.post("/api/payments/", body, headers={"Idempotency-Key": key})
