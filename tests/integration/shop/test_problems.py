"""Errors are problem documents (RFC 9457), and the API is described."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from strangler.errors import Fenced
from strangler.seams import SeamTimeout, SeamUnavailable

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/orders/", 401),
        ("get", "/api/products/NOPE/", 404),
        ("get", "/api/nowhere/", 404),
        ("delete", "/api/products/", 405),
        ("post", "/api/users/token/", 400),
    ],
)
def test_every_refusal_is_a_problem_document(method: str, path: str, status: int) -> None:
    answer = getattr(APIClient(), method)(path)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]


def test_a_body_that_is_not_valid_names_the_fields(api: APIClient) -> None:
    answer = api.post("/api/orders/checkout/", {"lines": [], "method": "x"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"lines", "method"}


def test_a_body_that_is_not_json_is_the_clients_fault(api: APIClient) -> None:
    answer = api.generic("POST", "/api/payments/", b"{", "application/json", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "error", [Fenced("payments", "none", 3), SeamUnavailable("payments", "away"), SeamTimeout("payments", "late")]
)
def test_p15_a_fenced_write_is_answered_503_and_may_be_sent_again(api: APIClient, monkeypatch: Any, error: Exception) -> None:
    def refuse(**_: Any) -> None:
        raise error

    monkeypatch.setattr("monolith.orders.services.order_cancel", refuse)
    answer = api.post("/api/orders/1/cancel/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer["Content-Type"].startswith("application/problem+json")


def test_a_fault_of_ours_says_that_it_may_have_taken_effect(api: APIClient, monkeypatch: Any) -> None:
    def break_down(**_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("monolith.orders.services.order_cancel", break_down)
    api.raise_request_exception = False
    answer = api.post("/api/orders/1/cancel/")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")


def test_the_schema_is_complete_and_valid(tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))


def test_the_schema_is_served(client: Client) -> None:
    answer = client.get("/api/schema")
    assert answer.status_code == 200
    for path in ("/api/orders/checkout/", "/api/payments/{payment_id}/refund/", "/api/users/token/"):
        assert path in answer.content.decode()
