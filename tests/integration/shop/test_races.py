"""Many at once, each on a connection of its own, started together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from monolith.orders.models import Order, OrderLine
from monolith.payments.models import Payment
from monolith.products.models import Product
from monolith.users.models import User
from tests.integration.shop.shopping import Buy, client_of, stock_of

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 8


def together(work: Callable[[int], Any]) -> list[Any]:
    """``work(0)`` … ``work(THREADS - 1)``, all begun at one barrier; their results."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> Any:
        try:
            barrier.wait(30)
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_stock_is_never_sold_twice(user: User, buy: Buy, products: list[Product]) -> None:
    clients = [client_of(user) for _ in range(THREADS)]
    answers = together(lambda number: buy(quantity=3, by=clients[number]))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
    assert stock_of(products[0]) == 1
    assert (Order.objects.count(), Payment.objects.filter(state="captured").count()) == (3, 3)


def test_checkouts_of_the_same_goods_in_any_order_do_not_deadlock(user: User, products: list[Product]) -> None:
    Product.objects.update(stock=1000)
    clients = [client_of(user) for _ in range(THREADS)]

    def shop(number: int) -> list[int]:
        skus = ["SKU-1", "SKU-2", "SKU-3"] if number % 2 else ["SKU-3", "SKU-2", "SKU-1"]
        body = {"lines": [{"sku": sku, "quantity": 1} for sku in skus], "method": "ok", "pay": "now"}
        send = clients[number].post
        return [
            send("/api/orders/checkout/", body, headers={"Idempotency-Key": f"{number}-{turn}"}).status_code for turn in range(5)
        ]

    assert [status for statuses in together(shop) for status in statuses] == [201] * THREADS * 5
    assert {stock_of(product) for product in products} == {1000 - THREADS * 5}
    assert OrderLine.objects.count() == THREADS * 5 * 3


def test_one_key_sent_many_times_at_once_is_one_order(user: User, buy: Buy, products: list[Product]) -> None:
    clients = [client_of(user) for _ in range(THREADS)]
    answers = together(lambda number: buy(key="k", by=clients[number]))
    assert sorted(answer.status_code for answer in answers) == [200] * (THREADS - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (Order.objects.count(), Payment.objects.count(), stock_of(products[0])) == (1, 1, 9)


@pytest.mark.parametrize("one_key", [True, False])
def test_an_order_is_charged_once_however_many_pay_it(user: User, api: APIClient, buy: Buy, one_key: bool) -> None:
    order = buy(pay="later").json()
    body = {"order": order["id"], "amount": order["total"], "currency": "EUR", "method": "twice"}
    clients = [client_of(user) for _ in range(THREADS)]

    def pay(number: int) -> int:
        key = "k" if one_key else f"k{number}"
        return int(clients[number].post("/api/payments/", body, headers={"Idempotency-Key": key}).status_code)

    answers = together(pay)
    assert set(answers) <= ({200, 201} if one_key else {201, 409})
    assert 201 in answers
    assert Payment.objects.count() == 1
    assert api.get(f"/api/orders/{order['id']}/").json()["state"] == "paid"


def test_a_cancellation_and_a_payment_at_once_leave_no_order_that_lies(user: User, buy: Buy, products: list[Product]) -> None:
    from monolith.orders import services

    placed = [buy(pay="later").json() for _ in range(THREADS // 2)]
    clients = [client_of(user) for _ in range(THREADS)]

    def act(number: int) -> Any:
        order = placed[number // 2]
        if number % 2:
            return clients[number].post(f"/api/orders/{order['id']}/cancel/").status_code
        body = {"order": order["id"], "amount": order["total"], "currency": "EUR", "method": "ok"}
        return clients[number].post("/api/payments/", body, headers={"Idempotency-Key": order["number"]}).status_code

    assert set(together(act)) <= {200, 201, 409}
    services.settle()
    for order in placed:
        state = Order.objects.get(pk=order["id"]).state
        paid = list(Payment.objects.filter(order_id=order["id"]).values_list("state", flat=True))
        assert (state, paid) in [("cancelled", []), ("cancelled", ["refunded"])], (state, paid)
    assert stock_of(products[0]) == 10
