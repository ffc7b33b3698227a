"""The page of the coupling ledger in a browser, from a file: map and crossings, filter and search, mouse, keys, no script."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from strangler.analysis.reports.page import page as written
from strangler.analysis.reports.words import Words
from strangler.domain.coupling.ledger import Ledger
from tests.operator import ROOT
from tests.unit.analysis.reports import ledgers

SCREENSHOTS = ROOT / "build" / "screenshots"
WORDS = Words(remedy=lambda edge: f"Replace {edge.what} by an id.", quotes={"orders": (("difficulty", "3 × 10 = 30"),)})
Opener = Callable[..., Page]


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Opener:
    """Fails a test on anything that the browser complains of, and on any request but that for the file."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)

    def open_it(ledger: Ledger, words: Words = WORDS) -> Page:
        path = tmp_path / "map.html"
        path.write_text(written(ledger, words, "a shop"), encoding="utf-8")
        page.goto(path.as_uri())
        return page

    yield open_it
    assert said == []


def shoot(page: Page, name: str) -> None:
    """For people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"couplings-{name}.png")


def test_an_arrow_leads_to_its_crossings_and_a_context_to_its_quote(opened: Opener) -> None:
    page = opened(ledgers.small())
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("link", name=re.compile("^payments → orders: ")).first.locator(".reach").click()
    expect(page.get_by_role("heading", name="payments → orders")).to_be_visible()
    expect(page.get_by_text("shop/payments/models.py:3").first).to_be_visible()
    expect(page.get_by_text('Payment.objects.filter(order__number="7")')).to_be_visible()
    expect(page.get_by_text("Replace order__number by an id.")).to_be_visible()
    expect(page.get_by_role("heading", name="Overview")).to_be_hidden()
    shoot(page, "pair")
    page.get_by_role("link", name="orders: 2 tables").locator("circle").click()
    expect(page.get_by_text("3 × 10 = 30")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Replace order__number by an id.")).to_be_visible()


def test_kinds_are_filtered_and_crossings_searched(opened: Opener) -> None:
    page = opened(ledgers.small())
    arrows = page.locator(".map .arrow:visible")
    expect(arrows).to_have_count(4)
    page.get_by_label("Kind").select_option("lookup")
    expect(arrows).to_have_count(2)
    expect(page.get_by_role("status")).to_contain_text("2 of 7 crossings")
    page.get_by_label("Kind").select_option("")
    page.get_by_label("signals, tasks, hooks").uncheck()
    expect(page.get_by_role("status")).to_contain_text("6 of 7 crossings")
    page.get_by_role("searchbox").fill("orders_order search")
    expect(page.locator("li:visible")).to_have_count(1)
    expect(page.get_by_text("41 times, by request GET /search/")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def box(page: Page) -> list[float]:
    return [float(number) for number in str(page.locator(".map").get_attribute("viewBox")).split()]


def test_the_map_is_zoomed_and_moved_by_wheel_mouse_and_keys(opened: Opener) -> None:
    page = opened(ledgers.small())
    whole = box(page)
    page.locator(".sheet").hover()
    page.mouse.wheel(0, -600)
    expect(page.locator(".map")).not_to_have_attribute("viewBox", " ".join(f"{n:g}" for n in whole))
    near = box(page)
    assert near[2] < whole[2]
    page.mouse.down()
    page.mouse.move(500, 300, steps=4)
    page.mouse.up()
    assert box(page)[:2] != near[:2]
    assert box(page)[2:] == pytest.approx(near[2:])
    page.locator(".sheet").focus()
    page.keyboard.press("0")
    assert box(page) == whole
    page.keyboard.press("+")
    assert box(page)[2] < whole[2]
    page.get_by_role("button", name="Show the whole map").click()
    assert box(page) == whole


def test_keys_alone_lead_to_a_crossing(opened: Opener) -> None:
    page = opened(ledgers.small())
    page.locator(".sheet").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="payments → orders")).to_be_visible()
    assert page.evaluate_handle("document.activeElement").as_element().get_attribute("id") == "pair-0"


def test_what_a_project_is_called_does_nothing(opened: Opener) -> None:
    page = opened(ledgers.hostile(), Words(remedy=lambda edge: ledgers.HOSTILE))
    expect(page).to_have_title("What crosses in a shop")
    page.locator(".map .arrow text").click()
    expect(page.locator("section.open li")).to_have_count(1)
    expect(page.locator("section.open li")).to_contain_text("</script>")
    expect(page).to_have_title("What crosses in a shop")


def test_it_stays_usable_with_thirty_contexts_and_five_thousand_crossings(opened: Opener) -> None:
    page = opened(ledgers.large())
    shoot(page, "large")
    page.get_by_role("searchbox").fill("model12")
    expect(page.get_by_role("status")).to_contain_text("of 5,000 crossings")
    page.get_by_role("searchbox").fill("context")
    expect(page.get_by_role("status")).to_contain_text("the first 200 are shown")
    expect(page.locator("li:visible")).to_have_count(200)
    page.get_by_role("searchbox").fill("")
    page.locator(".map .disc circle").nth(4).click()
    expect(page.locator("section.open[data-context]")).to_be_visible()
    shoot(page, "large-context")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_and_narrow(browser: Browser, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "map.html"
    path.write_text(written(ledgers.small(), WORDS, "a shop"), encoding="utf-8")
    page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    shoot(page, f"narrow-{scheme}")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 21, 31)"}[scheme]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_without_scripts_it_is_a_document_that_holds_everything(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    path.write_text(written(ledgers.small(), WORDS, "a shop"), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    for heading in ("Overview", "orders", "payments → orders", "project → orders"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    expect(page.locator("li:visible")).to_have_count(len(ledgers.small().edges))
    context.close()
