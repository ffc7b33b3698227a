"""Prices in the currency of who looks, and orders that are paid in it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from monolith.orders.models import Order
from monolith.payments.models import Payment, Transfer
from monolith.products import currencies
from monolith.products.contract import ProductRecord
from monolith.products.models import Product, Rate

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from monolith.users.models import User


@pytest.fixture
def rates(db: None) -> None:
    Rate.objects.create(currency="CHF", per_euro=Decimal("0.9425"))
    Rate.objects.create(currency="USD", per_euro=Decimal("1.1612"))


def place(api: APIClient, key: str, **more: Any) -> Any:
    body = {"lines": [{"sku": "SKU-3", "quantity": 2}], "method": "ok", "pay": "now", **more}
    return api.post("/api/orders/checkout/", body, headers={"Idempotency-Key": key})


def test_a_visitor_sees_prices_in_the_currency_they_chose(client: Client, products: list[Product], rates: None) -> None:
    assert "10.00 EUR" in client.get("/products/SKU-1/").content.decode()
    assert "Prices in EUR" in client.get("/").content.decode()
    page = client.get("/currency/?next=/products/SKU-1/").content.decode()
    assert all(f'value="{code}"' in page for code in ("EUR", "CHF", "USD"))
    answer = client.post("/currency/", {"currency": "CHF", "next": "/products/SKU-1/"})
    assert answer.headers["Location"] == "/products/SKU-1/"
    assert "9.43 CHF" in client.get("/products/SKU-1/").content.decode()  # 9.425, half up
    assert "18.85 CHF" in client.get("/").content.decode()


def test_what_nobody_knows_is_not_chosen_and_no_foreign_page_is_gone_to(client: Client, products: list[Product]) -> None:
    answer = client.post("/currency/", {"currency": "XAU", "next": "https://elsewhere.example/"})
    assert answer.headers["Location"] == "/"
    assert "10.00 EUR" in client.get("/products/SKU-1/").content.decode()


def test_a_customer_pays_in_the_currency_of_their_profile(
    client: Client, user: User, products: list[Product], rates: None
) -> None:
    client.login(username="ada@example.com", password="correct horse")
    profile = {"name": "Ada", "language": "en", "currency": "USD", "time_zone": "UTC"}
    assert client.post("/account/", profile).status_code == 302
    client.post("/cart/add/", {"sku": "SKU-2", "quantity": 3})
    assert "69.66 USD" in client.get("/cart/").content.decode()
    page = client.get("/checkout/").content.decode()
    assert "Pay 69.66 USD" in page
    key = page.split('name="key" value="')[1][:36]
    client.post("/checkout/", {"key": key, "method": "ok", "coupon": ""}, follow=True)
    order, payment = Order.objects.get(), Payment.objects.get()
    assert (order.total, order.currency, order.state) == (Decimal("69.66"), "USD", "paid")
    assert (payment.amount, payment.currency) == (Decimal("69.66"), "USD")
    assert order.lines.get().unit_price == Decimal("23.22")
    assert set(Transfer.objects.values_list("currency", flat=True)) == {"USD"}


def test_a_checkout_by_api_names_its_currency(api: APIClient, products: list[Product], rates: None) -> None:
    order = place(api, "a", currency="CHF").json()
    assert (order["total"], order["currency"]) == ("56.56", "CHF")  # twice 28.275, rounded to 28.28 each
    assert place(api, "a", currency="CHF").json()["id"] == order["id"]
    assert place(api, "a").status_code == 422  # the same key in another currency is something else
    assert place(api, "b").json()["currency"] == "EUR"
    refused = place(api, "c", currency="JPY")
    assert (refused.status_code, refused.json()["title"]) == (400, "Unknown currency")
    assert Order.objects.count() == 2


def test_the_catalogue_by_api_in_a_currency(client: Client, products: list[Product], rates: None) -> None:
    assert client.get("/api/products/currencies/").json() == {"currencies": ["EUR", "CHF", "USD"]}
    page = client.get("/api/products/?currency=USD&min_price=20").json()
    assert [(each["price"], each["currency"]) for each in page["results"]] == [("23.22", "USD"), ("34.84", "USD")]
    assert client.get("/api/products/SKU-1/?currency=CHF").json()["price"] == "9.43"
    assert client.get("/api/products/SKU-1/").json()["price"] == "10.00"
    assert client.get("/api/products/?currency=JPY").status_code == 400
    assert client.get("/api/products/SKU-1/?currency=nonsense").status_code == 400


def test_without_a_rate_the_pages_go_on_and_a_checkout_says_it(
    client: Client, user: User, products: list[Product], rates: None
) -> None:
    client.login(username="ada@example.com", password="correct horse")
    client.post("/currency/", {"currency": "CHF"})
    Rate.objects.filter(currency="CHF").delete()
    assert "10.00 EUR" in client.get("/products/SKU-1/").content.decode()
    client.post("/cart/add/", {"sku": "SKU-1", "quantity": 1})
    page = client.get("/checkout/").content.decode()
    key = page.split('name="key" value="')[1][:36]
    said = client.post("/checkout/", {"key": key, "method": "ok", "coupon": ""}, follow=True).content.decode()
    assert "can&#x27;t be paid in CHF; choose another currency" in said
    assert not Order.objects.exists()


def test_looking_in_the_own_currency_costs_no_query(products: list[Product], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        from monolith.products.contract import products as catalogue

        assert catalogue.by_sku(skus=["SKU-1"], currency="EUR")["SKU-1"].price == Decimal("10.00")


@given(
    cents=st.integers(0, 10_000_000),
    rate=st.decimals("0.000001", "99999", places=6),
    other=st.decimals("0.000001", "99999", places=6),
)
def test_a_price_is_in_whole_cents_and_within_half_a_cent(cents: int, rate: Decimal, other: Decimal) -> None:
    record = ProductRecord(1, "A", "A", Decimal(cents) / 100, "AAA", 1)
    priced = currencies._converted(record, "BBB", {"AAA": rate, "BBB": other})
    assert priced.price == priced.price.quantize(Decimal("0.01"))
    assert abs(priced.price - record.price * other / rate) <= Decimal("0.0051")
