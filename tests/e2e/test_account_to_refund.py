"""A new customer, in a browser, from registration to refund, in each stage of payments and at two widths."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_purchase import STAGES, shoot
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]
WIDTHS = {"phone": 390, "desktop": 1280}


class Staff:
    """Who packs, ships and takes goods back, by the API."""

    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()
        said = self.session.post(f"{url}/api/users/token/", json={"email": "staff@example.com", "password": "demo"}, timeout=10)
        self.session.headers["Authorization"] = f"Bearer {said.json()['access']}"

    def post(self, path: str) -> dict[str, Any]:
        answer = self.session.post(f"{self.url}{path}", json={}, timeout=20)
        assert answer.ok, answer.text
        return dict(answer.json())

    def only_return(self, order: str) -> int:
        return int(self.session.get(f"{self.url}/api/orders/{order}/returns/", timeout=10).json()[0]["id"])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("stage", "percent"), STAGES)
def test_from_registration_to_refund(browser: Browser, operator: Operator, stage: str, percent: int, width: str) -> None:
    operator.bring(stage, percent)
    url = operator.estate.url
    page = browser.new_page(viewport={"width": WIDTHS[width], "height": 900}, base_url=url)
    page.goto("/")
    put_into_cart(page)
    page.get_by_role("link", name="Register").click()
    page.get_by_label("Name").fill("Eve")
    page.get_by_label("E-mail").fill(f"{uuid.uuid4().hex}@example.com")
    page.get_by_label("Password").fill("a long enough phrase")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("You are logged in")).to_be_visible()
    page.get_by_role("link", name="Cart").click()  # what was put in before registering is still there
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    expect(page.get_by_text("Your order is paid")).to_be_visible()
    assert_fits(page)
    shoot(page, f"order-{stage}-{percent}-{width}")
    mine = page.request.get(f"{url}/api/orders/").json()["results"][0]
    staff = Staff(url)
    for step in ("pack", "ship", "deliver"):
        staff.post(f"/api/orders/{mine['id']}/{step}/")
    page.reload()
    page.get_by_text("Send something back").click()
    page.get_by_role("spinbutton").first.fill("1")
    page.get_by_label("Why").fill("too big")
    page.get_by_role("button", name="Ask to return it").click()
    expect(page.get_by_text("Your return is noted")).to_be_visible()
    made = staff.only_return(mine["id"])
    staff.post(f"/api/orders/returns/{made}/approve/")
    assert staff.post(f"/api/orders/returns/{made}/receive/")["state"] == "refunded"
    see_the_refund(page)
    assert_fits(page)
    shoot(page, f"refunded-{stage}-{percent}-{width}")
    page.get_by_role("link", name="My account").click()
    assert_fits(page)
    shoot(page, f"account-{stage}-{percent}-{width}")
    page.close()


def put_into_cart(page: Page) -> None:
    assert_fits(page)
    page.locator(".card h2 a").nth(3).click()
    page.get_by_role("button", name="Add to cart").click()


def see_the_refund(page: Page) -> None:
    """It was staff who wrote it, so the customer's page may be behind it for a moment where payments is remote."""
    end = time.monotonic() + 10
    while "refunded" not in page.locator("dl .state").nth(1).inner_text():
        assert time.monotonic() < end, "the customer never saw the refund"
        page.reload()


def assert_fits(page: Page) -> None:
    """Nothing sticks out to the right."""
    page.wait_for_load_state()  # between two pages there is no document
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url
