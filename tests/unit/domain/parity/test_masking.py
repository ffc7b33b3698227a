"""No secret is stored with an example, whatever stands around it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.parity import masking
from strangler.domain.parity.answers import MOST_BODY, Answer
from strangler.domain.parity.difference import Difference, Kind
from strangler.domain.parity.masking import MASK

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    "name", ["password", "new_password2", "accessToken", "csrfmiddlewaretoken", "client_secret", "api-key", "card", "PIN"]
)
@pytest.mark.parametrize("secret", ["hush", {"x": "hush"}, ["hush", {"y": ["hush"]}], 7345])
def test_all_that_stands_under_a_secrets_name(name, secret):
    shown = masking.body("application/json", json.dumps({"a": {name: secret}, "b": "seen"}).encode())
    assert "hush" not in shown
    assert "7345" not in shown
    assert MASK in shown
    assert '"seen"' in shown
    assert f'"{name}"' in shown


@pytest.mark.parametrize("secret", [JWT, HEX, CARD, CARD.replace(" ", ""), f"Bearer {HEX[:20]}", "sk_live_abcdefghijklmnop1234"])
def test_what_looks_like_a_secret_wherever_it_stands(secret):
    core = secret.removeprefix("Bearer ")
    places = [
        masking.body("application/json", json.dumps({"note": f"it is {secret}."}).encode()),
        masking.body("text/html", f"<p title='x'>it is {secret}</p>".encode()),
        masking.body("text/csv", f"a,{secret},b".encode()),
        masking.body("application/json", f'{{"broken": "{secret}"'.encode()),
        masking.url(f"/a?note={secret}&b=1"),
        str(masking.headers({"x-note": secret})),
        str(masking.difference(Difference("body $.note", Kind.VALUE, f"it is {secret}", None))),
    ]
    assert not [place for place in places if core in place]


def test_what_is_no_secret_stays():
    body = {
        "passenger": "Ada",
        "discarded": 3,
        "cardinality": 7,
        "amount": "1.10",
        "id": 4111111111111112,
        "pinned": True,
        "token": None,
    }
    assert json.loads(masking.body("application/json", json.dumps(body).encode())) == body
    assert masking.url("/api/orders/7?page=2&q=blue%20cup") == "/api/orders/7?page=2&q=blue%20cup"


def test_numbers_stay_as_they_were_written_and_names_repeat():
    shown = masking.body("application/json", b'{"a": 1.10, "b": 1e5, "c": [NaN, 0.1000000000000000055], "d": 1, "d": 2}')
    assert "1.10" in shown
    assert "1e5" in shown
    assert "0.1000000000000000055" in shown
    assert shown.count('"d"') == 2


def test_headers_of_secrets_and_the_values_of_cookies():
    shown = masking.headers(
        {
            "authorization": "Basic abc",
            "cookie": "sid=hush",
            "set-cookie": "sid=hush; Path=/\ncsrftoken=hush; Secure",
            "x-api-key": "hush",
            "location": "https://ada:hush@shop.example/cb?code=7&token=hush#access_token=hush",
            "content-type": "text/html",
        }
    )
    assert "hush" not in str(shown)
    assert shown["set-cookie"] == f"sid={MASK}; Path=/\ncsrftoken={MASK}; Secure"
    assert shown["content-type"] == "text/html"


def test_forms_and_pages():
    assert masking.body("application/x-www-form-urlencoded", b"user=ada&password=hush&p%61ssword=hush") == (
        f"user=ada&password={MASK}&p%61ssword={MASK}"
    )
    page = b'<input type=hidden value="hush" name=csrfmiddlewaretoken><meta content="hush" name="csrf-token"><p>Sum 7 token: hush'
    shown = masking.body("text/html", page)
    assert "hush" not in shown
    assert "Sum 7" in shown


def test_an_answer_as_it_is_stored():
    found = Answer.of(200, {"content-type": "application/json", "set-cookie": "a=hush"}, b'{"token": "hush"}', 12.5)
    stored = masking.answer(found)
    assert "hush" not in json.dumps(stored)
    assert (stored["status"], stored["length"], stored["ms"]) == (200, 17, 12.5)
    assert masking.answer(Answer.of(200, {}, b"\x89PNG"))["body"] == "4 bytes"


def test_a_difference_of_a_secret_is_told_without_it():
    told = masking.difference(Difference("body $.user.api_token", Kind.VALUE, '"hush"', '"hush2"'))
    assert (told.old, told.new) == (MASK, MASK)
    cookie = Difference("header set-cookie sid", Kind.VALUE, "httponly; path=/", "path=/")
    assert masking.difference(cookie) == cookie


@pytest.mark.parametrize(
    "part", ["token", "a1-", "1 ", "eyJ", 'token="', "<a value=token ", "bearer ", "//@", "A_-", "-----BEGIN PRIVATE KEY-----"]
)
def test_no_text_takes_long(part):
    """Processor time; each takes a tenth of a second, where a pattern that starts over at each letter takes seconds."""
    long = part * (MOST_BODY // 4 // len(part))
    started = time.process_time()
    masking.body("text/html", long.encode())
    masking.url(long)
    assert time.process_time() - started < 2


@given(st.text(), st.sampled_from(["application/json", "text/html", "application/x-www-form-urlencoded", "image/png"]))
def test_no_text_raises(text, kind):
    content = text.encode("utf-8", "replace")
    json.dumps(masking.body(kind, content)).encode()
    masking.url(text)
    masking.text(text)
    masking.headers({"location": text, "set-cookie": text, "x": text})
