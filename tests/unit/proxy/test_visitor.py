from __future__ import annotations

import base64

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler_proxy import visitor
from strangler_proxy.request import Fields, Line, Request


def asking(cookie: bytes = b"", authorization: bytes = b"") -> Request:
    fields = Fields(b"\r\nHost: a\r\n")
    fields.cookie, fields.authorization = cookie, authorization
    return Request(Line(b"GET / HTTP/1.1"), fields)


def bearer(**claims: object) -> bytes:
    return b"Bearer " + jwt.encode(dict(claims), "a-key-of-thirty-two-characters-or-more").encode()


def test_the_subject_comes_before_the_session_before_the_own_cookie_before_the_address() -> None:
    cookies = b"strangler_id=" + b"a" * 32 + b"; sessionid=s1"
    assert visitor.key(asking(cookies, bearer(sub="42")), "user", "1.2.3.4") == ("42", "")
    assert visitor.key(asking(cookies), "user", "1.2.3.4") == ("s1", "")
    assert visitor.key(asking(cookies[:45]), "user", "1.2.3.4") == ("a" * 32, "")
    made = visitor.own_id("1.2.3.4")
    assert visitor.key(asking(), "user", "1.2.3.4") == (made, made)
    assert visitor.key(asking(b"strangler_id=" + made.encode()), "user", "5.6.7.8") == (made, "")


def test_a_session_is_known_by_the_name_that_the_project_gave_its_cookie() -> None:
    cookies = b"sessionid=other; shop=s1"
    assert visitor.key(asking(cookies), "user", "1.2.3.4", b"shop") == ("s1", "")


def test_an_unverified_token_that_is_nested_without_end_stands_for_itself() -> None:
    nested = base64.urlsafe_b64encode(b"[" * 40_000).rstrip(b"=")
    assert len(visitor.key(asking(b"", b"Bearer a." + nested + b".c"), "user", "1.2.3.4")[0]) == 64


def test_other_kinds_of_stickiness() -> None:
    assert visitor.key(asking(b"sessionid=s"), "address", "1.2.3.4") == ("1.2.3.4", "")
    assert visitor.key(asking(b"sessionid=s"), "cookie", "1.2.3.4")[0] == visitor.own_id("1.2.3.4")


@pytest.mark.parametrize(
    "authorization", [b"Bearer opaque", b"Bearer a.b.c", b"Basic dTpw", bearer(name="no subject"), b"Token x"]
)
def test_a_credential_without_a_subject_stands_for_itself(authorization: bytes) -> None:
    key = visitor.key(asking(b"", authorization), "user", "1.2.3.4")[0]
    assert len(key) == 64
    assert authorization.decode() not in key


@given(st.binary(), st.binary())
def test_nothing_from_outside_breaks_it(cookie: bytes, authorization: bytes) -> None:
    assert visitor.key(asking(cookie, authorization), "user", "1.2.3.4")[0]


def test_a_cookie_is_found_by_its_whole_name() -> None:
    assert visitor.cookie(b'xsessionid=1; sessionid="2"; y=3', b"sessionid") == "2"
    assert visitor.cookie(b"xsessionid=1", b"sessionid") == ""
