"""Coupons, the way of an order and its history, returns, carts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.utils import timezone

from tests.integration.shop.shopping import client_of, stock_of

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from monolith.orders.models import Coupon, Order
    from monolith.products.models import Product
    from monolith.users.models import User
    from tests.integration.shop.shopping import Buy, PaymentsService


@pytest.fixture
def staff(db: None) -> APIClient:
    from monolith.users.models import User

    return client_of(User.objects.create_superuser("staff@example.com", "battery staple"))


def make_coupon(**fields: Any) -> Coupon:
    from monolith.orders.models import Coupon

    now = timezone.now()
    given = {"code": "spring", "percent": 15, "valid_from": now - timedelta(days=1), "valid_until": now + timedelta(days=1)}
    return Coupon.objects.create(**{**given, **fields})


def place(api: APIClient, products: list[Product], key: str, coupon: str = "", quantity: int = 1, method: str = "ok") -> Any:
    lines = [{"sku": product.sku, "quantity": quantity} for product in products]
    body = {"lines": lines, "method": method, "pay": "now", "coupon": coupon}
    return api.post("/api/orders/checkout/", body, headers={"Idempotency-Key": key})


# ---- coupons -----------------------------------------------------------------------------------------------------------


def test_a_coupon_takes_its_share_off_and_is_what_is_charged(api: APIClient, products: list[Product]) -> None:
    from monolith.payments.models import Payment

    make_coupon(percent=33)
    order = place(api, products, "a", " Spring ").json()
    assert (order["total"], order["discount"]) == ("40.20", "19.80")
    assert Payment.objects.get().amount == Decimal("40.20")
    assert place(api, products, "a", "SPRING").json()["id"] == order["id"]
    assert place(api, products, "a").status_code == 422  # the same key without the coupon is something else


def test_an_amount_off_is_never_more_than_the_order(api: APIClient, products: list[Product]) -> None:
    make_coupon(percent=None, amount=Decimal("25"))
    order = place(api, products[:1], "a", "spring").json()
    assert (order["total"], order["discount"], order["state"]) == ("0.00", "10.00", "paid")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"code": "other"}, "not valid"),
        ({"valid_until": timezone.now() - timedelta(hours=1)}, "not valid"),
        ({"currency": "CHF", "percent": None, "amount": Decimal(5)}, "not valid"),
        ({"min_total": Decimal("100")}, "from 100"),
        ({"max_uses": 1, "used": 1}, "used up"),
    ],
)
def test_a_coupon_that_does_not_hold_is_refused_and_nothing_is_placed(
    api: APIClient, products: list[Product], fields: dict[str, Any], said: str
) -> None:
    from monolith.orders.models import Order

    make_coupon(**fields)
    answer = place(api, products, "a", "spring")
    assert (answer.status_code, answer.json()["title"]) == (400, "Coupon refused")
    assert said in answer.json()["detail"]
    assert not Order.objects.exists()
    assert stock_of(products[0]) == 10


def test_a_cancelled_order_gives_the_use_of_its_coupon_back(api: APIClient, products: list[Product]) -> None:
    coupon = make_coupon()
    order = place(api, products, "a", "spring").json()
    for _ in range(2):
        assert api.post(f"/api/orders/{order['id']}/cancel/").status_code == 200
    place(api, products, "b", "spring", method="declined")
    coupon.refresh_from_db()
    assert coupon.used == 0


@pytest.mark.django_db(transaction=True)
def test_the_last_use_of_a_coupon_is_one_of_two_at_once(user: User, products: list[Product]) -> None:
    coupon = make_coupon(max_uses=2)

    def one(number: int) -> int:
        try:
            return int(place(client_of(user), products[:1], f"k{number}", "spring").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(one, range(5))) == [201, 201, 400, 400, 400]
    coupon.refresh_from_db()
    assert coupon.used == 2


# ---- the way of an order -----------------------------------------------------------------------------------------------


@pytest.fixture
def paid(buy: Buy) -> Order:
    from monolith.orders.models import Order

    buy(quantity=3)
    return Order.objects.get()


def go(staff: APIClient, order: Order, *steps: str) -> list[int]:
    return [staff.post(f"/api/orders/{order.pk}/{step}/").status_code for step in steps]


def test_an_order_goes_its_way_and_every_step_is_noted(api: APIClient, staff: APIClient, paid: Order) -> None:
    assert go(staff, paid, "ship", "pack", "pack", "ship", "deliver", "pack") == [409, 200, 200, 200, 200, 409]
    history = api.get(f"/api/orders/{paid.pk}/history/").json()
    assert [(step["before"], step["after"]) for step in history] == [
        ("pending", "paid"),
        ("paid", "packed"),
        ("packed", "shipped"),
        ("shipped", "delivered"),
    ]
    assert [step["by"] is None for step in history] == [True, False, False, False]


def test_steps_are_for_staff_and_history_for_its_customer(api: APIClient, other: User, paid: Order) -> None:
    assert go(api, paid, "pack") == [403]
    assert client_of(other).get(f"/api/orders/{paid.pk}/history/").status_code == 404


def test_what_was_packed_can_be_cancelled_and_what_was_shipped_not(api: APIClient, staff: APIClient, buy: Buy) -> None:
    from monolith.orders.models import Order
    from monolith.payments.models import Payment

    buy()
    buy()
    packed, shipped = Order.objects.order_by("pk")
    go(staff, packed, "pack")
    go(staff, shipped, "pack", "ship")
    assert api.post(f"/api/orders/{packed.pk}/cancel/").json()["state"] == "cancelled"
    assert Payment.objects.get(order=packed).state == "refunded"
    answer = api.post(f"/api/orders/{shipped.pk}/cancel/")
    assert (answer.status_code, answer.json()["title"]) == (409, "Not that way")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_pack_at_once_one_does(paid: Order) -> None:
    from monolith.orders.models import OrderEvent
    from monolith.orders.states import move

    def one(_: int) -> str | None:
        try:
            with transaction.atomic():
                return move(order_id=paid.pk, to="packed")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(map(str, pool.map(one, range(4)))) == ["None", "None", "None", "paid"]
    assert OrderEvent.objects.filter(after="packed").count() == 1


# ---- returns -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def delivered(staff: APIClient, paid: Order) -> Order:
    go(staff, paid, "pack", "ship", "deliver")
    return paid


def ask(api: APIClient, order: Order, quantity: int) -> Any:
    line = order.lines.get()
    return api.post(f"/api/orders/{order.pk}/returns/", {"lines": [{"line": line.pk, "quantity": quantity}], "reason": "too big"})


def test_goods_come_back_and_so_does_the_money(
    api: APIClient, staff: APIClient, delivered: Order, products: list[Product]
) -> None:
    from monolith.payments.models import Payment

    made = ask(api, delivered, 1).json()
    assert (made["state"], made["amount"]) == ("requested", "10.00")
    path = f"/api/orders/returns/{made['id']}/"
    assert staff.post(path + "receive/").status_code == 409
    assert staff.post(path + "approve/").json()["state"] == "approved"
    for _ in range(2):
        assert staff.post(path + "receive/").json()["state"] == "refunded"
    assert (Payment.objects.get().state, Payment.objects.get().refunded_amount) == ("partly_refunded", Decimal("10.00"))
    assert stock_of(products[0]) == 8
    assert ask(api, delivered, 3).status_code == 409
    rest = ask(api, delivered, 2).json()
    staff.post(f"/api/orders/returns/{rest['id']}/approve/")
    staff.post(f"/api/orders/returns/{rest['id']}/receive/")
    delivered.refresh_from_db()
    assert (delivered.state, Payment.objects.get().state, stock_of(products[0])) == ("returned", "refunded", 10)


def test_a_rejected_return_can_be_asked_for_again(api: APIClient, staff: APIClient, delivered: Order) -> None:
    made = ask(api, delivered, 3).json()
    assert ask(api, delivered, 1).status_code == 409
    assert staff.post(f"/api/orders/returns/{made['id']}/reject/").json()["state"] == "rejected"
    assert ask(api, delivered, 1).status_code == 201


def test_returns_with_a_discount_give_back_what_was_paid_to_the_cent(
    api: APIClient, staff: APIClient, products: list[Product]
) -> None:
    from monolith.orders.models import Order
    from monolith.payments.models import Payment

    make_coupon(percent=7)
    place(api, products[:1], "a", "spring", quantity=3)
    order = Order.objects.get()
    go(staff, order, "pack", "ship", "deliver")
    amounts = []
    for _ in range(3):
        made = ask(api, order, 1).json()
        staff.post(f"/api/orders/returns/{made['id']}/approve/")
        staff.post(f"/api/orders/returns/{made['id']}/receive/")
        amounts.append(Decimal(made["amount"]))
    assert sum(amounts) == order.total == Payment.objects.get().refunded_amount == Decimal("27.90")


RUBBISH = [[], [{"line": 1, "quantity": 0}], [{"line": 2**70, "quantity": 1}], [{"line": "x"}], "x", None]


@pytest.mark.parametrize("lines", RUBBISH)
def test_a_return_is_checked(api: APIClient, delivered: Order, lines: Any) -> None:
    assert api.post(f"/api/orders/{delivered.pk}/returns/", {"lines": lines}).status_code == 400


def test_only_what_was_delivered_can_be_returned_by_who_bought_it(
    api: APIClient, other: User, paid: Order, delivered: Order, buy: Buy
) -> None:
    from monolith.orders.models import Order

    assert ask(client_of(other), delivered, 1).status_code == 404
    buy()
    assert ask(api, Order.objects.latest("pk"), 1).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_returns_at_once_are_never_more_than_was_bought(user: User, delivered: Order) -> None:
    def one(_: int) -> int:
        try:
            return int(ask(client_of(user), delivered, 2).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [201, 409, 409, 409]


def test_money_that_could_not_be_sent_is_sent_by_the_task(
    api: APIClient, staff: APIClient, delivered: Order, service: PaymentsService
) -> None:
    """Payments is a service, and away just when the goods arrive."""
    from monolith.orders import tasks
    from monolith.orders.models import Return
    from monolith.payments.models import Payment

    made = ask(api, delivered, 1).json()
    staff.post(f"/api/orders/returns/{made['id']}/approve/")
    service.fault = "down"
    assert staff.post(f"/api/orders/returns/{made['id']}/receive/").json()["state"] == "received"
    assert tasks.settle() == 0
    service.fault = ""
    assert tasks.settle() == 1
    assert tasks.settle() == 0
    assert Return.objects.get().state == "refunded"
    assert Payment.objects.get().refunded_amount == Decimal("10.00")


# ---- carts -------------------------------------------------------------------------------------------------------------


def test_a_cart_by_api(api: APIClient, other: User) -> None:
    assert api.put("/api/orders/cart/", {"sku": "SKU-1", "quantity": 2}).json() == {"quantities": {"SKU-1": 2}}
    assert api.put("/api/orders/cart/", {"sku": "SKU-2", "quantity": 1}).json() == {"quantities": {"SKU-1": 2, "SKU-2": 1}}
    assert api.put("/api/orders/cart/", {"sku": "SKU-1", "quantity": 0}).json() == {"quantities": {"SKU-2": 1}}
    assert client_of(other).get("/api/orders/cart/").json() == {"quantities": {}}
    assert api.delete("/api/orders/cart/").status_code == 204
    assert api.get("/api/orders/cart/").json() == {"quantities": {}}


def test_the_cart_of_the_session_joins_the_users_at_log_in(user: User, products: list[Product]) -> None:
    from monolith.orders.contract import MOST_OF_ONE, carts

    carts.put(user_id=user.pk, sku="SKU-1", quantity=1)
    carts.put(user_id=user.pk, sku="SKU-2", quantity=MOST_OF_ONE)
    browser = Client()
    for sku, quantity in (("SKU-1", 2), ("SKU-2", 5), ("SKU-3", 1)):
        browser.post("/cart/add/", {"sku": sku, "quantity": quantity})
    assert browser.post("/login/", {"username": user.email, "password": "correct horse"}).status_code == 302
    assert carts.quantities(user_id=user.pk) == {"SKU-1": 3, "SKU-2": MOST_OF_ONE, "SKU-3": 1}
    assert "cart" not in browser.session
    assert ">103</span>" in browser.get("/cart/").content.decode()
    elsewhere = Client()
    elsewhere.force_login(user)
    assert carts.quantities(user_id=user.pk)["SKU-1"] == 3  # another device sees it, and adds nothing


@pytest.mark.django_db(transaction=True)
def test_two_log_ins_at_once_lose_nothing(user: User) -> None:
    from monolith.orders.contract import carts

    def one(_: int) -> None:
        try:
            carts.add(user_id=user.pk, quantities={"B": 1, "A": 2})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(one, range(10)))
    assert carts.quantities(user_id=user.pk) == {"A": 20, "B": 10}


def test_carts_that_nobody_touches_are_forgotten(user: User) -> None:
    from monolith.orders import tasks
    from monolith.orders.contract import carts
    from monolith.orders.models import CartLine

    for sku in ("old", "new"):
        carts.put(user_id=user.pk, sku=sku, quantity=1)
    CartLine.objects.filter(sku="old").update(changed_at=timezone.now() - timedelta(days=91))
    assert tasks.forget_carts() == 1
    assert carts.quantities(user_id=user.pk) == {"new": 1}


def test_the_pages_of_an_order(user: User, staff: APIClient, paid: Order) -> None:
    browser = Client()
    browser.force_login(user)
    page = f"/orders/{paid.number}/"
    assert "Cancel the order" in browser.get(page).content.decode()
    go(staff, paid, "pack", "ship", "deliver")
    shown = browser.get(page).content.decode()
    assert "Send something back" in shown
    assert "Cancel the order" not in shown
    line = paid.lines.get()
    assert browser.post(page + "return/", {f"line-{line.pk}": "2", "reason": "too big\0"}).status_code == 302
    assert "requested" in browser.get(page).content.decode()
    assert browser.post(page + "return/", {f"line-{line.pk}": "x"}).status_code == 302
    assert browser.post(page + "cancel/").status_code == 302
    paid.refresh_from_db()
    assert paid.state == "delivered"


def test_a_checkout_on_the_page_takes_a_coupon_and_empties_the_cart(user: User, products: list[Product]) -> None:
    from monolith.orders.contract import carts
    from monolith.orders.models import Order

    make_coupon(percent=50)
    browser = Client()
    browser.force_login(user)
    browser.post("/cart/add/", {"sku": "SKU-1", "quantity": 2})
    form = {"method": "ok", "key": "0b8e7a0e-52ab-4f4e-8b6a-2f2f5a1f0d11", "coupon": "spring"}
    refused = browser.post("/checkout/", {**form, "coupon": "wrong"})
    assert "This coupon is not valid" in refused.content.decode()  # where it was typed, and what was chosen stays
    assert 'value="wrong"' in refused.content.decode()
    assert form["key"] in refused.content.decode()
    assert browser.post("/checkout/", form).status_code == 302
    assert (Order.objects.get().total, carts.quantities(user_id=user.pk)) == (Decimal("10.00"), {})


def test_the_database_itself_keeps_coupons_within_their_limit(db: None) -> None:
    from monolith.orders.models import Coupon

    coupon = make_coupon()
    with pytest.raises(IntegrityError, match="orders_coupon_uses"), transaction.atomic():
        Coupon.objects.filter(pk=coupon.pk).update(used=2)
