"""Service tokens at the API: who may act for whom."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from django.test import Client

from strangler import conf
from strangler.domain import tokens

from .shop import make_order, make_payment, make_user

pytestmark = pytest.mark.django_db


def token(audience: str = "monolith", *, secret: str = "", **claims: Any) -> str:
    return tokens.issue(secret or conf.service_secret(), audience=audience, now=time.time(), **claims)


def asked(bearer: str) -> Any:
    return Client().get("/api/payments/", headers={"Authorization": f"Bearer {bearer}"})


def test_it_acts_for_the_user_that_the_token_names() -> None:
    payment = make_payment(make_order())
    make_payment(make_order())
    answer = asked(token(act=payment.user_id))
    assert [row["id"] for row in answer.json()["results"]] == [payment.pk]


def test_a_service_takes_tokens_meant_for_its_context(as_service: None) -> None:
    user = make_user()
    assert asked(token("payments", act=user.pk)).status_code == 200
    assert asked(token("monolith", act=user.pk)).status_code == 401


@pytest.mark.parametrize("act", [None, 0, "nobody", [1], {"id": 1}])
def test_it_must_act_for_somebody_known(act: Any) -> None:
    assert asked(token(act=act)).status_code == 401


def test_an_inactive_user_is_refused() -> None:
    assert asked(token(act=make_user(is_active=False).pk)).status_code == 401


def test_forged_stale_and_foreign_tokens_are_refused() -> None:
    user = make_user()
    assert asked(token(act=user.pk, secret="a secret of somebody else, long enough")).status_code == 401
    assert asked(tokens.issue(conf.service_secret(), audience="monolith", now=time.time() - 3600, act=user.pk)).status_code == 401
    assert asked(token("orders", act=user.pk)).status_code == 401
    unsigned = jwt.encode({"aud": "monolith", "act": user.pk}, None, algorithm="none")
    assert asked(unsigned).status_code == 401


def test_the_shops_own_token_still_counts() -> None:
    from monolith.users.tokens import issue

    user = make_user()
    assert asked(issue(user_id=user.pk)).status_code == 200


@pytest.mark.parametrize("rubbish", ["", "x", "a.b.c", "....", "ä"])
def test_rubbish_is_refused_without_an_error(rubbish: str) -> None:
    assert asked(rubbish).status_code in (401, 403)
