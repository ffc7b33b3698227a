"""A lifted service, in this process: which paths it serves, whom it knows, what it holds back while it is not the owner (P26)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from monolith.celery import app
from monolith.users.models import User
from monolith.users.tokens import issue
from strangler import conf
from strangler.domain import tokens
from strangler.replica import guard, identity, quiet
from strangler.seams.tasks import FORWARDED

from .shop import client_of, make_order, make_payment, make_user

Own = Callable[..., None]
SERVICE_MIDDLEWARE = {
    "django.contrib.sessions.middleware.SessionMiddleware": "strangler.replica.identity.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "strangler.replica.identity.AuthenticationMiddleware",
}


@pytest.fixture
def service(as_service: None, fenced: None, settings: Any) -> None:
    """The middlewares of the service's settings in place of the monolith's."""
    settings.MIDDLEWARE = [
        "strangler.replica.guard.GuardMiddleware",
        *(SERVICE_MIDDLEWARE.get(name, name) for name in settings.MIDDLEWARE if "whitenoise" not in name),
    ]
    settings.STRANGLER_SESSION_HASH = True


@pytest.fixture
def held_back() -> Callable[[str], int]:
    before = dict(quiet.suppressed())
    return lambda kind: quiet.suppressed()[kind] - before[kind]


# guard


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/payments/", 200),
        ("/api/orders/", 421),
        ("/", 421),
        ("/admin/", 421),
        ("/api/paymentsx/", 421),
        ("/api/schema", 421),
    ],
)
def test_only_the_contexts_paths_are_served(service: None, path: str, status: int) -> None:
    answer = client_of(make_user()).get(path)
    assert answer.status_code == status


def test_the_contract_has_urls_of_its_own(service: None) -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.urlconf)  # type: ignore[attr-defined]
        return HttpResponse()

    for path in ("/_strangler/changes", "/livez", "/readyz", "/metrics"):
        guard.GuardMiddleware(view)(RequestFactory().get(path))
    assert seen == ["strangler.replica.urls"] * 4


def test_no_spelling_leads_around_the_guard(service: None) -> None:
    for path in ("/api/payments/../orders/", "/api/payments/%2e%2e/orders/", "//admin/", "/api//orders/"):
        assert Client().get(path).status_code in (404, 421), path


# identity


def test_a_session_of_the_monolith_is_known(service: None, own: Own) -> None:
    own("service", 1)
    user = make_user()
    payment = make_payment(make_order(user))
    answer = client_of(user).get("/api/payments/")
    assert [row["id"] for row in answer.json()["results"]] == [payment.pk]


def test_a_copy_without_passwords_neither_refuses_nor_flushes(service: None) -> None:
    user = make_user()
    client = client_of(user)
    User.objects.filter(pk=user.pk).update(password="")
    assert client.get("/api/payments/").status_code == 200
    assert stored(client)[SESSION_KEY] == str(user.pk)


def test_a_session_that_ended_is_anonymous_and_left_alone(service: None) -> None:
    user = make_user()
    client = client_of(user)
    user.set_password("another one")
    user.save()
    assert client.get("/api/payments/").status_code in (401, 403)
    assert HASH_SESSION_KEY in stored(client), "the monolith's to flush"


def test_without_the_hash_in_the_copy_the_session_counts(service: None, settings: Any) -> None:
    settings.STRANGLER_SESSION_HASH = False
    user = make_user()
    client = client_of(user)
    user.set_password("another one")
    user.save()
    assert client.get("/api/payments/").status_code == 200


def test_an_inactive_user_is_nobody(service: None) -> None:
    user = make_user()
    client = client_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/api/payments/").status_code in (401, 403)


def word(user_id: object, **how: Any) -> dict[str, str]:
    """The proxy's header."""
    given = {"secret": conf.service_secret(), "audience": "payments", "now": time.time(), "sub": str(user_id), **how}
    return {"X-Strangler-Identity": tokens.issue(given.pop("secret"), **given)}


def owner_of(user: User) -> int:
    return int(make_payment(make_order(user)).pk)


def rows(answer: Any) -> list[int]:
    return [row["id"] for row in answer.json()["results"]]


def test_the_proxys_word_counts_without_a_session_and_before_one(service: None, own: Own) -> None:
    own("service", 1)
    ada, bob = make_user(), make_user()
    of_ada = owner_of(ada)
    assert rows(Client().get("/api/payments/", headers=word(ada.pk))) == [of_ada]
    assert rows(client_of(bob).get("/api/payments/", headers=word(ada.pk))) == [of_ada]


def test_a_user_who_is_not_in_the_copy_is_looked_for_in_the_session(service: None) -> None:
    assert client_of(make_user()).get("/api/payments/", headers=word(10**9)).status_code == 200
    assert client_of(make_user()).get("/api/payments/", headers=word("not a number")).status_code == 200
    assert Client().get("/api/payments/", headers=word(10**9)).status_code in (401, 403)


def test_a_user_who_is_not_active_in_the_copy_is_nobody(service: None) -> None:
    user = make_user(is_active=False)
    assert Client().get("/api/payments/", headers=word(user.pk)).status_code in (401, 403)


@pytest.mark.parametrize(
    "how",
    [
        {"audience": "orders"},
        {"secret": "another secret of thirty-two characters"},
        {"now": time.time() - 3600},
        {"sub": ""},
        {"sub": 42},
        {"sub": None},
    ],
)
def test_a_word_that_is_not_good_here_is_401_never_the_session(service: None, how: dict[str, Any]) -> None:
    user = make_user()
    answer = client_of(user).get("/api/payments/", headers=word(user.pk, **how))
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


def test_rubbish_is_401_even_where_nobody_need_be_known(service: None) -> None:
    for text in ("", "x", "a.b.c", "é"):
        assert Client().get("/pay/confirm/x/", headers={"X-Strangler-Identity": text}).status_code == 401


def test_with_authorization_rest_framework_decides_as_ever(service: None, own: Own) -> None:
    own("service", 1)
    ada, bob = make_user(), make_user()
    of_bob = owner_of(bob)
    bearer = {"Authorization": f"Bearer {issue(user_id=bob.pk)}"}
    assert rows(Client().get("/api/payments/", headers={**word(ada.pk), **bearer})) == [of_bob]
    stale = {"Authorization": f"Bearer {issue(user_id=bob.pk)[:-4]}AAAA"}
    assert Client().get("/api/payments/", headers={**word(ada.pk), **stale}).status_code == 401


def test_a_write_by_the_proxys_word_still_needs_its_csrf_token(service: None, own: Own) -> None:
    own("service", 1)
    answer = Client(enforce_csrf_checks=True).post("/api/payments/", {}, headers=word(make_user().pk))
    assert answer.status_code == 403


def test_who_a_user_is_opens_no_door_for_services(service: None) -> None:
    token = word(1)["X-Strangler-Identity"]
    assert Client().get("/_strangler/ownership", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    door = tokens.issue(conf.service_secret(), audience="payments", now=time.time())
    assert Client().get("/_strangler/ownership", headers={"Authorization": f"Bearer {door}"}).status_code == 200
    assert Client().get("/api/payments/", headers={"X-Strangler-Identity": door}).status_code == 401


# quiet


def test_p26_no_mail_while_it_is_not_the_owner(
    service: None, own: Own, settings: Any, held_back: Callable[[str], int], mailoutbox: list[Any]
) -> None:
    settings.STRANGLER_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.EMAIL_BACKEND = "strangler.replica.quiet.EmailBackend"
    assert mail.send_mail("paid", "thank you", "shop@example.org", ["ada@example.org"]) == 1
    assert (len(mailoutbox), held_back("mail")) == (0, 1)
    own("service", 1)
    mail.send_mail("paid", "thank you", "shop@example.org", ["ada@example.org"])
    assert (len(mailoutbox), held_back("mail")) == (1, 1)


@app.task(name="tests.seams.receipt")
def receipt(number: int) -> int:
    return number


@pytest.fixture
def published(service: None) -> Iterator[Callable[[], list[str]]]:
    """The task names that are in the queue of the broker."""
    quiet.silence_celery()
    with app.connection_for_write() as connection:
        waiting = connection.SimpleQueue("monolith")
        waiting.clear()

        def names() -> list[str]:
            found = []
            while len(waiting):
                message = waiting.get(block=False)
                message.ack()
                found.append(message.headers["task"])
            return found

        yield names
        waiting.close()


def test_p26_no_task_while_it_is_not_the_owner(published: Any, own: Own, held_back: Callable[[str], int]) -> None:
    assert receipt.delay(1).id
    app.send_task("tests.seams.receipt", args=[2])
    (receipt.s(3) | receipt.si(4)).apply_async()
    assert (published(), held_back("task")) == ([], 3)
    own("service", 1)
    receipt.delay(5)
    assert (published(), held_back("task")) == (["tests.seams.receipt"], 3)


def test_p26_what_exists_already_still_travels(published: Any, held_back: Callable[[str], int]) -> None:
    """Our own messages, a unit that is forwarded to the owner, and one that is retried would otherwise be lost."""
    app.send_task("strangler.run", args=["payments-reverse"], queue="monolith")
    receipt.apply_async([1], headers={FORWARDED: "service"})
    receipt.apply_async([2], retries=1)
    assert published() == ["strangler.run", "tests.seams.receipt", "tests.seams.receipt"]
    assert held_back("task") == 0


def session_request(path: str, client: Client) -> HttpRequest:
    request = RequestFactory().get(path)
    request.COOKIES[django_settings.SESSION_COOKIE_NAME] = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    return request


def test_p26_no_session_is_saved_while_it_is_not_the_owner(service: None, own: Own, held_back: Callable[[str], int]) -> None:
    client = client_of(make_user())

    def view(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = "a shadowed request"
        return HttpResponse()

    middleware = identity.SessionMiddleware(view)
    answer = middleware(session_request("/api/payments/", client))
    assert "seen" not in stored(client)
    assert not answer.cookies
    assert held_back("session") == 1
    own("service", 1)
    middleware(session_request("/api/payments/", client))
    assert stored(client)["seen"] == "a shadowed request"


def test_p26_no_session_is_flushed_while_it_is_not_the_owner(service: None, held_back: Callable[[str], int]) -> None:
    client = client_of(make_user())

    def view(request: HttpRequest) -> HttpResponse:
        request.session.flush()
        return HttpResponse()

    answer = identity.SessionMiddleware(view)(session_request("/api/payments/", client))
    assert SESSION_KEY in stored(client)
    assert not answer.cookies
    assert held_back("session") >= 1


def stored(client: Client) -> SessionBase:
    """The session as it is in the storage that both sides share."""
    key = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    return import_module(django_settings.SESSION_ENGINE).SessionStore(key)  # type: ignore[no-any-return]
