"""What the monolith serves to a proxy whose hold ended."""

from __future__ import annotations

import time

import pytest
from django.test import Client

from strangler.domain.tokens import issue
from strangler.sync import ownership

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("strangler.control.urls")]


def bearer(settings, audience: str = "monolith", secret: str = "") -> dict[str, str]:
    token = issue(secret or settings.STRANGLER["TOKEN"], audience=audience, now=time.time())
    return {"Authorization": f"Bearer {token}"}


def test_the_owner_is_told_to_who_holds_the_secret(valkey, settings) -> None:
    ownership.prepare("payments", "monolith")
    ownership.change("payments", epoch=3, owner="none", operation="x")
    answer = Client(headers=bearer(settings)).get("/ownership?context=payments")
    assert answer.json() == {"context": "payments", "epoch": 3, "owner": "none", "operation": "x"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x.y.z"}])
def test_without_a_good_token_it_is_401(valkey, headers: dict[str, str]) -> None:
    for path in ("/ownership?context=payments", "/flight?context=payments"):
        answer = Client(headers=headers).get(path)
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"


def test_a_token_for_a_service_or_of_another_secret_is_401(valkey, settings) -> None:
    for headers in (bearer(settings, audience="payments"), bearer(settings, secret="another secret of thirty-two characters")):
        assert Client(headers=headers).get("/ownership?context=payments").status_code == 401


def test_an_unknown_context_is_404_and_a_write_405(valkey, settings) -> None:
    client = Client(headers=bearer(settings))
    assert client.get("/ownership?context=nothing").status_code == 404
    assert client.get("/flight?context=nothing").status_code == 404
    assert client.put("/ownership").status_code == 405


def test_health() -> None:
    assert Client().get("/livez").json() == {"status": "alive"}
    assert Client().get("/readyz").json() == {"status": "ready"}
