"""A small shop on a real PostgreSQL, and a user who buys. Models are imported late: Django is set up after this file is read."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from monolith.products.models import Product
    from monolith.users.models import User
    from tests.integration.shop.shopping import Buy, PaymentsService


@pytest.fixture
def user(db: None) -> User:
    from monolith.users.models import User

    return User.objects.create_user("ada@example.com", "correct horse", is_active=True)


@pytest.fixture
def other(db: None) -> User:
    from monolith.users.models import User

    return User.objects.create_user("ben@example.com", "battery staple")


@pytest.fixture
def products(db: None) -> list[Product]:
    from monolith.products.models import Product

    return [
        Product.objects.create(sku=f"SKU-{number}", name=f"Thing {number}", price=Decimal("10.00") * number, stock=10)
        for number in (1, 2, 3)
    ]


@pytest.fixture
def api(user: User) -> APIClient:
    from tests.integration.shop.shopping import client_of

    return client_of(user)


@pytest.fixture
def buy(api: APIClient, products: list[Product]) -> Buy:
    """``buy(method="ok", pay="now", quantity=1, key=…)``: a checkout of the first product; gives the response."""

    def checkout(*, method: str = "ok", pay: str = "now", quantity: int = 1, key: str = "", by: APIClient = api) -> Any:
        body = {"lines": [{"sku": products[0].sku, "quantity": quantity}], "method": method, "pay": pay}
        return by.post("/api/orders/checkout/", body, headers={"Idempotency-Key": key or str(uuid.uuid4())})

    return checkout


@pytest.fixture
def service(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> PaymentsService:
    """Payments has moved: its owner is the service, which writes what the monolith then sees as its read copy at once."""
    from strangler.seams import http
    from strangler.sync import ownership
    from tests.integration.shop.shopping import PaymentsService

    running = PaymentsService()
    ownership.prepare("payments", "monolith")
    ownership.change("payments", epoch=1, owner="none", operation="test")
    ownership.change("payments", epoch=1, owner="service", operation="test")
    monkeypatch.setattr(http, "session", lambda: running)
    monkeypatch.setattr(http, "_breakers", {})
    return running
