from __future__ import annotations

import json
import time

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from rest_framework.test import APIClient

from monolith.users import keys, tokens
from monolith.users.models import User
from tests.integration.shop.shopping import client_of

pytestmark = pytest.mark.django_db
CREDENTIALS = {"email": "ada@example.com", "password": "correct horse"}


def test_a_password_gets_a_token_that_opens_the_api(user: User) -> None:
    client = APIClient()
    answer = client.post("/api/users/token/", CREDENTIALS)
    assert answer.status_code == 200
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")
    assert client.get("/api/users/me/").json() == {"id": user.pk, "email": "ada@example.com", "is_staff": False}


def test_the_address_is_known_in_any_case(user: User) -> None:
    assert APIClient().post("/api/users/token/", {**CREDENTIALS, "email": "ADA@example.com"}).status_code == 200


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"email": "nobody@example.com"}])
def test_wrong_credentials_are_a_401(user: User, change: dict[str, str]) -> None:
    answer = APIClient().post("/api/users/token/", {**CREDENTIALS, **change})
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_stale_token_does_not_keep_one_from_a_fresh_one(user: User) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer rubbish")
    assert client.post("/api/users/token/", CREDENTIALS).status_code == 200


def test_anyone_can_verify_a_token_by_the_published_keys(user: User) -> None:
    (published,) = APIClient().get("/api/users/jwks").json()["keys"]
    token = tokens.issue(user_id=user.pk)
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    key = jwt.algorithms.RSAAlgorithm.from_jwk(json.dumps(published))
    claims = jwt.decode(token, key, algorithms=["RS256"])
    assert claims["sub"] == str(user.pk)
    assert claims["exp"] - claims["iat"] == 3600
    assert "d" not in published


def test_forged_and_expired_tokens_are_refused(user: User) -> None:
    now = int(time.time())
    expired = {"iss": tokens.ISSUER, "sub": str(user.pk), "exp": now - 1}
    forged = tokens.issue(user_id=user.pk)[:-4] + "AAAA"
    for token in (jwt.encode(expired, keys.private_key(), algorithm="RS256"), forged, "rubbish", ""):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        answer = client.get("/api/users/me/")
        assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


def test_a_token_that_was_taken_before_is_refused_when_its_time_is_over(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature is remembered; its time is not."""
    client = client_of(user)
    assert client.get("/api/users/me/").status_code == 200
    later = time.time() + settings.JWT_LIFETIME_S + 1
    monkeypatch.setattr(tokens.time, "time", lambda: later)
    assert client.get("/api/users/me/").status_code == 401


def test_who_is_no_longer_active_is_refused(user: User) -> None:
    client = client_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/api/users/me/").status_code == 401
    assert APIClient().post("/api/users/token/", CREDENTIALS).status_code == 401


def test_passwords_are_hashed_with_argon2(user: User) -> None:
    assert user.password.startswith("argon2$")


def test_a_customer_keeps_their_profile_and_addresses(api: APIClient, other: User) -> None:
    assert api.patch("/api/customers/me/", {"name": "Ada L."}).json()["name"] == "Ada L."
    home = {"recipient": "Ada", "street": "Lindenweg 1", "postcode": "10115", "city": "Berlin", "country": "DE"}
    first = api.post("/api/customers/me/addresses/", home).json()
    second = api.post("/api/customers/me/addresses/", {**home, "street": "Am Markt 2", "is_default": True}).json()
    assert (first["is_default"], second["is_default"]) == (True, True)
    defaults = [address["is_default"] for address in api.get("/api/customers/me/addresses/").json()["results"]]
    assert defaults == [False, True]
    assert client_of(other).delete(f"/api/customers/me/addresses/{first['id']}/").status_code == 404
    assert api.delete(f"/api/customers/me/addresses/{first['id']}/").status_code == 204


def test_products_are_open_to_everyone(products: list[object]) -> None:
    page = APIClient().get("/api/products/?page=1").json()
    assert (page["count"], page["results"][0]["sku"], page["results"][0]["price"]) == (3, "SKU-1", "10.00")
    assert APIClient().get("/api/products/SKU-2/").json()["name"] == "Thing 2"


def test_a_hash_that_is_upgraded_at_log_in_does_not_end_the_session(user: User, client: Client) -> None:
    User.objects.filter(pk=user.pk).update(password=make_password("correct horse", hasher="pbkdf2_sha256"))
    client.post("/login/", {"username": user.email, "password": "correct horse"})
    assert User.objects.get(pk=user.pk).password.startswith("argon2"), "it was upgraded"
    assert "Log out" in client.get("/").content.decode()
