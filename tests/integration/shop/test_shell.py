"""The shell: notes on anything, the feed, the view and the report over all contexts, the dashboard, and upkeep."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from monolith.products.models import Product
    from monolith.users.models import User
    from tests.integration.shop.shopping import Buy


@pytest.fixture
def staff(db: None) -> Client:
    from monolith.users.models import User

    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", "battery staple"))
    return client


def test_the_feed_tells_of_each_refund_once(api: APIClient, buy: Buy) -> None:
    from monolith.payments.models import Payment, Refund
    from monolith.shell.models import Activity

    buy()
    assert not Activity.objects.exists()
    payment = Payment.objects.get()
    answer = api.post(f"/api/payments/{payment.pk}/refund/", {}, headers={"Idempotency-Key": "back"})
    assert answer.status_code < 300
    refund = Refund.objects.get()
    refund.save()
    assert list(Activity.objects.values_list("kind", "reference")) == [("refund", str(refund.pk))]


def test_a_note_stands_on_anything_and_outlives_its_author(buy: Buy, user: User, other: User) -> None:
    from monolith.orders.models import Order
    from monolith.payments.models import Payment
    from monolith.shell.models import Note

    buy()
    for about in (Order.objects.get(), Payment.objects.get(), user):
        Note.objects.create(about=about, author=other, text="called, wants it sooner")
    assert {type(note.about).__name__ for note in Note.objects.all()} == {"Order", "Payment", "User"}
    other.delete()
    assert Note.objects.filter(author=None).count() == 3


def test_view_report_and_dashboard_see_what_was_sold(buy: Buy, staff: Client, products: list[Product]) -> None:
    from monolith.shell import reports
    from monolith.shell.models import DailySales

    buy()
    buy(method="declined")
    day = DailySales.objects.get()
    assert (day.orders, day.captured) == (2, day.ordered / 2)
    now = timezone.now()
    sellers = reports.best_sellers(since=now - timedelta(days=1), until=now + timedelta(days=1))
    assert [seller.customers for seller in sellers] == [1] * len(sellers)
    assert sum(seller.turnover for seller in sellers) == day.captured
    page = staff.get("/admin/shell/dailysales/dashboard/")
    assert page.status_code == 200
    assert [panel.title for panel in page.context["panels"]] == ["Sales by day", "Best sellers of the last year", "Latest"]
    assert sellers[0].sku in page.content.decode()
    assert staff.get("/admin/shell/dailysales/").status_code == 200


def test_orders_that_nobody_pays_expire_and_give_their_goods_back(buy: Buy, products: list[Product]) -> None:
    from monolith.orders.models import Order, OrderEvent
    from tests.integration.shop.shopping import stock_of

    before = {product.pk: stock_of(product) for product in products}
    buy(pay="later")
    buy()
    taken = {product.pk: stock_of(product) for product in products}
    Order.objects.update(placed_at=timezone.now() - timedelta(days=31))
    said = io.StringIO()
    call_command("expire_unpaid", stdout=said)
    assert said.getvalue() == "1 orders were cancelled\n"
    assert sorted(Order.objects.values_list("state", flat=True)) == ["cancelled", "paid"]
    (event,) = OrderEvent.objects.filter(after="cancelled")
    assert (event.before, event.reason) == ("pending", "not paid in time")
    given_back = sum(stock_of(product) - taken[product.pk] for product in products)
    assert 0 < given_back < sum(before.values()) - sum(taken.values())
    call_command("expire_unpaid", stdout=said)
    assert sum(stock_of(product) - taken[product.pk] for product in products) == given_back


@pytest.mark.parametrize("days", ["0", "-3"])
def test_expire_unpaid_says_what_is_wrong(db: None, days: str) -> None:
    with pytest.raises(CommandError, match="from 1"):
        call_command("expire_unpaid", f"--days={days}")


def test_the_dashboard_is_for_staff(client: Any, db: None) -> None:
    assert client.get("/admin/shell/dailysales/dashboard/").status_code == 302


def test_the_packing_list_reaches_into_four_contexts_with_as_many_queries_for_many_orders_as_for_one(
    buy: Buy, staff: Client, products: list[Product]
) -> None:
    buy(key="pack-0")
    with CaptureQueriesContext(connection) as for_one:
        staff.get("/admin/orders/order/packing/")
    for number in (1, 2):
        buy(key=f"pack-{number}")
    buy(pay="later", key="unpaid")
    with CaptureQueriesContext(connection) as for_many:
        page = staff.get("/admin/orders/order/packing/").content.decode()
    assert len(for_many) == len(for_one)
    assert page.count("ada@example.com") == 3
    assert page.count("Thing 1") == 3
    assert "10.00 EUR captured" in page


def test_the_packing_list_is_for_staff(client: Any, db: None) -> None:
    assert client.get("/admin/orders/order/packing/").status_code == 302
