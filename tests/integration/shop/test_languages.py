"""The pages in English and German, with the visitor's numbers and times."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client

from monolith.orders.models import Order, Return
from monolith.payments.models import Payment
from monolith.shell.management.commands.compile_translations import compiled

if TYPE_CHECKING:
    from monolith.products.models import Product
    from monolith.users.models import User
    from tests.integration.shop.shopping import Buy

SHOP = Path(settings.BASE_DIR) / "monolith"
SOURCE = SHOP / "locale" / "de" / "LC_MESSAGES" / "django.po"
MAY_REFUSE = {"services", "checkout", "returns", "coupons", "reservations"}
STATES = {*Order.State.values, *Payment.State.values, *Return.State.values}


def said() -> set[str]:
    """What templates and pages wrap for translation."""
    found = set(STATES)
    for page in SHOP.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        found |= set(re.findall(r'\{% translate "([^"]+)" %\}', text))
        blocks = re.findall(r"\{% blocktranslate[^%]*%\}(.*?)\{% endblocktranslate %\}", text, re.DOTALL)
        found |= {re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", block) for block in blocks}
    for page in SHOP.rglob("*.txt"):
        found |= set(re.findall(r'\{% translate "([^"]+)" %\}', page.read_text(encoding="utf-8")))
    for module in SHOP.glob("*/*.py"):
        text = module.read_text(encoding="utf-8")
        found |= set(re.findall(r'\b(?:_|say|noted)\(\s*"([^"]+)"\s*\)', text))
        found |= refusals(text) if module.stem in MAY_REFUSE else set()
    return found


def refusals(text: str) -> set[str]:
    """What pages may have to say. A message with a value in it (an f-string) is for the API alone."""
    raised = [node.exc for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    first = [call.args[0] for call in raised if call.args and ast.unparse(call.func) not in ("AssertionError", "ValidationError")]
    return {node.value for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_everything_is_said_in_german_too_and_nothing_is_left_over() -> None:
    with SOURCE.open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    catalog = {str(message.id): message.string for message in messages}
    assert set(catalog) == said()
    assert not [message.id for message in messages if message.fuzzy]
    assert all(catalog.values())
    names = re.compile(r"%\(\w+\)s")
    assert all(sorted(names.findall(source)) == sorted(names.findall(str(target))) for source, target in catalog.items())


def test_what_is_compiled_is_what_is_written() -> None:
    assert SOURCE.with_suffix(".mo").read_bytes() == compiled(SOURCE), "run: manage.py compile_translations"


def test_a_browsers_language_is_spoken(db: None) -> None:
    page = Client().get("/", headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}).content.decode()
    assert '<html lang="de">' in page
    assert "Anmelden" in page
    assert '<html lang="en">' in Client().get("/", headers={"Accept-Language": "fr"}).content.decode()


def test_a_visitor_chooses_and_it_stays(db: None) -> None:
    browser = Client()
    assert browser.post("/i18n/setlang/", {"language": "de", "next": "/cart/"})["Location"] == "/cart/"
    assert "Warenkorb" in browser.get("/cart/").content.decode()


def test_a_customers_choice_counts_wherever_they_log_in(user: User, buy: Buy) -> None:
    buy()
    browser = Client()
    browser.post("/login/", {"username": user.email, "password": "correct horse"})
    number = Order.objects.get().number
    assert " UTC" in browser.get(f"/orders/{number}/").content.decode()
    form = {"name": "Ada", "language": "de", "currency": "EUR", "time_zone": "Asia/Tokyo"}
    assert browser.post("/account/", form).status_code == 302
    shown = browser.get(f"/orders/{number}/").content.decode()
    assert "abgebucht" in shown
    assert " JST" in shown
    assert "10,00" in shown
    elsewhere = Client()
    elsewhere.post("/login/", {"username": user.email, "password": "correct horse"})
    assert "Meine Bestellungen" in elsewhere.get("/").content.decode()


@pytest.mark.parametrize("language", ["xx", "../../etc", "de\0"])
def test_rubbish_is_no_language(db: None, language: str) -> None:
    assert Client().post("/i18n/setlang/", {"language": language, "next": "/"}).status_code == 302
    assert Client().get("/", headers={"Accept-Language": language}).status_code == 200


def test_refusals_are_in_the_visitors_language(user: User, products: list[Product], buy: Buy) -> None:
    browser = Client(headers={"Accept-Language": "de"})
    browser.force_login(user)
    buy(method="declined")
    order = Order.objects.get()
    shown = browser.get(f"/orders/{order.number}/").content.decode()
    assert "Die Karte wurde abgelehnt." in shown
    assert "declined" not in re.sub(r"<[^>]+>", "", shown)
    browser.post("/cart/add/", {"sku": products[0].sku, "quantity": 99})
    assert "Es ist nicht genug" in browser.post("/checkout/begin/", follow=True).content.decode()
    Order.objects.filter(pk=order.pk).update(state="shipped")
    cancelled = browser.post(f"/orders/{order.number}/cancel/", follow=True).content.decode()
    assert "Die Bestellung ist versandt" in cancelled


def test_a_number_that_looks_like_a_placeholder_is_not_found(user: User) -> None:
    browser = Client()
    browser.force_login(user)
    assert browser.get("/orders/%25(x)s/").status_code == 404
