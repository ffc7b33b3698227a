"""The monolith's word on whose credential it is: for any Django project, without a write, and through a real proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monolith.users.models import User
from monolith.users.tokens import issue as user_token
from strangler.domain import tokens
from tests.integration.proxy.harness import TOKEN, Application, Proxy, running, table, until

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/_strangler/identity"
NOBODY = {"user": None}


@pytest.fixture
def ada() -> User:
    return User.objects.create_user(email="ada@example.org", password="a long password", is_staff=True)


@pytest.fixture
def logged_in(ada: User, valkey: Any) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def asked(settings: Any, client: Client, *, audience: str = "monolith", **headers: str) -> Any:
    bearer = tokens.issue(settings.STRANGLER["TOKEN"], audience=audience, now=time.time())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(URL, headers={"Authorization": f"Bearer {bearer}", **named})


def test_a_sessions_user_is_told_and_no_cache_keeps_it(settings: Any, logged_in: Client, ada: User) -> None:
    answer = asked(settings, logged_in)
    assert answer.json() == {"user": {"id": str(ada.pk), "staff": True, "superuser": False, "active": True}}
    assert "no-store" in answer["Cache-Control"]


def test_a_tokens_user_is_told_and_goes_before_the_session(settings: Any, logged_in: Client) -> None:
    bob = User.objects.create_user(email="bob@example.org", password="a long password")
    answer = asked(settings, logged_in, X_Strangler_Authorization=f"Bearer {user_token(user_id=bob.pk)}")
    assert answer.json()["user"] == {"id": str(bob.pk), "staff": False, "superuser": False, "active": True}


def test_a_credential_of_nobody_is_null(settings: Any, logged_in: Client, ada: User) -> None:
    token = user_token(user_id=ada.pk)
    assert asked(settings, Client()).json() == NOBODY
    assert asked(settings, Client(), Cookie="sessionid=unknown").json() == NOBODY
    assert asked(settings, Client(), X_Strangler_Authorization=f"Bearer {token[:-4]}AAAA").json() == NOBODY
    assert asked(settings, logged_in, X_Strangler_Authorization=f"Bearer {token[:-4]}AAAA").json() == NOBODY
    assert asked(settings, Client(), X_Strangler_Authorization="Whatever x").json() == NOBODY
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert asked(settings, logged_in).json() == NOBODY
    assert asked(settings, Client(), X_Strangler_Authorization=f"Bearer {token}").json() == NOBODY


def test_an_authorization_that_no_class_knows_leaves_the_session(settings: Any, logged_in: Client, ada: User) -> None:
    assert asked(settings, logged_in, X_Strangler_Authorization="Whatever x").json()["user"]["id"] == str(ada.pk)


def test_without_rest_framework_only_the_session_counts(settings: Any, logged_in: Client, ada: User, monkeypatch: Any) -> None:
    monkeypatch.setattr("strangler.control.identity.apps.is_installed", lambda name: name != "rest_framework")
    answer = asked(settings, logged_in, X_Strangler_Authorization="Bearer anything")
    assert answer.json()["user"]["id"] == str(ada.pk)


def test_only_the_holder_of_the_secret_may_ask(settings: Any, logged_in: Client, ada: User) -> None:
    assert logged_in.get(URL).status_code == 401
    assert asked(settings, logged_in, audience="payments").status_code == 401
    assert logged_in.get(URL, headers={"Authorization": f"Bearer {user_token(user_id=ada.pk)}"}).status_code == 401
    assert logged_in.post(URL, headers={"Authorization": "Bearer x"}).status_code == 405


def test_the_proxys_own_token_is_nobodys_credential(settings: Any, valkey: Any, ada: User) -> None:
    """It would otherwise be read by the project's own classes: a service token acts for a user."""
    bearer = tokens.issue(settings.STRANGLER["TOKEN"], audience="monolith", now=time.time(), act=ada.pk)
    assert Client().get(URL, headers={"Authorization": f"Bearer {bearer}"}).json() == NOBODY


def test_nothing_is_written(settings: Any, logged_in: Client, ada: User) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    key = logged_in.cookies["sessionid"].value
    before = dict(SessionStore(key).items())
    User.objects.filter(pk=ada.pk).update(session_stamp=uuid4())  # the session no longer holds: Django would flush it
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert asked(settings, logged_in).json() == NOBODY
    assert [query["sql"].split()[0] for query in queries if not query["sql"].startswith("SELECT")] == []
    assert dict(SessionStore(key).items()) == before
    assert SESSION_KEY in before


@pytest.fixture
def service() -> Iterator[Application]:
    application = Application("service")
    yield application
    application.stop()


@pytest.fixture
def proxy(live_server: Any, service: Application, settings: Any, tmp_path: Path, valkey: Any) -> Iterator[Callable[[], Proxy]]:
    """Before the real monolith, which has the secret of the proxy's tests."""
    settings.STRANGLER = {**settings.STRANGLER, "TOKEN": TOKEN}
    snapshot = table(service, service, stage="live")
    snapshot["default"]["targets"] = [live_server.url]
    snapshot["contexts"]["payments"] |= {"identity": True, "targets": {"monolith": [live_server.url], "service": [service.url]}}
    (tmp_path / "table.json").write_text(json.dumps(snapshot))
    with running(tmp_path, "--table", str(tmp_path / "table.json")) as started:
        yield started


def subject(service: Application) -> str | None:
    token = service.asked[-1].get("x-strangler-identity")
    return tokens.verify(TOKEN, token, audience="payments", now=time.time())["sub"] if token else None


def test_a_log_out_at_the_monolith_is_felt_by_services_within_five_seconds(
    proxy: Proxy, service: Application, logged_in: Client, ada: User
) -> None:
    headers = {"Cookie": f"sessionid={logged_in.cookies['sessionid'].value}", "Host": "localhost"}
    assert proxy.ask("GET", "/api/payments/", **headers).body == b"service"
    assert subject(service) == str(ada.pk)
    logged_in.logout()
    ended = time.monotonic()
    until(lambda: proxy.ask("GET", "/api/payments/", **headers) and subject(service) is None, "the log-out is felt")
    assert time.monotonic() - ended < 5


def test_the_shops_token_is_understood_by_the_real_monolith(proxy: Proxy, service: Application, ada: User) -> None:
    proxy.ask("GET", "/api/payments/", Authorization=f"Bearer {user_token(user_id=ada.pk)}", Host="localhost")
    assert subject(service) == str(ada.pk)
    assert proxy.ask("GET", URL, Host="localhost").status == 404
