"""Service tokens are ordinary JWTs: PyJWT reads ours, we read PyJWT's, and neither takes a forged one."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.tokens import BadToken, issue, verify

SECRET = "a secret of at least thirty-two characters"
NOW = 1_750_000_000.0


def test_pyjwt_reads_ours() -> None:
    token = issue(SECRET, audience="payments", now=NOW, act="42")
    unchecked = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="payments", options=unchecked)
    assert claims["act"] == "42"
    assert claims["exp"] - claims["iat"] == 60


def test_we_read_pyjwts() -> None:
    token = jwt.encode({"aud": "payments", "exp": NOW + 10, "sub": "x"}, SECRET, algorithm="HS256")
    assert verify(SECRET, token, audience="payments", now=NOW)["sub"] == "x"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (issue(SECRET, audience="orders", now=NOW), "not meant for payments"),
        (issue("another secret of thirty-two characters", audience="payments", now=NOW), "wrong signature"),
        (issue(SECRET, audience="payments", now=NOW - 3600), "expired"),
        (jwt.encode({"aud": "payments", "exp": NOW}, "", algorithm="none"), "not an HS256"),
        (jwt.encode({"aud": "payments"}, SECRET, algorithm="HS256"), "expired"),
        ("", "malformed"),
        ("a.b", "malformed"),
    ],
)
def test_a_bad_token_says_why(token: str, reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        verify(SECRET, token, audience="payments", now=NOW)


@given(st.text())
def test_rubbish_is_a_bad_token_and_nothing_else(text: str) -> None:
    with pytest.raises(BadToken):
        verify(SECRET, text, audience="payments", now=NOW)
