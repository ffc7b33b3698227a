"""Accounts: register, tokens, forgotten passwords, profile, addresses, favourites, merging duplicates."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client, override_settings
from rest_framework.test import APIClient

from tests.integration.shop.shopping import client_of

if TYPE_CHECKING:
    from monolith.products.models import Product
    from monolith.users.models import User

GOOD = "a long enough phrase"
NEW = {"email": "Eve@Example.com", "password": GOOD}


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    """No throttle left over, tasks run at once, mails are kept."""
    from monolith.celery import app

    cache.clear()
    was, app.conf.task_always_eager = app.conf.task_always_eager, True
    yield
    app.conf.task_always_eager = was
    cache.clear()


@pytest.fixture
def staff(db: None) -> APIClient:
    from monolith.users.models import User

    return client_of(User.objects.create_superuser("staff@example.com", "battery staple"))


# ---- register and tokens -----------------------------------------------------------------------------------------------


def test_who_registers_has_an_account_and_a_profile(db: None) -> None:
    from monolith.customers.models import Customer

    answer = APIClient().post("/api/users/register/", NEW)
    assert (answer.status_code, answer.json()["email"]) == (201, "eve@example.com")
    assert Customer.objects.get().user_id == answer.json()["id"]
    tokens = APIClient().post("/api/users/token/", NEW).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    assert client.get("/api/users/me/").json()["email"] == "eve@example.com"


def test_an_address_is_registered_once_in_any_case(user: User) -> None:
    answer = APIClient().post("/api/users/register/", {"email": "ADA@example.com", "password": GOOD})
    assert (answer.status_code, answer.json()["title"]) == (409, "E-mail address taken")


@pytest.mark.parametrize(
    "wrong", [{"password": "short"}, {"password": "password123"}, {"email": "x"}, {"email": "a\0@example.com"}]
)
def test_a_registration_is_checked(db: None, wrong: dict[str, str]) -> None:
    assert APIClient().post("/api/users/register/", {**NEW, **wrong}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_registrations_at_once_make_one_account() -> None:
    from monolith.customers.models import Customer

    def one(_: int) -> int:
        try:
            return int(APIClient().post("/api/users/register/", NEW).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [201, 409, 409, 409]
    assert Customer.objects.count() == 1


def test_a_refresh_token_gets_a_new_pair_until_the_password_changes(user: User) -> None:
    pair = APIClient().post("/api/users/token/", {"email": user.email, "password": "correct horse"}).json()
    again = APIClient().post("/api/users/token/refresh/", {"refresh": pair["refresh"]})
    assert again.status_code == 200
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {again.json()['access']}")
    assert client.post("/api/users/me/password/", {"old": "wrong", "password": GOOD}).status_code == 400
    assert client.post("/api/users/me/password/", {"old": "correct horse", "password": GOOD}).status_code == 204
    assert APIClient().post("/api/users/token/refresh/", {"refresh": again.json()["refresh"]}).status_code == 401


def test_the_two_kinds_of_token_do_not_stand_in_for_each_other(user: User) -> None:
    pair = APIClient().post("/api/users/token/", {"email": user.email, "password": "correct horse"}).json()
    assert APIClient().post("/api/users/token/refresh/", {"refresh": pair["access"]}).status_code == 401
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['refresh']}")
    assert client.get("/api/users/me/").status_code == 401


def test_a_log_in_by_token_is_noted(user: User) -> None:
    APIClient().post("/api/users/token/", {"email": user.email, "password": "correct horse"})
    user.refresh_from_db()
    assert user.last_login is not None


def test_too_many_tries_are_refused_and_a_cache_that_is_away_keeps_nobody_out(
    user: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from monolith.users.throttles import Throttle

    monkeypatch.setattr(Throttle, "THROTTLE_RATES", {"login": "2/min", "reset": "2/min"})
    good = {"email": user.email, "password": "correct horse"}
    assert [APIClient().post("/api/users/token/", good).status_code for _ in range(3)] == [200, 200, 429]
    away = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    with override_settings(CACHES=away):
        assert APIClient().post("/api/users/token/", good).status_code == 200


def test_staff_lists_users(staff: APIClient, api: APIClient, user: User, other: User) -> None:
    found = staff.get("/api/users/", {"q": "ADA"}).json()["results"]
    assert [row["email"] for row in found] == [user.email]
    assert {row["is_staff"] for row in staff.get("/api/users/", {"is_staff": "false"}).json()["results"]} == {False}
    assert staff.get("/api/users/", {"is_staff": "perhaps"}).status_code == 400
    assert api.get("/api/users/").status_code == 403


# ---- a forgotten password ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_forgotten_password_is_reset_by_a_mail_once(user: User) -> None:
    assert APIClient().post("/api/users/password-reset/", {"email": "ADA@example.com"}).status_code == 202
    (sent,) = mail.outbox
    assert sent.to == [user.email]
    found = re.search(r"/account/reset/([^/]+)/([^/]+)/", str(sent.body))
    assert found
    body = {"uid": found[1], "token": found[2], "password": GOOD}
    assert APIClient().post("/api/users/password-reset/confirm/", {**body, "password": "short"}).status_code == 400
    assert APIClient().post("/api/users/password-reset/confirm/", body).status_code == 204
    assert APIClient().post("/api/users/password-reset/confirm/", body).json()["title"] == "Link not valid"
    assert APIClient().post("/api/users/token/", {"email": user.email, "password": GOOD}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_mail_is_in_the_language_of_who_asks(user: User) -> None:
    Client(headers={"Accept-Language": "de"}).post("/account/reset/", {"email": user.email})
    (sent,) = mail.outbox
    assert sent.subject == "Ihr Passwort"
    assert "innerhalb von drei Tagen" in str(sent.body)
    assert "\n\nhttp" in str(sent.body)


@pytest.mark.django_db(transaction=True)
def test_nobody_learns_who_has_an_account(user: User) -> None:
    assert APIClient().post("/api/users/password-reset/", {"email": "nobody@example.com"}).status_code == 202
    assert mail.outbox == []


@pytest.mark.parametrize("uid", ["x", "AAAA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk", "ü"])
def test_a_link_that_is_not_ours_resets_nothing(db: None, uid: str) -> None:
    body = {"uid": uid, "token": "a-b", "password": GOOD}
    assert APIClient().post("/api/users/password-reset/confirm/", body).status_code == 400
    assert Client().get(f"/account/reset/{uid}/a-b/").status_code == 302


# ---- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_pages_from_registration_to_a_new_password() -> None:
    browser = Client()
    form = {"name": "Eve", "email": "eve@example.com", "password": GOOD}
    assert browser.post("/account/register/", {**form, "password": "short"}).status_code == 200
    assert browser.post("/account/register/", form).status_code == 302
    page = browser.get("/account/").content.decode()
    assert "eve@example.com" in page
    assert 'value="Eve"' in page
    settings = {"name": "Eve E.", "phone": "1", "language": "de", "currency": "EUR", "time_zone": "Europe/Berlin"}
    assert browser.post("/account/", settings).status_code == 302
    assert "Es gibt keine Zeitzone Mars." in browser.post("/account/", {**settings, "time_zone": "Mars"}).content.decode()
    address = {"recipient": "Eve", "street": "Lindenweg 1", "postcode": "10115", "city": "Berlin", "country": "DE"}
    assert browser.post("/account/addresses/", address).status_code == 302
    assert browser.post("/account/addresses/", {**address, "country": "Germany"}).status_code == 200
    assert "Lindenweg 1" in browser.get("/account/").content.decode()
    assert browser.post("/account/password/", {"old": GOOD, "password": GOOD + "!"}).status_code == 302
    assert browser.get("/account/").status_code == 200  # still logged in
    assert Client().post("/account/reset/", {"email": "eve@example.com"}).status_code == 302
    found = re.search(r"/account/reset/\S+", str(mail.outbox[-1].body))
    assert found
    forgetful = Client()
    assert forgetful.get(found[0]).status_code == 200
    assert forgetful.post(found[0], {"password": GOOD + "?"}).status_code == 302
    assert browser.get("/account/").status_code == 302  # sessions of the old password have ended
    assert forgetful.post("/login/", {"username": "eve@example.com", "password": GOOD + "?"}).status_code == 302


# ---- customers ---------------------------------------------------------------------------------------------------------


def test_favourites_are_put_and_taken_away(api: APIClient, products: list[Product], user: User) -> None:
    from monolith.customers.models import Customer

    path = f"/api/customers/me/favourites/{products[0].pk}/"
    assert [api.put(path).status_code, api.put(path).status_code] == [204, 204]
    assert list(Customer.objects.get(user=user).favourites.all()) == [products[0]]
    assert api.put("/api/customers/me/favourites/999999/").status_code == 404
    assert [api.delete(path).status_code, api.delete(path).status_code] == [204, 204]


@pytest.mark.django_db(transaction=True)
def test_two_addresses_that_become_the_default_at_once_leave_one(user: User) -> None:
    from monolith.customers import services
    from monolith.customers.models import Address

    fields = {"recipient": "Ada", "street": "Weg 1", "postcode": "1", "city": "B"}
    both = [services.address_add(user_id=user.pk, **fields) for _ in range(2)]

    def prefer(address: Address) -> bool:
        try:
            return services.address_prefer(user_id=user.pk, address_id=address.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            assert all(pool.map(prefer, both))
            assert Address.objects.filter(is_default=True).count() == 1


def test_a_duplicate_becomes_part_of_the_other(
    api: APIClient, buy: Any, user: User, other: User, products: list[Product]
) -> None:
    from monolith.customers.models import Address, Customer, CustomerMerge
    from monolith.orders.models import Order

    buy()
    duplicate, keep = Customer.objects.get(user=user), Customer.objects.get(user=other)
    for customer in (duplicate, keep):
        Address.objects.create(customer=customer, recipient="A", street="B", postcode="1", city="C", is_default=True)
    duplicate.favourites.add(products[1])
    said = io.StringIO()
    call_command("merge_customers", str(keep.pk), str(duplicate.pk), stdout=said)
    assert said.getvalue() == f"{duplicate.pk} is part of {keep.pk} now: 1 customers.Address, 1 orders.Order\n"
    assert Order.objects.get().customer == keep
    assert (keep.addresses.count(), keep.addresses.filter(is_default=True).count()) == (2, 1)
    assert list(keep.favourites.all()) == [products[1]]
    call_command("merge_customers", str(keep.pk), str(duplicate.pk), stdout=said)  # again: nothing more
    assert CustomerMerge.objects.count() == 1
    with pytest.raises(CommandError, match="two customers"):
        call_command("merge_customers", str(keep.pk), str(keep.pk))


@pytest.mark.django_db(transaction=True)
def test_two_merges_at_once_do_it_once(user: User, other: User) -> None:
    from monolith.customers import services
    from monolith.customers.contract import NotMergeable
    from monolith.customers.models import Customer, CustomerMerge

    first, second = Customer.objects.order_by("pk").values_list("pk", flat=True)

    def one(pair: tuple[int, int]) -> bool:
        try:
            services.merge(keep_id=pair[0], duplicate_id=pair[1])
            return True
        except NotMergeable:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(one, [(first, second), (second, first)] * 2))
    assert outcomes.count(True) == 2
    assert (Customer.objects.count(), CustomerMerge.objects.count()) == (1, 1)
