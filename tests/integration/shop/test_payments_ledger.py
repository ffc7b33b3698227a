"""Partial refunds, the ledger behind them, what the provider tells by itself, and the bank's way back."""

from __future__ import annotations

import csv
import io
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.utils import timezone

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from monolith.payments.models import Payment
    from monolith.users.models import User
    from tests.integration.shop.shopping import Buy

Tell = Callable[..., Any]


@pytest.fixture
def paid(buy: Buy) -> Payment:
    from monolith.payments.models import Payment

    buy(quantity=2)
    return Payment.objects.get()


@pytest.fixture
def staff(db: None) -> APIClient:
    from monolith.users.models import User
    from tests.integration.shop.shopping import client_of

    return client_of(User.objects.create_superuser("staff@example.com", "battery staple"))


@pytest.fixture
def tell(db: None) -> Tell:
    """The provider posts an event; ``at`` and ``signature`` override what it would sign with."""
    from monolith.payments import webhook

    def post(kind: str, *, id: str = "", at: float | None = None, signature: str | None = None, **data: Any) -> Any:
        body = json.dumps({"id": id or str(uuid.uuid4()), "type": kind, "data": data}).encode()
        headers = {"Provider-Signature": webhook.sign(body, at=at) if signature is None else signature}
        return Client().post("/api/payments/webhook/", body, content_type="application/json", headers=headers)

    return post


def refund(api: APIClient, payment: Payment, amount: str | None = None, key: str = "") -> Any:
    body = {} if amount is None else {"amount": amount}
    headers = {"Idempotency-Key": key} if key else {}
    return api.post(f"/api/payments/{payment.pk}/refund/", body, headers=headers)


def balances() -> dict[str, Decimal]:
    from monolith.payments import ledger

    return {account: ledger.balance(account) for account in ledger.Account.values}


# ---- refunds and ledger ------------------------------------------------------------------------------------------------


def test_parts_are_refunded_until_nothing_is_left(api: APIClient, paid: Payment) -> None:
    first = refund(api, paid, "5.00", "a").json()
    assert (first["state"], first["refunded"]) == ("partly_refunded", "5.00")
    assert refund(api, paid, "5.00", "a").json() == first
    assert refund(api, paid, "5.01", "a").status_code == 422
    assert refund(api, paid, "15.01", "b").status_code == 409
    assert refund(api, paid, "1.00").status_code == 400  # a part needs a key
    last = refund(api, paid).json()
    assert (last["state"], last["refunded"]) == ("refunded", "20.00")
    assert refund(api, paid, key="again").json() == last
    assert refund(api, paid, "0.01", "c").status_code == 409


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "1e400", "NaN", "x", "\0"])
def test_rubbish_is_no_amount(api: APIClient, paid: Payment, amount: str) -> None:
    assert refund(api, paid, amount, "k").status_code == 400


def test_an_order_that_is_partly_refunded_stays_paid_and_is_not_paid_again(api: APIClient, paid: Payment) -> None:
    refund(api, paid, "5.00", "a")
    order = api.get(f"/api/orders/{paid.order_id}/").json()
    assert order["state"] == "paid"
    body = {"order": paid.order_id, "amount": "20.00", "currency": "EUR", "method": "ok"}
    assert api.post("/api/payments/", body, headers={"Idempotency-Key": "z"}).status_code == 409


def test_a_cancelled_order_gets_back_what_is_left(api: APIClient, paid: Payment) -> None:
    refund(api, paid, "5.00", "a")
    assert api.post(f"/api/orders/{paid.order_id}/cancel/").status_code == 200
    paid.refresh_from_db()
    assert (paid.state, paid.refunded_amount) == ("refunded", Decimal("20.00"))


@pytest.mark.django_db(transaction=True)
def test_refunds_at_once_never_exceed_the_payment(api: APIClient, paid: Payment) -> None:
    from monolith.payments.contract import PaymentRefused
    from monolith.payments.services import LocalPayments

    def one(number: int) -> str:
        try:
            LocalPayments().refund(payment_id=paid.pk, user_id=paid.user_id, key=f"k{number}", amount=Decimal("6.00"))
            return "done"
        except PaymentRefused:
            return "refused"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(one, range(6)))
    assert outcomes == ["done"] * 3 + ["refused"] * 3
    paid.refresh_from_db()
    assert paid.refunded_amount == Decimal("18.00")
    assert balances()["refunds"] == Decimal("18.00")


def test_the_database_itself_refuses_to_give_back_too_much(paid: Payment) -> None:
    from monolith.payments.models import Payment

    with pytest.raises(IntegrityError, match="payments_refunded_within"), transaction.atomic():
        Payment.objects.filter(pk=paid.pk).update(refunded_amount=Decimal("20.01"))


def test_every_capture_and_refund_is_booked_once_and_the_books_balance(api: APIClient, paid: Payment, buy: Buy) -> None:
    from monolith.payments.models import Transfer

    buy(method="twice")
    buy(method="declined")
    refund(api, paid, "5.00", "a")
    refund(api, paid, "5.00", "a")
    kinds = sorted(Transfer.objects.values_list("kind", flat=True))
    assert kinds == ["capture", "capture", "fee", "fee", "refund"]
    found = balances()
    assert sum(found.values()) == 0
    assert found["sales"] == Decimal("-30.00")
    assert found["fees"] == Decimal("0.53") + Decimal("0.39")
    assert found["provider"] == Decimal("30.00") - Decimal("5.00") - found["fees"]


def test_the_check_of_the_books_finds_what_is_not_booked_and_what_is_booked_wrongly(
    api: APIClient, buy: Buy, paid: Payment
) -> None:
    from monolith.payments.models import Payment, Transfer

    refund(api, paid, "5.00", "a")
    buy(method="declined")
    buy(method="authorise")
    said = io.StringIO()
    call_command("check_ledger", stdout=said)
    assert said.getvalue().splitlines() == ["EUR  provider 14.47  sales -20.00  refunds 5.00  fees 0.53", "the books balance"]
    for spoil in (
        lambda: Transfer.objects.filter(kind="refund").delete(),
        lambda: Transfer.objects.filter(kind="fee").delete(),
        lambda: Transfer.objects.filter(kind="capture").update(amount="19.99"),
        lambda: Transfer.objects.filter(kind="capture").update(currency="USD"),
        lambda: Payment.objects.filter(pk=paid.pk).update(refunded_amount="4.99"),
        lambda: Payment.objects.filter(pk=paid.pk).update(captured_at=None),
    ):
        with transaction.atomic():
            spoil()
            with pytest.raises(CommandError, match=rf"payments {paid.pk};"):
                call_command("check_ledger", stdout=io.StringIO())
            transaction.set_rollback(True)
    call_command("check_ledger", stdout=io.StringIO())


def test_the_webhook_needs_no_csrf_token_and_another_post_does(tell: Tell, user: User, paid: Payment) -> None:
    from monolith.payments import webhook

    body = json.dumps({"id": "e", "type": "charge.captured", "data": {"payment": paid.pk}}).encode()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    signed = {"Provider-Signature": webhook.sign(body)}
    assert strict.post("/api/payments/webhook/", body, content_type="application/json", headers=signed).status_code == 200
    assert strict.post(f"/api/payments/{paid.pk}/refund/", "{}", content_type="application/json").status_code == 403


def test_what_is_older_than_the_ledger_is_booked_later(api: APIClient, paid: Payment) -> None:
    from monolith.payments.models import Transfer

    refund(api, paid, "5.00", "a")
    columns = ("key", "kind", "amount")
    before = set(Transfer.objects.values_list(*columns))
    Transfer.objects.all().delete()
    said = io.StringIO()
    call_command("post_ledger", stdout=said)
    assert set(Transfer.objects.values_list(*columns)) == before
    call_command("post_ledger", stdout=said)
    assert said.getvalue().endswith("0 transfers booked\n")


def test_the_settlement_of_a_day(api: APIClient, staff: APIClient, paid: Payment) -> None:
    refund(api, paid, "5.00", "a")
    today = timezone.localdate()
    period = {"since": today - timedelta(days=1), "until": today}
    (day,) = staff.get("/api/payments/settlements/", period).json()
    expected = {"day": f"{today}", "currency": "EUR", "captured": "20.00", "refunded": "5.00", "fees": "0.53", "net": "14.47"}
    assert day == expected
    answer = staff.get("/api/payments/settlements.csv", period)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert list(csv.DictReader(io.StringIO(answer.content.decode()))) == [expected]


@pytest.mark.parametrize("period", [{}, {"since": "x", "until": "y"}, {"since": "2026-02-02", "until": "2026-02-01"}])
def test_a_settlement_needs_a_period(staff: APIClient, period: dict[str, str]) -> None:
    assert staff.get("/api/payments/settlements/", period).status_code == 400


@pytest.mark.parametrize("path", ["/api/payments/settlements/", "/api/payments/settlements.csv"])
def test_settlements_and_search_are_for_staff(api: APIClient, path: str) -> None:
    assert api.get(path).status_code == 403
    assert api.post("/api/payments/search/", {}).status_code == 403


def test_staff_search(api: APIClient, staff: APIClient, paid: Payment) -> None:
    def found(**asked: str) -> list[int]:
        answer = staff.post("/api/payments/search/", asked)
        assert answer.status_code == 200, answer.json()
        return [payment["id"] for payment in answer.json()]

    assert found(number=paid.order.number) == found(email="ADA@example.com") == found(at_least="20", at_most="20") == [paid.pk]
    assert found(state="refunded") == found(number="S-0") == []


# ---- what the provider tells -------------------------------------------------------------------------------------------


@pytest.fixture
def processing(buy: Buy) -> Payment:
    from monolith.payments.models import Payment

    buy(method="timeout")
    payment = Payment.objects.get()
    assert payment.state == "processing"
    return payment


def test_an_event_captures_and_the_order_is_paid_and_told_again_it_changes_nothing(tell: Tell, processing: Payment) -> None:
    from monolith.orders.models import Order
    from monolith.payments.models import ProviderEvent, Transfer

    for _ in range(2):
        answer = tell("charge.captured", id="e-1", payment=processing.pk, reference="ch_1")
        assert (answer.status_code, answer.json()) == (200, {"handled": True})
    processing.refresh_from_db()
    assert (processing.state, processing.provider_reference) == ("captured", "ch_1")
    assert Order.objects.get().state == "paid"
    assert (ProviderEvent.objects.count(), Transfer.objects.filter(kind="capture").count()) == (1, 1)


def test_a_failed_charge_is_a_declined_payment(tell: Tell, processing: Payment) -> None:
    assert tell("charge.failed", payment=processing.pk, reason="no money").status_code == 200
    processing.refresh_from_db()
    assert (processing.state, processing.reason) == ("declined", "no money")
    assert tell("charge.captured", payment=processing.pk).status_code == 200  # too late: what was answered stays
    processing.refresh_from_db()
    assert processing.state == "declined"


def test_an_event_that_comes_too_early_waits_for_its_payment(tell: Tell, processing: Payment) -> None:
    from monolith.payments import tasks
    from monolith.payments.models import ProviderEvent

    pk = processing.pk
    row = type(processing).objects.filter(pk=pk).values().get()
    processing.delete()
    assert tell("charge.captured", payment=pk, reference="ch_1").status_code == 202
    assert tasks.resolve_processing() == 0
    type(processing).objects.create(**row)
    assert tasks.resolve_processing() == 1
    assert ProviderEvent.objects.filter(handled_at=None).count() == 0
    assert type(processing).objects.get(pk=pk).state == "captured"


def test_an_unknown_event_is_kept_and_answered_202(tell: Tell) -> None:
    from monolith.payments.models import ProviderEvent

    assert tell("dispute.opened", payment=1).status_code == 202
    assert ProviderEvent.objects.get().kind == "dispute.opened"


def test_a_refund_that_fails_frees_what_was_reserved(api: APIClient, tell: Tell, paid: Payment) -> None:
    from monolith.payments.models import Refund

    stuck = Refund.objects.create(payment=paid, amount=Decimal("20.00"), idempotency_key="stuck")
    assert refund(api, paid, "1.00", "b").status_code == 409
    assert tell("refund.failed", refund=stuck.pk, reason="account closed").status_code == 200
    assert refund(api, paid, "1.00", "b").status_code == 200
    assert tell("refund.done", refund=stuck.pk).status_code == 200  # too late
    paid.refresh_from_db()
    assert paid.refunded_amount == Decimal("1.00")


@pytest.mark.django_db(transaction=True)
def test_an_event_twice_at_once_is_handled_once(processing: Payment) -> None:
    from monolith.payments import webhook
    from monolith.payments.models import Transfer

    body = json.dumps({"id": "e", "type": "charge.captured", "data": {"payment": processing.pk, "reference": "r"}}).encode()

    def one(_: int) -> bool:
        try:
            return webhook.receive(body, webhook.sign(body))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(one, range(5)))
    assert Transfer.objects.filter(kind="capture").count() == 1


@pytest.mark.parametrize(
    "signature", ["", "t=1", "v1=00", "t=x,v1=00", "t=99999999999999,v1=00", "t=1,v1=ü", "t=1764000000,v1=" + "0" * 64]
)
def test_a_signature_that_is_not_ours_is_refused(tell: Tell, signature: str) -> None:
    from monolith.payments.models import ProviderEvent

    assert tell("charge.captured", payment=1, signature=signature).status_code in (400, 401)
    assert not ProviderEvent.objects.exists()


def test_an_old_signature_is_refused(tell: Tell) -> None:
    assert tell("charge.captured", payment=1, at=time.time() - 301).status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"id": 1, "type": "a", "data": {}}', b'{"id": "\\u0000", "type": "a", "data": {}}', b"\xff"]
)
def test_a_signed_body_that_is_no_event_is_refused(db: None, body: bytes) -> None:
    from monolith.payments import webhook

    headers = {"Provider-Signature": webhook.sign(body)}
    answer = Client().post("/api/payments/webhook/", body, content_type="application/json", headers=headers)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


# ---- the bank's way back -----------------------------------------------------------------------------------------------


def test_the_confirm_link_captures_once(api: APIClient, buy: Buy) -> None:
    from monolith.payments.models import Payment

    buy(method="authorise")
    payment = Payment.objects.get()
    path = api.get(f"/api/payments/{payment.pk}/confirm-link/").json()["path"]
    for _ in range(2):
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/orders/{payment.order.number}/")
    payment.refresh_from_db()
    assert payment.state == "captured"
    assert api.get(f"/api/payments/{payment.pk}/confirm-link/").status_code == 409


@pytest.mark.parametrize("token", ["x", "WzEsMV0:1abc:AAAA"])
def test_a_link_that_is_not_ours_is_not_found(db: None, token: str) -> None:
    assert Client().get(f"/pay/confirm/{token}/").status_code == 404
