"""Noise becomes a proposal with its evidence, and has no effect by itself."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from strangler.domain.parity.noise import AUTHOR, LEAST, proposals
from strangler.domain.parity.rules import How, select
from strangler.domain.parity.statistics import Outcomes

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
HERE = "GET /a/"


def proposed(differing: int, noise_differing: int) -> list:
    seen = Outcomes(
        Counter({("n",): differing, (): 1000 - differing}), Counter({("n",): noise_differing, (): 500 - noise_differing})
    )
    return proposals({HERE: seen}, NOW)


def test_a_field_that_differs_from_itself_is_proposed_with_its_evidence():
    (found,) = proposed(600, 300)
    assert (found.rule.endpoint, found.rule.field, found.rule.how, found.rule.author) == (HERE, "n", How.IGNORE, AUTHOR)
    assert (
        found.rule.reason == "the owner asked twice differed from itself in 300 of 500 samples; old and new differ in 600 of 1000"
    )
    assert found.rule.expires is not None
    assert found.evidence.noise_differing == 300


def test_what_the_owner_was_asked_again_is_evidence_too():
    seen = Outcomes(Counter({(): 1000}), Counter({(): 100}), unsteady=Counter({("n",): 40, ("f",): 1}))
    (found,) = proposals({HERE: seen}, NOW)
    assert found.rule.field == "n"
    assert "asked again after a difference, in 40 of 40" in found.rule.reason


def test_a_fault_is_never_proposed_nor_what_was_hardly_seen():
    assert proposed(600, 0) == []
    assert proposed(900, 100) == [], "it differs from itself, but the fault is more than that"
    assert proposed(5, LEAST - 1) == []


def test_a_rule_that_was_accepted_ends_at_its_expiry():
    (found,) = proposed(600, 300)
    assert select([found.rule], HERE, NOW).rules == (found.rule,)
    assert select([found.rule], HERE, found.rule.expires).rules == ()
