"""The couplings of the shop that only show while it runs: what is planted is seen, with the code and the unit of work that did it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from monolith.orders.models import Order
from monolith.products.models import Product
from strangler.analysis.runtime import transactions
from tests.integration.analysis.crossing import edges, forget
from tests.integration.seams.shop import client_of, make_order, make_user

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


def test_show(product: Product) -> None:
    client = client_of(make_user())
    buy(client)
    buy(client, pay="later")
    Order.objects.filter(pay="later").update(placed_at=timezone.now() - timedelta(days=9))
    call_command("expire_unpaid", verbosity=0, stdout=io.StringIO())
    a, b = make_order(), make_order()
    call_command("merge_customers", str(a.customer_id), str(b.customer_id), verbosity=0, stdout=io.StringIO())
    for edge in edges():
        print(
            edge.kind.value,
            edge.source,
            "→",
            edge.target,
            edge.where,
            "|",
            edge.what,
            "|",
            edge.note,
            [(e.file, e.line, e.count, e.by) for e in edge.evidence],
        )
    assert 0
