from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from monolith.orders.models import Order
from monolith.payments import intake, services
from monolith.payments.models import Payment, Refund
from monolith.users.models import User
from strangler.seams import Claim
from tests.integration.shop.shopping import Buy, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(buy: Buy) -> dict[str, Any]:
    return dict(buy(pay="later", quantity=3).json())


def pay(api: APIClient, bill: dict[str, Any], /, *, key: str = "k", **more: Any) -> Any:
    body = {"order": bill["id"], "amount": bill["total"], "currency": bill["currency"], "method": "ok", **more}
    return api.post("/api/payments/", body, headers={"Idempotency-Key": key})


def test_the_same_key_has_the_same_answer(api: APIClient, order: dict[str, Any]) -> None:
    first, again = pay(api, order), pay(api, order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["amount"] == "30.00"
    assert Payment.objects.count() == 1


def test_the_same_key_has_the_same_answer_after_a_refund(api: APIClient, order: dict[str, Any]) -> None:
    first = pay(api, order)
    api.post(f"/api/payments/{first.json()['id']}/refund/")
    assert pay(api, order).json() == first.json()


def test_a_key_is_not_reused_for_something_else(api: APIClient, order: dict[str, Any]) -> None:
    pay(api, order)
    assert pay(api, order, amount="1.00").status_code == 422


def test_an_order_is_paid_once_whatever_the_key(api: APIClient, order: dict[str, Any]) -> None:
    assert pay(api, order).status_code == 201
    assert pay(api, order, key="other").status_code == 409


def test_a_second_payment_is_refused_while_the_first_has_no_outcome(api: APIClient, order: dict[str, Any]) -> None:
    assert pay(api, order, method="timeout").status_code == 202
    assert pay(api, order, key="other").status_code == 409


def test_after_a_decline_another_card_can_pay(api: APIClient, order: dict[str, Any]) -> None:
    assert pay(api, order, method="declined").json()["state"] == "declined"
    assert pay(api, order, key="other").json()["state"] == "captured"
    seen = api.get(f"/api/orders/{order['id']}/").json()
    assert (seen["state"], seen["payment"]["state"]) == ("paid", "captured")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"amount": "29.99"}, 409),
        ({"currency": "USD"}, 409),
        ({"order": 10**17}, 404),
        ({"method": "cash"}, 400),
        ({"amount": "x"}, 400),
    ],
)
def test_a_payment_has_to_fit_the_order(api: APIClient, order: dict[str, Any], change: dict[str, Any], status: int) -> None:
    answer = pay(api, order, **change)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert not Payment.objects.exists()


def test_nobody_pays_or_sees_another_ones(api: APIClient, order: dict[str, Any], other: User) -> None:
    stranger = client_of(other)
    assert pay(stranger, order).status_code == 404
    payment = pay(api, order).json()
    assert stranger.get("/api/payments/").json()["count"] == 0
    for path in ("", "refund/", "capture/"):
        send = stranger.post if path else stranger.get
        assert send(f"/api/payments/{payment['id']}/{path}").status_code == 404


def test_staff_sees_all(api: APIClient, order: dict[str, Any], other: User) -> None:
    payment = pay(api, order).json()
    User.objects.filter(pk=other.pk).update(is_staff=True)
    assert client_of(other).get(f"/api/payments/{payment['id']}/").json() == payment


def test_payments_of_one_order_can_be_asked_for(api: APIClient, order: dict[str, Any], buy: Buy) -> None:
    buy()
    payment = pay(api, order).json()
    assert api.get("/api/payments/").json()["count"] == 2
    assert api.get(f"/api/payments/?order={order['id']}").json()["results"] == [payment]
    assert api.get("/api/payments/?order=x").status_code == 400


def test_held_money_is_captured_once(api: APIClient, order: dict[str, Any]) -> None:
    payment = pay(api, order, method="authorise").json()
    assert (payment["state"], payment["captured_at"]) == ("authorised", None)
    assert api.get(f"/api/orders/{order['id']}/").json()["state"] == "pending"
    first, again = (api.post(f"/api/payments/{payment['id']}/capture/").json() for _ in range(2))
    assert first == again
    assert first["state"] == "captured"
    assert api.get(f"/api/orders/{order['id']}/").json()["state"] == "paid"


def test_a_refund_gives_all_back_once(api: APIClient, order: dict[str, Any]) -> None:
    payment = pay(api, order).json()
    for key in ("a", "b"):
        answer = api.post(f"/api/payments/{payment['id']}/refund/", {}, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["state"]) == (200, "refunded")
    refund = Refund.objects.get()
    assert (str(refund.amount), refund.state) == ("30.00", "done")


def test_what_was_not_captured_cannot_be_refunded(api: APIClient, order: dict[str, Any]) -> None:
    payment = pay(api, order, method="declined").json()
    assert api.post(f"/api/payments/{payment['id']}/refund/").status_code == 409


@pytest.mark.parametrize("killed_before", ["charge", "record_answer"])
def test_a_charge_that_was_killed_is_carried_on_by_its_key(
    api: APIClient, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(services.provider if killed_before == "charge" else services, killed_before, die)
        with pytest.raises(Killed):
            pay(api, order)
    assert Payment.objects.get().state == "processing"
    assert pay(api, order).json()["state"] == "captured"
    assert Payment.objects.count() == 1


def test_a_refund_that_was_killed_is_carried_on(api: APIClient, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    class Killed(BaseException):
        pass

    def die(**_: Any) -> None:
        raise Killed

    payment = pay(api, order).json()
    with monkeypatch.context() as patch:
        patch.setattr(services.provider, "refund", die)
        with pytest.raises(Killed):
            api.post(f"/api/payments/{payment['id']}/refund/")
    assert Payment.objects.get().state == "captured"
    assert services.resolve(older_than=timedelta(0)) == 1
    assert Payment.objects.get().state == "refunded"


def test_a_list_of_payments_needs_no_join(api: APIClient, order: dict[str, Any], django_assert_num_queries: Any) -> None:
    pay(api, order)
    with django_assert_num_queries(3) as captured:  # the user, the count, the payments
        api.get("/api/payments/")
    assert "JOIN" not in captured.captured_queries[-1]["sql"]


@pytest.mark.parametrize(("step", "status"), [(1, 503), (-1, 404)])
def test_a_read_copy_says_of_an_order_newer_than_all_it_has_only_that_it_is_not_known_yet(
    api: APIClient, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, step: int, status: int
) -> None:
    monkeypatch.setattr(intake, "resolve", lambda context: Claim.REMOTE)  # here as on a service, where orders is a copy
    monkeypatch.setattr(intake, "COPY_PATIENCE_S", 0.0)
    Order.objects.filter(pk=order["id"] - 1).delete()
    answer = pay(api, {**order, "id": order["id"] + step})
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)
