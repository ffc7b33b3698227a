"""The storefront, as a browser without JavaScript uses it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monolith.orders.models import Order
from monolith.payments.models import Payment
from monolith.products import tasks
from monolith.products.models import Product, Reservation
from monolith.users.models import User
from tests.integration.shop.shopping import stock_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(user: User) -> Client:
    browser = Client(enforce_csrf_checks=False)
    assert browser.login(username="ada@example.com", password="correct horse")
    return browser


def form_key(page: Any) -> str:
    found = re.search(r'name="key" value="([0-9a-f-]{36})"', page.content.decode())
    assert found, page.content.decode()
    return found[1]


def fill_cart(browser: Client, quantity: int = 2) -> None:
    assert browser.post("/cart/add/", {"sku": "SKU-1", "quantity": quantity}).status_code == 302


def test_anyone_can_look_around(client: Client, products: list[Product]) -> None:
    page = client.get("/").content.decode()
    assert all(product.name in page for product in products)
    assert "10.00 EUR" in client.get("/products/SKU-1/").content.decode()
    assert client.get("/products/NOPE/").status_code == 404
    assert "sessionid" not in client.cookies


def test_the_list_has_pages(client: Client, db: None) -> None:
    Product.objects.bulk_create(Product(sku=f"P-{n:02}", name=f"Number {n:02}", price=1) for n in range(30))
    first, second = client.get("/").content.decode(), client.get("/?page=2").content.decode()
    assert "Number 23" in first
    assert "Number 24" not in first
    assert "Number 24" in second
    assert "Page 2 of 2" in second
    assert client.get("/?page=3").status_code == 404
    assert client.get("/?page=x").status_code == 200


def test_a_purchase_from_login_to_my_orders(client: Client, user: User, products: list[Product]) -> None:
    fill_cart(client)
    assert "20.00 EUR" in client.get("/cart/").content.decode()
    answer = client.get("/checkout/")
    assert answer.headers["Location"] == "/login/?next=/checkout/"
    answer = client.post("/login/", {"username": "Ada@Example.com", "password": "correct horse", "next": "/checkout/"})
    assert answer.headers["Location"] == "/checkout/"
    page = client.get("/checkout/")
    assert "Pay 20.00 EUR" in page.content.decode()
    answer = client.post("/checkout/", {"method": "ok", "key": form_key(page)}, follow=True)
    order = Order.objects.get()
    assert answer.redirect_chain[-1][0] == f"/orders/{order.number}/"
    assert "Your order is paid" in answer.content.decode()
    assert order.number in client.get("/orders/").content.decode()
    assert "It is empty" in client.get("/cart/").content.decode()
    assert client.post("/logout/").headers["Location"] == "/"
    assert client.get("/orders/").status_code == 302


def test_a_double_click_is_one_order(browser: Client, products: list[Product]) -> None:
    fill_cart(browser)
    form = {"method": "ok", "key": form_key(browser.get("/checkout/"))}
    first, second = browser.post("/checkout/", form), browser.post("/checkout/", form)
    assert first.headers["Location"] == second.headers["Location"]
    assert Order.objects.count() == 1


def test_a_declined_card_keeps_the_cart(browser: Client, products: list[Product]) -> None:
    fill_cart(browser)
    answer = browser.post("/checkout/", {"method": "declined", "key": form_key(browser.get("/checkout/"))}, follow=True)
    assert "Nothing was charged" in answer.content.decode()
    assert "Pay 20.00 EUR" in answer.content.decode()
    assert Order.objects.get().state == "cancelled"


def test_a_late_bank_is_said_so(browser: Client, products: list[Product]) -> None:
    fill_cart(browser)
    answer = browser.post("/checkout/", {"method": "timeout", "key": form_key(browser.get("/checkout/"))}, follow=True)
    assert "is being processed" in answer.content.decode()
    assert Payment.objects.get().state == "processing"


def test_too_many_are_refused_in_words(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, quantity=11)
    answer = browser.post("/checkout/", {"method": "ok", "key": form_key(browser.get("/checkout/"))}, follow=True)
    assert "not enough left" in answer.content.decode()
    assert not Order.objects.exists()


def test_the_cart_can_be_changed(client: Client, products: list[Product]) -> None:
    fill_cart(client)
    client.post("/cart/change/", {"sku": "SKU-1", "quantity": 3})
    assert "30.00 EUR" in client.get("/cart/").content.decode()
    client.post("/cart/change/", {"sku": "SKU-1", "quantity": 0})
    assert "It is empty" in client.get("/cart/").content.decode()


def test_a_foreign_address_is_not_gone_back_to(client: Client, products: list[Product]) -> None:
    answer = client.post("/cart/add/", {"sku": "SKU-1", "quantity": 1, "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/cart/"


def test_nobody_sees_another_ones_order(browser: Client, products: list[Product], other: User) -> None:
    fill_cart(browser)
    browser.post("/checkout/", {"method": "ok", "key": form_key(browser.get("/checkout/"))})
    stranger = Client()
    stranger.force_login(other)
    assert stranger.get(f"/orders/{Order.objects.get().number}/").status_code == 404


def test_forms_are_protected(products: list[Product], user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post("/cart/add/", {"sku": "SKU-1", "quantity": 1}).status_code == 403


def test_a_new_password_ends_other_sessions(browser: Client, user: User) -> None:
    assert browser.get("/orders/").status_code == 200
    user.set_password("something new")
    user.save()
    assert browser.get("/orders/").status_code == 302


@pytest.mark.parametrize("model", ["users/user", "customers/customer", "customers/address", "products/product", "orders/order",
                                   "orders/orderline", "orders/paymentintent", "payments/payment", "payments/refund",
                                   "payments/idempotencykey"])  # fmt: skip
def test_the_admin_shows_every_model(client: Client, browser: Client, products: list[Product], model: str) -> None:
    fill_cart(browser)
    browser.post("/checkout/", {"method": "ok", "key": form_key(browser.get("/checkout/"))})
    client.force_login(User.objects.create_superuser("staff@example.com"))
    assert client.get(f"/admin/{model}/?q=a").status_code == 200
    assert client.get(f"/admin/{model}/add/").status_code == 200


# ---- goods are kept from the cart to the order ---------------------------------------------------------------------------


def begin(browser: Client) -> str:
    answer = browser.post("/checkout/begin/", follow=True)
    assert "kept for you for 15 minutes" in answer.content.decode()
    return form_key(answer)


def held() -> list[tuple[str, int]]:
    return sorted(Reservation.objects.values_list("state", "quantity"))


def test_the_goods_are_off_the_shelf_from_the_cart_to_the_order_and_taken_once(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, 4)
    key = begin(browser)
    assert (stock_of(products[0]), held()) == (6, [("held", 4)])
    browser.post("/checkout/", {"method": "ok", "key": key})
    browser.post("/checkout/", {"method": "ok", "key": key})
    assert (stock_of(products[0]), held(), Order.objects.count()) == (6, [("used", 4)], 1)


@pytest.mark.parametrize("then", [1, 7])
def test_who_changes_the_cart_meanwhile_gets_what_is_in_it(browser: Client, products: list[Product], then: int) -> None:
    fill_cart(browser, 4)
    key = begin(browser)
    browser.post("/cart/change/", {"sku": "SKU-1", "quantity": then})
    browser.post("/checkout/", {"method": "ok", "key": key})
    assert (stock_of(products[0]), Order.objects.get().lines.get().quantity) == (10 - then, then)


def test_who_begins_anew_keeps_nothing_twice(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, 4)
    begin(browser)
    begin(browser)
    assert (stock_of(products[0]), held()) == (6, [("held", 4), ("released", 4)])


def test_what_was_kept_too_long_is_sold_if_it_is_still_there(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, 4)
    key = begin(browser)
    Reservation.objects.update(expires_at=timezone.now())
    tasks.expire_reservations()
    Product.objects.filter(pk=products[0].pk).update(stock=3)
    refused = browser.post("/checkout/", {"method": "ok", "key": key}, follow=True)
    assert "There is not enough left" in refused.content.decode()
    Product.objects.filter(pk=products[0].pk).update(stock=4)
    browser.post("/checkout/", {"method": "ok", "key": key})
    assert (stock_of(products[0]), Order.objects.get().state) == (0, "paid")


def test_a_declined_card_gives_the_goods_back_and_another_try_is_another_order(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, 4)
    page = browser.post("/checkout/", {"method": "declined", "key": begin(browser)}, follow=True)
    assert stock_of(products[0]) == 10
    browser.post("/checkout/", {"method": "ok", "key": form_key(page)})
    assert (stock_of(products[0]), sorted(Order.objects.values_list("state", flat=True))) == (6, ["cancelled", "paid"])


def test_more_than_there_is_is_said_in_the_cart(browser: Client, products: list[Product]) -> None:
    fill_cart(browser, 11)
    answer = browser.post("/checkout/begin/", follow=True)
    assert "There is not enough left" in answer.content.decode()
    assert (stock_of(products[0]), held()) == (10, [])


def test_who_is_not_logged_in_comes_to_the_checkout_by_the_log_in(client: Client, products: list[Product]) -> None:
    fill_cart(client)
    assert client.post("/checkout/begin/").headers["Location"] == "/login/?next=/checkout/"
    assert held() == []
