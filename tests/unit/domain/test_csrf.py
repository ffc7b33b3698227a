"""The edge's CSRF rules, held against Django's own ``CsrfViewMiddleware``: the same verdict on the same request."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, _mask_cipher_secret
from django.test import RequestFactory, override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler.domain import csrf
from strangler.domain.site import Site, cookies

SECRET, OTHER = "a1B2" * 8, "Zz90" * 8
HOST = "shop.example"
TRUSTED = ["https://pay.example", "https://*.partner.example", "http://old.example:8080"]
SITE = Site(trusted_origins=tuple(TRUSTED))


def masked(secret: str, seed: int) -> str:
    """As Django masks it, with a mask that is the same in each run."""
    alphabet, draw = csrf._CHARACTERS, random.Random(seed)
    mask = "".join(draw.choice(alphabet) for _ in secret)
    pairs = zip(secret, mask, strict=True)
    return mask + "".join(alphabet[(alphabet.index(one) + alphabet.index(two)) % len(alphabet)] for one, two in pairs)


def test_what_django_masks_is_unmasked() -> None:
    assert csrf.mismatch(SECRET, _mask_cipher_secret(SECRET)) == ""
    assert csrf.mismatch(_mask_cipher_secret(SECRET), masked(SECRET, 1)) == ""


tokens = st.one_of(
    st.none(),
    st.sampled_from([SECRET, OTHER, "", "short", SECRET + "!", SECRET[:-1] + "é", SECRET + SECRET, SECRET + "\n", f" {SECRET}"]),
    st.integers(0, 9).map(lambda seed: masked(SECRET, seed)),
    st.integers(0, 9).map(lambda seed: masked(OTHER, seed)),
    st.text(csrf._CHARACTERS, min_size=31, max_size=33),
)
hosts = (
    "shop.example", "SHOP.example", "shop.example:8443", "evil.example", "pay.example", "a.partner.example",
    "partner.example", "notpartner.example", "old.example:8080", "old.example", "",
)  # fmt: skip
places = st.one_of(
    st.none(),
    st.sampled_from(["", "null", "https://", "//shop.example", "https://[bad", "https://shop.example.evil.example"]),
    st.builds(
        "{}://{}{}".format, st.sampled_from(["http", "https", "HTTPS"]), st.sampled_from(hosts), st.sampled_from(["", "/"])
    ),
)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
        "secure": st.booleans(),
        "host": st.sampled_from([HOST, "SHOP.example", "shop.example:8443"]),
        "origin": places,
        "referer": places,
        "cookie": tokens,
        "header": tokens,
        "field": tokens,
    }
)
# Hardly any of those gets as far as its token, or to its place with the right one.
with_a_token = requests.map(lambda one: {**one, "origin": None, "secure": False})
with_a_place = requests.map(lambda one: {**one, "cookie": SECRET, "header": SECRET, "field": None})
with_a_referer = with_a_place.map(lambda one: {**one, "origin": None, "secure": True})


def django_accepts(one: dict[str, Any], body: bytes) -> bool:
    headers = {"HTTP_ORIGIN": one["origin"], "HTTP_REFERER": one["referer"], "HTTP_X_CSRFTOKEN": one["header"]}
    given = {name: value for name, value in headers.items() if value is not None}
    request: HttpRequest = RequestFactory().generic(
        one["method"], "/pay", body, csrf.FORM, secure=one["secure"], HTTP_HOST=one["host"], **given
    )
    if one["cookie"] is not None:
        request.COOKIES["csrftoken"] = one["cookie"]
    judge = CsrfViewMiddleware(lambda _: HttpResponse())
    judge.process_request(request)
    return judge.process_view(request, lambda _: HttpResponse(), (), {}) is None


def edge_accepts(one: dict[str, Any], body: bytes) -> bool:
    """As ``Admitting`` puts it together."""
    sender = csrf.Sender(host=one["host"], secure=one["secure"], origin=one["origin"], referer=one["referer"])
    token = (csrf.field(body) if one["method"] == "POST" else "") or one["header"]
    return not (csrf.foreign(SITE, sender) or csrf.mismatch(one["cookie"], token))


@settings(max_examples=800, deadline=None)
@given(st.one_of(requests, with_a_token, with_a_place, with_a_referer))
def test_the_verdict_is_that_of_django(one: dict[str, Any]) -> None:
    body = urlencode({"amount": "1", **({csrf.FIELD: one["field"]} if one["field"] is not None else {})}).encode()
    with override_settings(CSRF_TRUSTED_ORIGINS=TRUSTED, ALLOWED_HOSTS=["*"]):
        assert edge_accepts(one, body) == django_accepts(one, body)


@pytest.mark.parametrize(
    ("host", "secure", "origin", "referer", "accepted"),
    [
        (HOST, False, "http://shop.example", None, True),
        (HOST, True, "https://pay.example", None, True),
        (HOST, True, "https://a.partner.example", None, True),
        (HOST, True, "http://a.partner.example", None, False),
        (HOST, True, "https://notpartner.example", None, False),
        (HOST, True, None, "https://pay.example/x", True),
        (HOST, True, None, "https://a.partner.example/x", True),
        ("SHOP.example", True, None, "https://shop.example/x", True),
        (HOST, True, None, "https://SHOP.example/x", False),
        (HOST, True, None, None, False),
    ],
)
def test_a_place_counts_as_in_django(host: str, secure: bool, origin: str | None, referer: str | None, accepted: bool) -> None:
    one = {
        "method": "PUT",
        "host": host,
        "secure": secure,
        "origin": origin,
        "referer": referer,
        "cookie": SECRET,
        "header": SECRET,
    }
    with override_settings(CSRF_TRUSTED_ORIGINS=TRUSTED, ALLOWED_HOSTS=["*"]):
        assert edge_accepts(one, b"") == django_accepts(one, b"") == accepted


form_parts = [
    b"csrfmiddlewaretoken",
    b"csrf%6Diddlewaretoken",
    b"=",
    b"&",
    b"a",
    b"+",
    b"%",
    b"%zz",
    b"\xff",
    b";",
    SECRET.encode(),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(form_parts), max_size=12))
def test_a_forms_field_is_read_as_django_reads_it(parts: list[bytes]) -> None:
    body = b"".join(parts)
    request = RequestFactory().generic("POST", "/pay", body, csrf.FORM)
    assert csrf.field(body) == request.POST.get(csrf.FIELD, "")


def test_the_last_field_of_a_name_counts_as_in_django() -> None:
    body = urlencode([(csrf.FIELD, OTHER), ("a", ""), (csrf.FIELD, SECRET)]).encode()
    assert csrf.field(body) == RequestFactory().generic("POST", "/pay", body, csrf.FORM).POST[csrf.FIELD] == SECRET


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["csrftoken", "csrftoken ", "xcsrftoken", "=", ";", "; ", " ", "a", SECRET]), max_size=10))
def test_a_cookie_is_read_as_django_reads_it(parts: list[str]) -> None:
    header = "".join(parts)
    found = cookies(header.encode(), b"csrftoken")
    theirs = RequestFactory(headers={"Cookie": header}).get("/").COOKIES
    assert (found[-1].decode() if found else None) == theirs.get("csrftoken")


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Application/X-WWW-Form-Urlencoded ; charset=UTF-8", True),
        ("multipart/form-data; boundary=x", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_which_bodies_are_forms(content_type: str, form: bool) -> None:
    assert csrf.is_form(content_type) is form


def test_a_form_with_too_many_fields_has_no_token() -> None:
    """Django refuses it too, and reading it would cost the edge more than it is worth."""
    assert csrf.field(b"a=1&" * 2000 + f"{csrf.FIELD}={SECRET}".encode()) == ""
