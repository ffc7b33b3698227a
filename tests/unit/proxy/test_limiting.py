"""Who a limited request is counted for, and how a refusal looks."""

from __future__ import annotations

import pytest

from strangler.domain.ratelimit import Limit
from strangler_proxy import problems
from strangler_proxy.limiting import refusal, who
from strangler_proxy.request import Fields, Line, Request


def request(address: str = "192.0.2.7", **fields: str) -> Request:
    lines = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": "a"} | fields).items())
    made = Request(Line(b"GET / HTTP/1.1"), Fields(b"\r\n" + lines.encode()))
    made.address = address
    return made


def test_a_user_is_the_credential_hashed_else_the_address() -> None:
    token, session = who(request(Authorization="Bearer secret"), "user"), who(request(Cookie="a=b; sessionid=secret"), "user")
    assert token.startswith("user:")
    assert session.startswith("user:")
    assert token != session
    assert "secret" not in token + session
    assert who(request(Cookie="shop=secret"), "user", b"shop") == session
    assert who(request(Cookie="strangler_id=" + "0" * 32), "user") == "address:192.0.2.7"
    assert who(request(Authorization="Bearer secret"), "address") == "address:192.0.2.7"


def test_nobody_uses_up_the_limit_of_another_by_naming_them() -> None:
    """``sub`` of an unverified token says 42 in both."""
    real, made_up = ("e30.eyJzdWIiOiI0MiJ9.real", "e30.eyJzdWIiOiI0MiJ9.forged")
    assert who(request(Authorization=f"Bearer {real}"), "user") != who(request(Authorization=f"Bearer {made_up}"), "user")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("not:an:address", "not:another", False),
        ("", "192.0.2.7", False),
    ],
)
def test_an_ipv6_client_is_its_network(one: str, other: str, same: bool) -> None:
    assert (who(request(one), "address") == who(request(other), "address")) is same


def test_a_refusal_says_when_to_come_again() -> None:
    answer = problems.answer(refusal(Limit(100, 60, 20, "address"), 2.1), close=False).decode()
    assert answer.startswith("HTTP/1.1 429 Too Many Requests\r\n")
    assert "\r\nRetry-After: 3\r\n" in answer
    assert '\r\nRateLimit-Policy: "address";q=100;w=60\r\nRateLimit: "address";r=0;t=3\r\n' in answer
    assert '"type": "urn:strangler:rate-limited"' in answer
    assert "\r\nRetry-After: 1\r\n" in problems.answer(refusal(Limit(9, 1, 9), 0.01), close=False).decode()
