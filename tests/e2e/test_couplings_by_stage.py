"""What ties payments to the rest of the shop goes on working in each stage of its migration: webhook, task, signal, confirm link,
report, admin, cascade (P19, P25, P26, P28)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from deploy.local.supervisor import Estate
from tests.e2e.test_purchase import STAGES
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def operator(estate: Estate) -> Operator:
    return Operator(estate)


@pytest.fixture(scope="module", params=[*STAGES, ("monolith", 0)], ids=lambda stage: f"{stage[0]}-{stage[1]}")
def owner(request: pytest.FixtureRequest, operator: Operator) -> str:
    """The unit that owns payments in this stage."""
    operator.bring(*request.param)
    return "payments" if request.param[0] == "live" else "monolith"


class Customer:
    """``user0077``, by the API through the proxy."""

    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()
        said = self.ask("POST", "/api/users/token/", {"email": "user0077@example.com", "password": "demo"})
        self.session.headers["Authorization"] = f"Bearer {said['access']}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if body is not None else {}
        answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=20)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def buy(self, method: str = "ok") -> tuple[int, int]:
        """Order and payment."""
        sku = self.ask("GET", "/api/products/")["results"][0]["sku"]
        body = {"lines": [{"sku": sku, "quantity": 1}], "method": method, "pay": "now"}
        order = self.ask("POST", "/api/orders/checkout/", body)["id"]
        (payment,) = self.ask("GET", f"/api/payments/?order={order}")["results"]
        return order, payment["id"]


def until(look: Callable[[], Any], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.05)


def state_of(operator: Operator, unit: str, payment: int) -> str:
    rows = operator.query(unit, f"SELECT state FROM payments_payment WHERE id = {payment}")
    return str(rows[0][0]) if rows else ""


def post_event(operator: Operator, kind: str, **data: Any) -> requests.Response:
    """As the provider does: signed with the secret that both units derive from theirs."""
    secret = hashlib.sha256(f"payments.webhook:{operator.estate.env('monolith')['SECRET_KEY']}".encode()).hexdigest()
    body = json.dumps({"id": str(uuid.uuid4()), "type": kind, "data": data}).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"Provider-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
    return requests.post(f"{operator.estate.url}/api/payments/webhook/", data=body, headers=headers, timeout=20)


def test_the_webhook_reaches_the_owner_and_the_order_is_paid(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    order, payment = customer.buy("timeout")
    answer = post_event(operator, "charge.captured", payment=payment, reference="ch_hook")
    assert (answer.status_code, answer.json()) == (200, {"handled": True}), answer.text
    assert state_of(operator, owner, payment) == "captured"
    until(lambda: customer.ask("GET", f"/api/orders/{order}/")["state"] == "paid", "the order's payment")


def test_p19_the_periodic_task_resolves_at_the_owner(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    order, payment = customer.buy("timeout")
    until(lambda: state_of(operator, owner, payment) == "captured", "what the provider was asked again", 30)
    until(lambda: customer.ask("GET", f"/api/orders/{order}/")["state"] == "paid", "the order's payment")


def test_p26_the_feed_hears_of_a_refund_once(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    _, payment = customer.buy()
    customer.ask("POST", f"/api/payments/{payment}/refund/", {"amount": "0.50"})
    refunds = f"SELECT id::text FROM payments_refund WHERE payment_id = {payment}"
    ((refund,),) = operator.query(owner, refunds)
    feed = f"SELECT count(*) FROM shell_activity WHERE kind = 'refund' AND reference = '{refund}'"
    until(lambda: operator.query("monolith", feed) == [(1,)], "its line in the feed")
    books = f"SELECT kind FROM payments_transfer WHERE payment_id = {payment} ORDER BY kind"
    assert operator.query(owner, books) == [("capture",), ("fee",), ("refund",)]
    if owner == "payments":
        assert operator.query("payments", "SELECT count(*) FROM shell_activity") == [(0,)]
        until(lambda: operator.query("monolith", books) == operator.query("payments", books), "the books on the monolith")


def test_the_confirm_link_writes_at_the_owner(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    order, payment = customer.buy("authorise")
    path = customer.ask("GET", f"/api/payments/{payment}/confirm-link/")["path"]
    answer = requests.get(operator.estate.url + path, allow_redirects=False, timeout=20)
    assert (answer.status_code, answer.headers["Location"][:8]) == (302, "/orders/")
    assert state_of(operator, owner, payment) == "captured"
    until(lambda: customer.ask("GET", f"/api/orders/{order}/")["state"] == "paid", "the order's payment")


def test_p28_reports_are_read_and_the_admin_says_who_owns(operator: Operator, owner: str) -> None:
    url, browser = operator.estate.url, requests.Session()
    page = browser.get(f"{url}/admin/login/", timeout=20)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "username": "staff@example.com", "password": "demo", "next": "/admin/"}
    assert browser.post(f"{url}/admin/login/", data=form, headers={"Referer": url}, timeout=20).ok
    dashboard = browser.get(f"{url}/admin/shell/dailysales/dashboard/", timeout=20)
    assert "Best sellers of the last year" in dashboard.text
    listed = browser.get(f"{url}/admin/payments/payment/", timeout=20)
    assert listed.status_code == 200
    assert ("is owned by the service" in listed.text) is (owner == "payments")


def test_p25_an_order_that_is_deleted_takes_its_payments_along(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    order, payment = customer.buy()
    delete = f"from monolith.orders.models import Order; Order.objects.get(pk={order}).delete()"
    operator.manage("shell", "-v", "0", "-c", delete)
    for unit in ("monolith", "payments") if owner == "payments" else ("monolith",):
        until(lambda unit=unit: not state_of(operator, unit, payment), f"its deletion on {unit}")  # type: ignore[misc]
