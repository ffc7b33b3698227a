"""A service with planted faults is judged rightly within 2,000 samples of all its endpoints together: each fault is found and
named, and nothing else is, at no look on the way.

``STRANGLER_SEEDS=500`` tries as many seeds instead of 20; ``STRANGLER_FIRST_SEED`` says where they begin.
"""

from __future__ import annotations

import datetime as dt
import os

import pytest

from strangler.domain.parity.noise import proposals
from strangler.domain.parity.rules import How, Rule, select
from strangler.domain.parity.statistics import Outcomes, findings, parity, parity_of_all
from tests.unit.domain.parity.service import FAULTS, LEDGER, NONDETERMINISTIC, QUOTE, RECEIPT, ParallelRun

FIRST = int(os.environ.get("STRANGLER_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("STRANGLER_SEEDS", "20")))
LOOKS = (100, 200, 300, 400, 500, 500)
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def judged(run: ParallelRun) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What is named after 2,000 samples, and whatever was named at any look on the way."""
    ever: set[tuple[str, str]] = set()
    for samples in LOOKS:
        now = run.sample(samples).named()
        ever |= now
    return now, ever


def allowed(named: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Errors are planted everywhere, so an endpoint that proves them by itself is named rightly too."""
    return {one for one in named if one not in FAULTS and one[1] != "status"}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_planted_fault_is_named_and_nothing_else(seed):
    now, ever = judged(ParallelRun(seed))
    missed = {FAULTS[one] for one in FAULTS if one not in now}
    assert (missed, allowed(ever)) == (set(), set())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_service_without_faults_raises_no_alarm_at_any_look(seed):
    assert judged(ParallelRun(seed, faults=False))[1] == set()


def test_without_the_noise_samples_the_nondeterministic_field_would_be_an_alarm():
    """The look at the noise is what keeps it quiet, not its rate."""
    seen = ParallelRun(1, faults=False).sample(500)
    outcomes = seen.endpoints[QUOTE]
    deaf = Outcomes(outcomes.samples, type(outcomes.noise)({(): outcomes.noise.total()}))
    assert {one.field for one in findings({QUOTE: deaf})} >= {"body $.quote_id", "body $.estimate", "body $.served_by"}
    assert findings({QUOTE: outcomes}) == []


def test_the_nondeterministic_fields_are_proposed_to_be_ignored_and_nothing_else():
    seen = ParallelRun(3).sample(2000)
    proposed = proposals(seen.endpoints, NOW)
    assert {one.rule.endpoint for one in proposed} == {QUOTE}
    assert {"body $.quote_id", "body $.estimate", "body $.served_by"} <= {one.rule.field for one in proposed} <= NONDETERMINISTIC


def test_parity_counts_the_faults_and_leaves_the_noise_out():
    clean = ParallelRun(5, faults=False).sample(2000)
    assert parity(clean.endpoints[RECEIPT]).rate == 1.0
    assert parity_of_all(clean.endpoints).rate > 0.995  # what differs from itself in one of a hundred may not have been seen to
    assert set(parity(clean.endpoints[QUOTE]).noise) <= NONDETERMINISTIC
    faulty = ParallelRun(5).sample(2000)
    assert parity(faulty.endpoints[LEDGER]).rate == 0.0
    assert parity(faulty.endpoints[RECEIPT]).rate > 0.9


def test_a_declared_rule_makes_the_other_spelling_of_a_time_the_same():
    rule = Rule(LEDGER, "body $.entries[*].at", How.TIMESTAMP, "the service writes an offset", "ada")
    run = ParallelRun(7, rules=select([rule], LEDGER, NOW))
    named = run.sample(2000).named()
    assert (LEDGER, "body $.entries[*].at") not in named
    assert len(named & set(FAULTS)) == len(FAULTS) - 1
