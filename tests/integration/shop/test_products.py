"""Products: the tree of categories, search, prices with their history, pictures, goods kept for a while, and a trigger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from tests.integration.shop.shopping import stock_of

if TYPE_CHECKING:
    from monolith.products.models import Product

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def shelves(products: list[Product]) -> dict[str, Any]:
    """home/ with home/kitchen/ (Thing 1) and garden/ (Thing 2)."""
    from monolith.products import categories
    from monolith.products.models import Placement

    home = categories.add(name="Home", slug="home")
    kitchen = categories.add(name="Kitchen", slug="kitchen", parent=home)
    garden = categories.add(name="Garden", slug="garden")
    for product, category in ((products[0], kitchen), (products[1], garden)):
        Placement.objects.create(product=product, category=category)
    return {"home": home, "kitchen": kitchen, "garden": garden}


def found(**asked: Any) -> list[str]:
    answer = APIClient().get("/api/products/", asked)
    assert answer.status_code == 200, answer.json()
    return [row["sku"] for row in answer.json()["results"]]


# ---- categories and search ---------------------------------------------------------------------------------------------


def test_a_category_has_all_below_it(shelves: dict[str, Any]) -> None:
    assert found(category="home/") == found(category="home/kitchen/") == ["SKU-1"]
    assert found(category="garden/") == ["SKU-2"]
    assert found(category="kitchen/") == []
    tree = APIClient().get("/api/products/categories/").json()["categories"]
    assert [(one["path"], [below["path"] for below in one["children"]]) for one in tree] == [
        ("garden/", []),
        ("home/", ["home/kitchen/"]),
    ]


def test_a_category_moves_with_all_below_it_and_never_below_itself(shelves: dict[str, Any]) -> None:
    from monolith.products import categories
    from monolith.products.models import Category

    categories.move(category_id=shelves["home"].pk, parent_id=shelves["garden"].pk)
    assert list(Category.objects.values_list("path", flat=True)) == ["garden/", "garden/home/", "garden/home/kitchen/"]
    assert found(category="garden/") == ["SKU-1", "SKU-2"]
    with pytest.raises(categories.WouldLoop):
        categories.move(category_id=shelves["garden"].pk, parent_id=shelves["kitchen"].pk)


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_once_make_no_ring(shelves: dict[str, Any]) -> None:
    from monolith.products import categories

    pairs = [(shelves["home"].pk, shelves["garden"].pk), (shelves["garden"].pk, shelves["home"].pk)]

    def one(pair: tuple[int, int]) -> bool:
        try:
            categories.move(category_id=pair[0], parent_id=pair[1])
            return True
        except categories.WouldLoop:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, pairs)) == [False, True]


def test_words_prices_stock_and_order_narrow(products: list[Product]) -> None:
    from monolith.products.models import Product

    Product.objects.filter(sku="SKU-2").update(description="An oaken kettle", stock=0)
    assert found(q="kettles") == ["SKU-2"]
    assert found(q="kettle -oaken") == []
    assert found(q='"; DROP TABLE') == []
    assert found(min_price="15", max_price="30") == ["SKU-2", "SKU-3"]
    assert found(in_stock="true") == ["SKU-1", "SKU-3"]
    assert found(order="-price") == ["SKU-3", "SKU-2", "SKU-1"]
    posted = APIClient().post("/api/products/search/", {"q": "kettle"})
    assert [row["sku"] for row in posted.json()] == ["SKU-2"]


@pytest.mark.parametrize("asked", [{"order": "stock"}, {"min_price": "x"}, {"category": "../"}, {"q": "a" * 201}, {"q": "a\0"}])
def test_a_filter_is_checked(db: None, asked: dict[str, str]) -> None:
    assert APIClient().get("/api/products/", asked).status_code == 400


def test_the_page_searches_and_keeps_what_it_narrowed(shelves: dict[str, Any]) -> None:
    page = Client().get("/", {"category": "home/", "q": "thing"}).content.decode()
    assert "Thing 1" in page
    assert "Thing 2" not in page
    assert "Nothing was found" in Client().get("/", {"q": "zebra\0"}).content.decode()


# ---- prices ------------------------------------------------------------------------------------------------------------


def test_a_price_and_its_history_are_one(products: list[Product]) -> None:
    from monolith.products import prices
    from monolith.products.models import Price

    prices.set_price(product_id=products[0].pk, amount=Decimal("12.50"))
    prices.set_price(product_id=products[0].pk, amount=Decimal("9.99"))
    products[0].refresh_from_db()
    history = list(Price.objects.filter(product=products[0]).order_by("id").values_list("amount", "valid_until"))
    assert [amount for amount, _ in history] == [Decimal("10.00"), Decimal("12.50"), Decimal("9.99")]
    assert [until is None for _, until in history] == [False, False, True]
    assert products[0].price == Decimal("9.99")


def test_prices_are_raised_in_bulk(products: list[Product]) -> None:
    from monolith.products import prices
    from monolith.products.models import Price, Product

    assert prices.raise_prices(product_ids=[product.pk for product in products], percent=Decimal(5)) == 3
    assert list(Product.objects.values_list("price", flat=True)) == [Decimal("10.50"), Decimal("21.00"), Decimal("31.50")]
    assert Price.objects.filter(valid_until=None).count() == 3


@pytest.mark.django_db(transaction=True)
def test_prices_set_at_once_leave_one_open(products: list[Product]) -> None:
    from monolith.products import prices
    from monolith.products.models import Price, Product

    def one(cents: int) -> None:
        try:
            prices.set_price(product_id=products[0].pk, amount=Decimal(cents))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(1, 9)))
    assert Price.objects.get(valid_until=None).amount == Product.objects.get(pk=products[0].pk).price


# ---- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.svg", PNG, "PNG, JPEG or WebP"),
        ("a.png", b"<script>", "not the kind"),
        ("a.jpg", PNG, "not the kind"),
        ("a.png", PNG + b"\0" * (2 * 1024 * 1024), "at most 2 MB"),
    ],
)
def test_only_pictures_are_pictures(name: str, content: bytes, said: str) -> None:
    from monolith.products.models import known_picture

    with pytest.raises(ValidationError, match=said):
        known_picture(SimpleUploadedFile(name, content))


def test_a_picture_is_shown_and_nothing_beside_it(products: list[Product], settings: Any, tmp_path: Path) -> None:
    from monolith.products.models import ProductImage

    settings.MEDIA_ROOT = str(tmp_path)
    image = ProductImage(product=products[0], file=SimpleUploadedFile("a.png", PNG), alt="A thing, from the side")
    image.full_clean()
    image.save()
    assert image.file.url in Client().get("/products/SKU-1/").content.decode()
    assert Client().get("/media/../settings/base.py").status_code in (400, 404)


# ---- goods kept for a while --------------------------------------------------------------------------------------------


def test_held_goods_are_off_the_stock_until_given_back_once(products: list[Product]) -> None:
    from monolith.products import reservations

    first = products[0]
    assert reservations.hold(reference="a", quantities={first.pk: 4}, minutes=5)
    assert not reservations.hold(reference="a", quantities={first.pk: 4}, minutes=5)
    assert stock_of(first) == 6
    assert [reservations.release(reference="a") for _ in range(2)] == [True, False]
    assert stock_of(first) == 10
    assert reservations.use(reference="a", wanted={first.pk: 1}) == {first.pk: 1}


def test_what_is_used_does_not_come_back_and_what_expired_does(products: list[Product]) -> None:
    from monolith.products import reservations, tasks
    from monolith.products.models import Reservation

    for reference in ("used", "late"):
        reservations.hold(reference=reference, quantities={products[0].pk: 1, products[1].pk: 2}, minutes=5)
    kept = {products[0].pk: 1, products[1].pk: 2}
    assert set(reservations.use(reference="used", wanted=kept).values()) == {0}
    assert tasks.expire_reservations() == 0
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tasks.expire_reservations() == 2
    assert [stock_of(product) for product in products] == [9, 8, 10]


def test_a_hold_that_is_too_much_holds_nothing(products: list[Product]) -> None:
    from monolith.products import reservations
    from monolith.products.contract import OutOfStock

    with pytest.raises(OutOfStock):
        reservations.hold(reference="a", quantities={products[0].pk: 1, products[1].pk: 11}, minutes=5)
    assert [stock_of(product) for product in products] == [10, 10, 10]


@pytest.mark.django_db(transaction=True)
def test_stock_and_held_goods_are_all_there_is_whoever_comes_at_once(products: list[Product]) -> None:
    from monolith.products import reservations
    from monolith.products.contract import OutOfStock
    from monolith.products.models import Reservation

    def one(number: int) -> None:
        try:
            reference = f"r{number % 8}"
            try:
                reservations.hold(reference=reference, quantities={products[0].pk: 2}, minutes=0 if number % 3 else 5)
            except OutOfStock:
                pass
            if number % 2:
                reservations.expire()
            else:
                reservations.release(reference=reference)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(30)))
    held = sum(Reservation.objects.filter(state="held").values_list("quantity", flat=True))
    assert stock_of(products[0]) + held == 10


def test_whoever_writes_the_row_its_time_is_set(products: list[Product]) -> None:
    from monolith.products.models import Product

    before = Product.objects.get(pk=products[0].pk).updated_at
    with connection.cursor() as cursor:
        cursor.execute("UPDATE products_product SET stock = stock WHERE id = %s", [products[0].pk])
    assert Product.objects.get(pk=products[0].pk).updated_at > before
