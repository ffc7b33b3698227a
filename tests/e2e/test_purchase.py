"""A person logs in and buys something through the proxy, in a browser, in each stage of payments' migration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.operator import ROOT, Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]

STAGES = (("monolith", 0), ("mirror", 0), ("shadow", 0), ("canary", 50), ("canary", 100), ("live", 0))
SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.mark.parametrize(("stage", "percent"), [*STAGES, ("monolith", 0)])
def test_a_person_buys_something(page: Page, operator: Operator, stage: str, percent: int) -> None:
    operator.bring(stage, percent)
    page.goto(operator.estate.url)
    log_in(page)
    page.get_by_role("heading", name="Products").wait_for()
    page.locator(".card h2 a").nth(2).click()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Check out").click()
    page.locator("input[type=radio]").first.check()
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    expect(page.get_by_text("Your order is paid")).to_be_visible()
    expect(page.locator("dl .state")).to_have_text(["paid", "captured"])
    number = page.get_by_role("heading", name="Order").inner_text().removeprefix("Order ")
    page.get_by_role("link", name="My orders").click()
    expect(page.get_by_role("row", name=number).locator(".state")).to_have_text(["paid", "captured"])
    shoot(page, f"my-orders-{stage}-{percent}")
    assert payment_of(operator, number, stage) == "captured"
    payments = page.request.get(f"{operator.estate.url}/api/payments/")
    assert payments.status == 200, payments.text()
    assert payments.json()["results"][0]["state"] == "captured"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()


def test_a_declined_card_charges_nothing_while_payments_is_remote(page: Page, operator: Operator) -> None:
    operator.bring("live")
    page.goto(operator.estate.url)
    log_in(page)
    page.locator(".card h2 a").nth(4).click()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("button", name="Check out").click()
    page.locator("input[type=radio][value=declined]").check()
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    expect(page.get_by_text("Nothing was charged")).to_be_visible()
    shoot(page, "declined-live")


def log_in(page: Page) -> None:
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("mail").fill("user0042@example.com")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def payment_of(operator: Operator, number: str, stage: str) -> str:
    """The state of the order's payment in the owner's database."""
    (order,) = operator.query("monolith", f"SELECT id FROM orders_order WHERE number = '{number}'")
    owner = "payments" if stage == "live" else "monolith"
    ((state,),) = operator.query(owner, f"SELECT state FROM payments_payment WHERE order_id = {order[0]}")
    return str(state)


def shoot(page: Page, name: str) -> None:
    """For people to look at."""
    path = Path(SCREENSHOTS / f"{name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
