from __future__ import annotations

import hashlib
import time
from collections import Counter
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F, Sum

from monolith.customers.models import Address, Customer
from monolith.orders.models import Coupon, Order, OrderEvent, OrderLine, Return
from monolith.payments.models import Payment, Refund
from monolith.products.models import Product
from monolith.users.models import User
from tests.integration.shop.shopping import client_of

pytestmark = pytest.mark.django_db(transaction=True)


def seed(**options: object) -> str:
    out = StringIO()
    call_command("seed", stdout=out, **options)
    return out.getvalue()


def digest() -> str:
    """Of every row of the tables in which a purchase leaves something."""
    whole = hashlib.sha256()
    with connection.cursor() as cursor:
        for model in (User, Customer, Product, Order, OrderLine, Payment, Refund):
            cursor.execute(f"SELECT t::text FROM {model._meta.db_table} t ORDER BY id")
            whole.update(repr(cursor.fetchall()).encode())
    return whole.hexdigest()


def test_scale_one_is_a_shop_of_a_thousand_customers_in_under_ten_seconds() -> None:
    started = time.monotonic()
    said = seed(scale=1)
    assert time.monotonic() - started < 10
    assert [model.objects.count() for model in (Customer, Address, Product, Order)] == [1000, 1000, 500, 5000]
    assert "orders.Order" in said
    assert "5,000" in said
    assert OrderLine.objects.count() >= 5000
    assert Payment.objects.count() == Order.objects.exclude(state="pending").count()
    assert Payment.objects.filter(state="refunded").count() == Refund.objects.count() == Return.objects.count() > 0
    assert not Order.objects.exclude(state="pending").exclude(payments__amount=F("total")).exists()
    assert not Order.objects.exclude(state="pending").exclude(payments__currency=F("currency")).exists()
    wrong = Order.objects.annotate(sum=Sum(F("lines__unit_price") * F("lines__quantity")) - F("discount")).exclude(total=F("sum"))
    assert not wrong.exists()


def test_the_sample_is_skewed_as_shops_are() -> None:
    seed(scale=1)
    assert set(Order.objects.values_list("state", flat=True)) >= {"pending", "paid", "packed", "shipped", "delivered", "returned"}
    assert set(Order.objects.values_list("currency", flat=True)) == {"EUR", "CHF", "USD"}
    pieces = sorted(Counter(OrderLine.objects.values_list("product_id", flat=True)).values(), reverse=True)
    assert sum(pieces[:50]) > 0.4 * sum(pieces)  # a tenth of the products
    hours = Counter(at.hour for at in Order.objects.values_list("placed_at", flat=True))
    assert hours[20] > 10 * hours[3]
    # What the histories say is where the orders are.
    last = OrderEvent.objects.order_by("order_id", "-id").distinct("order_id").values_list("order_id", "after")
    assert dict(last) == dict(Order.objects.exclude(state="pending").values_list("id", "state"))
    used = Counter(Order.objects.exclude(coupon=None).exclude(state="cancelled").values_list("coupon__code", flat=True))
    assert used == dict(Coupon.objects.values_list("code", "used"))
    assert not [each.pk for each in Order.objects.filter(state="returned") if not each.returns.filter(amount=each.total)]


def test_it_is_the_same_every_time_and_never_added_twice() -> None:
    seed()
    first = digest()
    with pytest.raises(CommandError, match="--flush"):
        seed()
    seed(flush=True)
    assert digest() == first


def test_the_sample_user_logs_in_and_buys() -> None:
    seed()
    user = User.objects.get(email="user0001@example.com")
    assert user.check_password("demo")
    assert User.objects.get(email="staff@example.com").is_staff
    api = client_of(user)
    body = {"lines": [{"sku": Product.objects.earliest("id").sku, "quantity": 1}], "method": "ok", "pay": "now"}
    answer = api.post("/api/orders/checkout/", body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201, answer.content  # the sequences are behind the sample
    assert answer.json()["id"] == 5001


def test_no_sampled_order_says_other_than_its_payment() -> None:
    from monolith.orders import services

    seed()
    assert services.settle() == 0
    call_command("check_ledger", stdout=StringIO())


def test_a_scale_below_one_is_refused() -> None:
    with pytest.raises(CommandError, match="from 1"):
        seed(scale=0)
