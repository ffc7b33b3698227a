"""The couplings of the shop that only show while it runs: what is planted is seen, with the code and the unit that did it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from monolith.orders.models import Order
from monolith.payments.pages import confirm_path
from monolith.products.models import Product
from monolith.shell.models import Note
from monolith.shell.tasks import expire_unpaid
from strangler.analysis.runtime import transactions
from strangler.domain.coupling.edges import Edge, Kind
from tests.integration.analysis.crossing import code, edges, forget, unit
from tests.integration.seams.shop import client_of, make_order, make_payment, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ledger(db: None) -> Iterator[None]:
    transactions.watch_blocks()
    forget()
    yield
    forget()


@pytest.fixture
def product() -> Product:
    return Product.objects.create(sku="SKU-1", name="Thing", price=Decimal("10.00"), stock=10)


def buy(client: Client, **given: str) -> Any:
    body = {"lines": [{"sku": "SKU-1", "quantity": 2}], "method": "ok", "pay": "now", **given}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = client.post("/api/orders/checkout/", body, content_type="application/json", headers=headers)
    assert answer.status_code == 201, answer.content
    return answer.json()


def seen(kind: Kind, source: str, where: str) -> dict[str, Edge]:
    """Target → edge, of the code that is meant."""
    return {edge.target: edge for edge in edges(kind) if edge.source == source and edge.where == where}


def by(edge: Edge) -> set[str]:
    return {name for one in edge.evidence for name in one.by}


def test_a_checkout_is_one_transaction_over_three_contexts(product: Product) -> None:
    buy(client_of(make_user()))
    found = seen(Kind.TRANSACTION, "orders", "monolith/orders/checkout.py:_place")
    assert set(found) == {"payments", "products"}
    assert {"orders_order", "orders_orderline", "payments_payment", "products_product"} <= set(found["payments"].what.split(", "))
    assert by(found["payments"]) == {"request POST /api/orders/checkout/"}
    (taken,) = found["products"].evidence
    assert (taken.file, taken.count) == ("monolith/products/services.py", 1)
    assert '"stock" = ("products_product"."stock" - %s)' in taken.text  # update_expression
    assert taken.line == line_of(taken.file, "on_hand.update(")


def line_of(file: str, text: str) -> int:
    lines = Path(settings.BASE_DIR, file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_lines_made_in_bulk_are_seen(product: Product) -> None:
    buy(client_of(make_user()), pay="later")
    (found,) = (edge for edge in edges(Kind.TRANSACTION) if edge.target == "products")
    assert found.what == "orders_order, orders_orderline, products_product"


def test_reading_an_order_joins_its_customer(product: Product) -> None:
    client = client_of(make_user())
    buy(client)
    forget()
    assert client.get("/api/orders/").status_code == 200
    (join,) = (edge for edge in edges(Kind.JOIN) if edge.source == "orders")
    assert (join.target, join.what.split(" + ")[:2]) == ("customers", ["customers_customer", "orders_order"])
    assert by(join) == {"request GET /api/orders/"}
    (read,) = (edge for edge in edges(Kind.FOREIGN_READ) if (edge.source, edge.target) == ("orders", "customers"))
    assert (read.target, read.what, read.where) == ("customers", "customers_customer", join.where)


def test_upkeep_writes_two_contexts_for_its_command_and_its_task(product: Product) -> None:
    client, old = client_of(make_user()), timezone.now() - timedelta(days=90)
    by_command, by_task = "command expire_unpaid", "task shell.expire_unpaid"
    for run, name in ((lambda: call_command("expire_unpaid", verbosity=0), by_command), (expire_unpaid.apply, by_task)):
        buy(client, pay="later")
        Order.objects.filter(pay="later").update(placed_at=old)
        forget()
        run()
        found = seen(Kind.TRANSACTION, "shell", "monolith/shell/upkeep.py:expire_unpaid")
        assert set(found) == {"orders", "products"}
        assert by(found["orders"]) == {name}
        assert set(seen(Kind.FOREIGN_WRITE, "shell", "monolith/shell/upkeep.py:expire_unpaid")) == {"orders", "products"}
        joined = seen(Kind.JOIN, "shell", "monolith/shell/upkeep.py:expire_unpaid")
        assert {target: edge.what for target, edge in joined.items()} == dict.fromkeys(
            ("orders", "payments"), "orders_order + payments_payment"
        )


def test_merging_customers_writes_the_orders(product: Product) -> None:
    kept, gone = make_order(), make_order()
    forget()
    call_command("merge_customers", str(kept.customer_id), str(gone.customer_id), verbosity=0, stdout=io.StringIO())
    found = seen(Kind.TRANSACTION, "customers", "monolith/customers/services.py:merge")["orders"]
    assert by(found) == {"command merge_customers"}
    written = seen(Kind.FOREIGN_WRITE, "customers", "monolith/customers/services.py:merge")
    assert [edge.what for edge in written.values()] == ["orders_order"]


def test_a_get_that_writes(product: Product) -> None:
    user = make_user()
    order = make_order(user)
    payment = make_payment(order, state="authorised", method="3ds")
    forget()
    assert Client().get(confirm_path(payment_id=payment.pk, user_id=user.pk)).status_code == 302
    found = [edge for edge in edges(Kind.TRANSACTION) if {edge.source, edge.target} == {"payments", "orders"}]
    assert [by(edge) for edge in found] == [{"request GET /pay/confirm/<str:token>/"}]
    assert found[0].evidence[0].file.startswith("monolith/orders/")


def test_a_post_that_only_reads(product: Product) -> None:
    client = client_of(make_user(is_staff=True))
    forget()
    assert (
        client.post(
            "/api/payments/search/", {"email": "ada@example.org", "number": "1"}, content_type="application/json"
        ).status_code
        == 200
    )
    joined = [edge for edge in edges(Kind.JOIN) if edge.source == "payments"]
    assert {edge.target for edge in joined} == {"orders", "users"}
    assert {name for edge in joined for name in by(edge)} == {"request POST /api/payments/search/"}
    assert not edges(Kind.FOREIGN_WRITE, Kind.TRANSACTION)


def test_deleting_an_order_goes_on_to_its_payments(product: Product) -> None:
    payment = make_payment(make_order())
    forget()
    with unit():
        code("orders", "def remove(order):\n  order.delete()")(payment.order)
    (found,) = (edge for edge in edges(Kind.CASCADE) if edge.what == "payments_payment")
    key = ("orders", "payments", "monolith/orders/written.py:remove", "payments_payment", "from orders.Order")
    assert (found.source, found.target, found.where, found.what, found.note) == key
    assert found.evidence[0].text.startswith('DELETE FROM "payments_payment"')
    assert not edges(Kind.FOREIGN_WRITE), "what the collector writes is not what the code writes"


def test_a_key_that_is_set_to_null_is_a_cascade_too(product: Product) -> None:
    Note.objects.create(author=(author := make_user()), text="x", about=product)
    forget()
    with unit():
        code("users", "def remove(user):\n  type(user).objects.filter(pk=user.pk).delete()")(author)
    found = {edge.what: edge for edge in edges(Kind.CASCADE)}
    assert (found["shell_note"].source, found["shell_note"].target) == ("users", "shell")
    assert found["shell_note"].evidence[0].text.startswith('UPDATE "shell_note" SET "author_id"')


def test_deleting_a_row_of_others_is_a_write_and_its_cascade(product: Product) -> None:
    payment = make_payment(make_order())
    forget()
    with unit():
        code("shell", "def remove(order):\n  order.delete()")(payment.order)
    assert {edge.target for edge in edges(Kind.CASCADE)} == {"payments"}
    assert ("orders", "orders_order") in {(edge.target, edge.what) for edge in edges(Kind.FOREIGN_WRITE)}
    assert {edge.target for edge in edges(Kind.TRANSACTION)} == {"orders", "payments"}


def test_what_stays_within_a_context_is_no_edge(product: Product) -> None:
    with unit():
        code(
            "products",
            "def own():\n  with transaction.atomic():\n    Product.objects.update(stock=1)\n  return Product.objects.count()",
        )()
    assert edges() == []


def test_an_admin_page_that_no_code_of_ours_runs_is_named_by_its_request(product: Product) -> None:
    make_order()
    client = client_of(make_user(is_staff=True, is_superuser=True))
    forget()
    assert client.get("/admin/orders/order/").status_code == 200
    joined = {edge.where for edge in edges(Kind.JOIN) if (edge.source, edge.target) == ("orders", "customers")}
    assert joined == {"request GET /admin/orders/order/"}
