"""What ties payments to the rest of the shop goes on working in each stage of its migration: webhook, task, signal, confirm link,
reports, admin, command, cascade, SET_NULL, PROTECT (P19, P25, P26, P28)."""

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

from tests.e2e.test_purchase import STAGES
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]
CURRENCY = "EUR"  # of the first hundred sample users


# The last is marked: pytest runs equal values together, and it would come before the way there, not after the way back.
WAY = [(*stage, "there") for stage in STAGES] + [("monolith", 0, "back")]


@pytest.fixture(scope="module", params=WAY, ids=lambda stage: "-".join(map(str, stage)))
def owner(request: pytest.FixtureRequest, operator: Operator) -> str:
    """The unit that owns payments in this stage."""
    stage, percent, _ = request.param
    operator.bring(stage, percent)
    return "payments" if stage == "live" else "monolith"


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
    # The task leaves alone what is younger than a request may take: the payment is made older, instead of waited for.
    operator.write(owner, f"UPDATE payments_payment SET created_at = created_at - interval '6 seconds' WHERE id = {payment}")
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


class Staff(requests.Session):
    """``staff@example.com`` in the admin, through the proxy."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        form = {"username": "staff@example.com", "password": "demo", "next": "/admin/"}
        assert self.send_form("/admin/login/", form).ok

    def page(self, path: str) -> str:
        answer = self.get(self.url + path, timeout=20)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return answer.text

    def send_form(self, path: str, form: dict[str, Any]) -> requests.Response:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page(path))
        assert token
        whole = {**form, "csrfmiddlewaretoken": token[1]}
        return self.post(self.url + path, data=whole, headers={"Referer": self.url}, timeout=20)


def test_p28_the_admin_says_who_owns_and_acts_only_where_that_is_here(operator: Operator, owner: str) -> None:
    customer, staff = Customer(operator.estate.url), Staff(operator.estate.url)
    order, payment = customer.buy()
    until(lambda: state_of(operator, "monolith", payment) == "captured", "the payment on the monolith")
    listed, inline = "/admin/payments/payment/", f"/admin/orders/order/{order}/change/"
    for page in (listed, inline):
        assert ("is owned by the service" in staff.page(page)) is (owner == "payments")
    assert "captured" in staff.page(inline)  # the inline across contexts reads what is here
    form = {"action": "refund_the_rest", "_selected_action": payment}
    acted = staff.send_form(listed, form)
    assert acted.status_code == (403 if owner == "payments" else 200), acted.text
    assert state_of(operator, owner, payment) == ("captured" if owner == "payments" else "refunded")


def test_reports_show_what_the_owner_has(operator: Operator, owner: str) -> None:
    """The view, the report by SQL over four contexts, the settlement and the books, each held against the owner's own rows."""
    customer, staff = Customer(operator.estate.url), Staff(operator.estate.url)
    _, payment = customer.buy()
    taken = "SELECT coalesce(sum(amount), 0)::text FROM payments_payment WHERE state = 'captured' AND created_at >= current_date"
    sold = f"SELECT captured::text FROM shell_daily_sales WHERE day = current_date AND currency = '{CURRENCY}'"
    until(lambda: operator.query("monolith", sold) == operator.query(owner, taken), "what was captured, in the view")
    dashboard = staff.page("/admin/shell/dailysales/dashboard/")
    assert f"<td>{operator.query(owner, taken)[0][0]}</td>" in dashboard.replace(",", "")
    customer.ask("POST", f"/api/payments/{payment}/refund/", {"amount": "0.50"})
    today = operator.query("monolith", "SELECT current_date::text")[0][0]
    booked = "SELECT kind, sum(amount)::text FROM payments_transfer WHERE at >= current_date GROUP BY kind ORDER BY kind"

    def settled() -> list[tuple[str, str]]:
        """It was the customer who wrote: in canary the copy that staff reads may be behind it for a moment."""
        (day,) = staff.get(f"{staff.url}/api/payments/settlements/?since={today}&until={today}", timeout=20).json()
        return [("capture", day["captured"]), ("fee", day["fees"]), ("refund", day["refunded"])]

    until(lambda: settled() == operator.query(owner, booked), "the settlement of the day")
    until(lambda: operator.query("monolith", booked) == operator.query(owner, booked), "the books on the monolith")
    assert "the books balance" in operator.manage("check_ledger")


def test_p28_a_command_that_writes_past_the_seam_says_who_owns(operator: Operator, owner: str) -> None:
    _, payment = Customer(operator.estate.url).buy()
    until(lambda: state_of(operator, "monolith", payment) == "captured", "the payment on the monolith")
    write = f"from monolith.payments.models import Payment; Payment.objects.filter(pk={payment}).update(reason='by hand')"
    if owner == "payments":
        with pytest.raises(AssertionError, match="payments is owned by service"):
            operator.manage("shell", "-v", "0", "-c", write)
    else:
        operator.manage("shell", "-v", "0", "-c", write)
    reason = f"SELECT reason FROM payments_payment WHERE id = {payment}"
    assert operator.query(owner, reason) == [("" if owner == "payments" else "by hand",)]


def test_p25_who_asked_is_forgotten_with_their_account_and_who_paid_is_kept(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    _, payment = customer.buy()
    customer.ask("POST", f"/api/payments/{payment}/refund/", {"amount": "0.50"})
    name = f"{uuid.uuid4().hex}@example.com"
    asker = customer.ask("POST", "/api/users/register/", {"email": name, "password": "a long enough phrase"})["id"]
    until(lambda: operator.query(owner, f"SELECT 1 FROM users_user WHERE id = {asker}"), "the account beside the payments")
    asked = f"SELECT asked_by_id FROM payments_refund WHERE payment_id = {payment}"
    operator.write(owner, f"UPDATE payments_refund SET asked_by_id = {asker} WHERE payment_id = {payment}")
    until(lambda: operator.query("monolith", asked) == [(asker,)], "who asked, on the monolith")
    delete = "from monolith.users.models import User; User.objects.get(email='{}').delete()"
    operator.manage("shell", "-v", "0", "-c", delete.format(name))
    for unit in {"monolith", owner}:
        until(lambda unit=unit: operator.query(unit, asked) == [(None,)], f"SET_NULL on {unit}")  # type: ignore[misc]
    with pytest.raises(AssertionError, match="ProtectedError"):
        operator.manage("shell", "-v", "0", "-c", delete.format("user0077@example.com"))


def test_p25_an_order_that_is_deleted_takes_its_payments_along(operator: Operator, owner: str) -> None:
    customer = Customer(operator.estate.url)
    order, payment = customer.buy()
    delete = f"from monolith.orders.models import Order; Order.objects.get(pk={order}).delete()"
    operator.manage("shell", "-v", "0", "-c", delete)
    for unit in ("monolith", "payments") if owner == "payments" else ("monolith",):
        until(lambda unit=unit: not state_of(operator, unit, payment), f"its deletion on {unit}")  # type: ignore[misc]
