"""Overrides: who signed them, how long they hold, and what they are heeded for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import override, tokens
from strangler.domain.decision import Why
from strangler.domain.override import AUDIENCE, LONGEST_S, Override, issue, read
from strangler.domain.stages import Side
from strangler.domain.tokens import BadToken
from tests.unit.domain.test_table import MARKERS, table

SECRET = "a secret of at least thirty-two characters"
NOW = 1_750_000_000.0


def test_what_was_issued_is_read() -> None:
    token = issue(SECRET, "payments", Side.SERVICE, now=NOW, ttl=60)
    assert read(SECRET, token, now=NOW + 59) == Override("payments", Side.SERVICE, NOW + 60)


def signed(**claims: Any) -> str:
    return tokens.issue(SECRET, **({"audience": AUDIENCE, "now": NOW, "context": "payments", "side": "service"} | claims))


@pytest.mark.parametrize(
    "token",
    [
        signed(now=NOW - 61),
        signed(audience="payments"),
        signed(side="none"),
        signed(side="else"),
        signed(side=["service"]),
        signed(side=None),
        signed(context=7),
        signed()[:-1],
        issue("another secret of thirty-two characters", "payments", Side.SERVICE, now=NOW, ttl=60),
        "",
        "a.b.c",
        tokens._encode(b"[" * 5000) + ".x.y",
    ],
)
def test_others_are_bad_tokens(token: str) -> None:
    with pytest.raises(BadToken):
        read(SECRET, token, now=NOW)


def test_without_a_secret_every_token_is_bad() -> None:
    with pytest.raises(BadToken, match="no secret"):
        read("", tokens.issue("", audience=AUDIENCE, now=NOW, context="payments", side="service"), now=NOW)


@given(st.text())
def test_rubbish_is_a_bad_token_and_nothing_else(text: str) -> None:
    with pytest.raises(BadToken):
        read(SECRET, text, now=NOW)


@pytest.mark.parametrize(("side", "ttl"), [(Side.NONE, 60), (Side.SERVICE, 0), (Side.SERVICE, LONGEST_S + 1)])
def test_no_override_that_makes_no_sense_is_issued(side: Side, ttl: float) -> None:
    with pytest.raises(ValueError, match="is not a"):
        issue(SECRET, "payments", side, now=NOW, ttl=ttl)


@pytest.mark.parametrize(
    ("stage", "method", "asked", "side", "why"),
    [
        ("shadow", "GET", "service", "service", Why.TESTER),
        ("shadow", "GET", "monolith", "monolith", Why.TESTER),
        ("canary", "GET", "service", "service", Why.TESTER),
        ("canary", "GET", "monolith", "monolith", Why.TESTER),
        ("monolith", "GET", "service", "monolith", Why.STAGE_READ),
        ("mirror", "GET", "service", "monolith", Why.STAGE_READ),
        ("live", "GET", "monolith", "service", Why.STAGE_READ),
        ("retired", "GET", "monolith", "service", Why.STAGE_READ),
        ("shadow", "POST", "service", "monolith", Why.STAGE_WRITE),
        ("canary", "POST", "service", "monolith", Why.STAGE_WRITE),
    ],
)
def test_it_is_heeded_for_reads_in_shadow_and_canary_alone(stage: str, method: str, asked: str, side: str, why: Why) -> None:
    compiled = table(stage=stage, percent=50 if stage == "canary" else 0)
    decision = compiled.decide(method, "/api/payments/7", "42", asked=Side(asked))
    assert (decision.side, decision.why) == (side, why)


def test_a_get_that_writes_goes_to_the_owner() -> None:
    assert table().decide("GET", "/pay/confirm", asked=Side.SERVICE).side is Side.MONOLITH


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_a_tester_reads_their_own_writes(stage: str) -> None:
    compiled = table(stage=stage, percent=10 if stage == "canary" else 0)
    position = {"monolith": (0, 100)}
    stale = compiled.decide("GET", "/api/payments/", "42", position, {}, asked=Side.SERVICE)
    assert (stale.side, stale.why) == (Side.MONOLITH, Why.TESTER_NOT_FRESH)
    assert "has not arrived there yet" in stale.reason
    assert compiled.decide("GET", "/api/payments/", "42", position, MARKERS, asked=Side.SERVICE).side is Side.SERVICE


def test_it_is_about_one_context() -> None:
    compiled = table()
    asked = Override("payments", Side.SERVICE, NOW)
    assert asked.side_for(compiled.meet("GET", "/api/payments/")) is Side.SERVICE
    assert asked.side_for(compiled.meet("GET", "/api/orders/")) is None
    assert asked.side_for(compiled.meet("GET", "/elsewhere")) is None


def test_the_reason_names_the_side() -> None:
    decision = table().decide("GET", "/api/payments/", asked=Side.SERVICE)
    assert decision.reason == "a signed override of a tester asked for the service"
    assert override.heeded(decision.met)
