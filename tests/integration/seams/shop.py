"""Rows of the shop as these tests need them, and a client that is logged in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.test import Client

from monolith.customers.models import Customer
from monolith.orders.models import Order
from monolith.payments.models import Payment
from monolith.users.models import User


def make_order(user: User | None = None, *, state: str = "pending", total: str = "20.00") -> Order:
    user = user or make_user()
    customer, _ = Customer.objects.get_or_create(user=user, defaults={"name": "Ada"})
    return Order.objects.create(customer=customer, user_id=user.pk, state=state, total=Decimal(total), method="ok")


def make_user(**fields: Any) -> User:
    return User.objects.create(email=f"{uuid4().hex}@example.org", password="!", **fields)


def make_payment(order: Order, **fields: Any) -> Payment:
    given = {"amount": order.total, "currency": order.currency, "method": "ok", "state": "captured"}
    whose = {"user_id": order.user_id, "idempotency_key": uuid4().hex}
    return Payment.objects.create(order=order, **{**given, **whose, **fields})


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def pay(client: Client, order: Order, key: str = "", **headers: str) -> Any:
    body = {"order": order.pk, "amount": str(order.total), "currency": order.currency, "method": "ok"}
    sent = {"Idempotency-Key": key or uuid4().hex, **headers}
    return client.post("/api/payments/", body, content_type="application/json", headers=sent)
