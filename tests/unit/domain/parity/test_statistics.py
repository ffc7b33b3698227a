"""What the counts prove, and what they don't."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import confidence
from strangler.domain.parity.statistics import (
    FAMILY,
    FAMILY_OF_ERRORS,
    Z95,
    Outcomes,
    Parity,
    Tally,
    errors,
    findings,
    is_different,
    is_noise,
    needed,
    parity,
    parity_of_all,
    slower,
    tallies,
)


def binomial(count: int, share: float) -> list[float]:
    logs = (
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(share)
        + (count - k) * math.log1p(-share)
        for k in range(count + 1)
    )
    return [math.exp(one) for one in logs]


def size(samples: int, noise_samples: int, share: float, level: float) -> float:
    """The exact chance that a field which differs from itself in ``share`` is taken for a fault."""
    rates, noises = binomial(samples, share), binomial(noise_samples, share)
    tail, chance, least = [0.0] * (samples + 2), 0.0, 0
    for k in range(samples, -1, -1):
        tail[k] = tail[k + 1] + rates[k]
    for seen, weight in enumerate(noises):
        while least <= samples and not Tally(samples, least, noise_samples, seen).above_noise(level):
            least += 1
        chance += weight * tail[least]
    return chance


@pytest.mark.parametrize(("samples", "noise_samples"), [(30, 15), (250, 125), (1000, 500), (400, 100)])
@pytest.mark.parametrize("level", [FAMILY, FAMILY_OF_ERRORS])
def test_noise_is_taken_for_a_fault_no_more_often_than_the_level_says(samples, noise_samples, level):
    worst = max(size(samples, noise_samples, share, level) for share in (0.002, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99))
    assert worst <= 2 * level


def test_little_is_no_proof():
    assert not is_different(Tally(10, 1, 5, 0))
    assert not is_different(Tally(1000, 1000, 0, 0)), "without noise samples nothing is known of the noise"
    assert not is_different(Tally(0, 0, 0, 0))
    assert not is_different(Tally(1000, 5, 500, 0))
    assert is_different(Tally(1000, 300, 500, 0))
    assert is_different(Tally(1000, 990, 500, 300))


@given(st.integers(0, 500), st.integers(0, 250), st.integers(1, 200))
def test_more_fields_judged_together_prove_no_more(differing, noise, among):
    tally = Tally(500, differing, 250, noise)
    assert not is_different(tally, among) or is_different(tally)


@given(st.integers(0, 499), st.integers(1, 250))
def test_more_differences_and_less_noise_prove_no_less(differing, noise):
    if is_different(Tally(500, differing, 250, noise)):
        assert is_different(Tally(500, differing + 1, 250, noise))
        assert is_different(Tally(500, differing, 250, noise - 1))


def test_a_hundred_noisy_fields_raise_no_alarm_together():
    """Over 40 runs with rates from rare to always; without sharing the level each would have a hundred chances."""
    for seed in range(40):
        draw = random.Random(seed)
        seen: dict[str, Outcomes] = {}
        for place in range(100):
            share, samples, noise = draw.random() ** 3, 200, 100
            hits = [sum(draw.random() < share for _ in range(count)) for count in (samples, noise)]
            seen[str(place)] = outcomes(
                {("body $.x",): hits[0], (): samples - hits[0]}, {("body $.x",): hits[1], (): noise - hits[1]}
            )
        assert findings(seen) == [], seed


def outcomes(samples: dict, noise: dict | None = None, old_errors: int = 0, new_errors: int = 0) -> Outcomes:
    return Outcomes(Counter(samples), Counter(noise or {}), old_errors, new_errors)


def test_tallies_come_from_shapes():
    found = tallies(outcomes({(): 90, ("a",): 6, ("a", "b"): 4}, {(): 40, ("b", "c"): 2}))
    assert found == {"a": Tally(100, 10, 42, 0), "b": Tally(100, 4, 42, 2), "c": Tally(100, 0, 42, 2)}


def test_errors_are_proven_together_and_named_where_they_can_be():
    rare = {name: outcomes({(): 250}, new_errors=2) for name in "abcdefgh"}
    assert [(one.endpoint, one.field) for one in findings(rare)] == [("*", "status")]
    one_bad = {name: outcomes({(): 2000}, new_errors=20 * (name == "c")) for name in "abcdefgh"}
    assert [(one.endpoint, one.field) for one in findings(one_bad)] == [("c", "status")]
    both = {**rare, "z": outcomes({(): 500}, new_errors=60)}
    assert {one.endpoint for one in errors(both)} == {"z", "*"}
    alike = {name: outcomes({(): 250}, old_errors=3, new_errors=5) for name in "abcdefgh"}
    assert findings(alike) == []


def test_asked_again_half_as_many_differences_prove_a_fault():
    assert not is_different(Tally(250, 20, 125, 0))
    assert not is_different(Tally(250, 20, 25, 0))
    assert is_different(Tally(250, 20, 25, 0, unsteady=0))
    assert not is_different(Tally(250, 20, 25, 2, unsteady=10))
    assert is_noise(Tally(250, 20, 25, 0, unsteady=18))


@given(st.lists(st.floats(0.05, 1), min_size=1, max_size=4), st.integers(0, 2**32))
def test_noise_is_unsteady_at_least_as_often_as_it_differs(weights, seed):
    """What the second way to a proof rests on, by simulation: three answers drawn alike, whatever the values' weights."""
    draw = random.Random(seed)
    triples = [draw.choices(range(len(weights)), weights, k=3) for _ in range(400)]
    confirmed = sum(old == again != new for old, new, again in triples)
    unsteady = sum(old not in (new, again) for old, new, again in triples)
    assert not Tally(400, confirmed, 400, unsteady).above_noise(1e-7)


def test_what_is_proven_shares_the_level_no_more():
    """Alone it is proven; among 60 that are as strong as can be as well, since those are proven first."""
    weak = Tally(240, 32, 120, 0)
    assert is_different(weak)
    assert not is_different(weak, 60)
    strong = {f"s{place}": outcomes({("a",): 240}, {(): 120}) for place in range(59)}
    found = findings({**strong, "w": outcomes({("a",): 32, (): 208}, {(): 120})})
    assert len(found) == 60


def test_parity_leaves_out_what_noise_explains_and_nothing_else():
    seen = outcomes({(): 900, ("n",): 90, ("n", "f"): 6, ("f",): 4}, {(): 450, ("n",): 50})
    assert parity(seen) == Parity(1000, 10, ("n",))
    assert is_noise(tallies(seen)["n"])
    unproven = outcomes({(): 999, ("f",): 1}, {(): 500})
    assert not findings({"a": unproven})
    assert parity(unproven).differing == 1, "not proven, and a difference all the same"
    beyond = outcomes({(): 400, ("n",): 600}, {(): 450, ("n",): 50})
    assert parity(beyond).differing == 600, "a field that differs from itself hides no fault beyond that"
    both = parity_of_all({"a": seen, "b": unproven})
    assert (both.samples, both.differing, both.noise) == (2000, 11, ("a n",))


def test_nothing_seen_is_no_parity():
    nothing = parity(Outcomes())
    assert (nothing.rate, nothing.interval.low, nothing.interval.high) == (0.0, 0.0, 1.0)
    assert parity_of_all({}) == nothing


def test_samples_needed():
    assert needed(Parity(0, 0), 0.999) == 3838
    assert needed(Parity(3526, 0), 0.999) == 312
    assert needed(Parity(3838, 0), 0.999) == 0
    assert needed(Parity(1204, 16), 0.999) is None
    assert needed(Parity(1000, 1), 0.99) == 0
    assert needed(Parity(500, 0), 1.0) is None


@given(st.integers(0, 3000), st.integers(0, 30), st.sampled_from([0.9, 0.99, 0.999]))
def test_with_the_samples_needed_it_is_proven_and_with_one_less_it_is_not(samples, differing, threshold):
    differing = min(samples, differing)
    more = needed(Parity(samples, differing), threshold)
    if more:
        share = differing / samples if samples else 0.0
        assert 1 - confidence.share(share * (samples + more), samples + more, Z95).high >= threshold
        assert 1 - confidence.share(share * (samples + more - 1), samples + more - 1, Z95).high < threshold


def latencies(draw: random.Random, count: int, factor: float = 1.0) -> list[float]:
    return [factor * draw.lognormvariate(3, 0.5) for _ in range(count)]


def test_a_slow_endpoint_is_found_and_an_equal_one_is_not():
    for seed in range(200):
        draw = random.Random(seed)
        assert not slower(latencies(draw, 250), latencies(draw, 250), 8).slower, seed
        assert slower(latencies(draw, 200), latencies(draw, 200, 1.8), 8).slower, seed


def test_a_slow_tail_is_found_and_a_few_outliers_are_not():
    draw = random.Random(1)
    old, new = latencies(draw, 2000), latencies(draw, 2000)
    assert not slower(old, new[:-20] + [60_000.0] * 20).slower
    assert slower(old, [ms * 4 if draw.random() < 0.1 else ms for ms in new]).slower


def test_few_or_tiny_latencies_are_no_proof():
    assert not slower([], []).slower
    assert not slower([10.0] * 5, [1000.0] * 5).slower
    assert not slower([0.5] * 500, [1.5] * 500).slower
    found = slower([10.0] * 500, [30.0] * 500)
    assert (found.slower, found.median, found.median_interval.low, found.samples) == (True, 3.0, 3.0, 500)
