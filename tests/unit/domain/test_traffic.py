"""Parity, errors and latency: sure of the good, sure of the bad, and honest about the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import traffic
from strangler.domain.gates import ServedSeen, State, Verdict
from strangler.domain.parity.seen import ParitySeen

ORDER = [State.PASS, State.UNKNOWN, State.FAIL]
BOUNDS = (0.01, 0.05, 0.1, 0.5)
ENDPOINT, FIELD = "GET /api/payments/<id>/", "captured_at"
WORST = f"`{ENDPOINT}` field `{FIELD}`"
leasts = st.sampled_from([0, 50, 200, 500])
sizes = st.integers(1, 3000)


def served(requests: int, failed: int = 0, times: tuple[int, ...] | None = None, per_s: float = 2.0) -> ServedSeen:
    return ServedSeen(requests, failed, times or (requests, 0, 0, 0, 0), BOUNDS, per_s)


def parity(samples: int, different: int, *, least: int = 500, per_s: float = 1.3, share: float = 0.1, worst: str = "") -> Verdict:
    at = {"worst_endpoint": ENDPOINT, "worst_field": FIELD} if worst else {}
    seen = ParitySeen("payments", samples, different, samples_per_s=per_s, **at)
    return traffic.parity("payments", seen, threshold=0.999, least=least, share=share, window_s=86_400)


def errors(service: ServedSeen, monolith: ServedSeen, *, least: int = 200) -> Verdict:
    return traffic.errors("payments", service, monolith, allowed=0.005, least=least)


def latency(service: ServedSeen, monolith: ServedSeen, *, least: int = 200) -> Verdict:
    return traffic.latency("payments", service, monolith, ratio=1.5, slack_ms=50, least=least)


# ---- parity --------------------------------------------------------------------------------------------------------


def test_parity_fails_in_the_words_of_the_issue() -> None:
    verdict = parity(1204, 16, worst=WORST)
    assert verdict.state is State.FAIL
    assert verdict.reason == f"98.7 % < 99.9 % over 1,204 samples, worst {WORST}"


def test_parity_passes_from_its_least_number_on() -> None:
    assert parity(499, 0).state is State.UNKNOWN
    assert parity(500, 0).state is State.PASS
    assert parity(2000, 1).state is State.PASS


def test_parity_says_how_many_samples_it_needs_and_when_they_are_there() -> None:
    assert parity(188, 0).reason == "needs 312 more samples; at this rate 4 min"


def test_parity_says_when_the_samples_will_never_be_there_and_what_to_do() -> None:
    assert parity(3, 0, per_s=1e-4).reason == (
        "needs 497 more samples, but at this rate only 9 come in 24 h: wait for more traffic, or set min_samples or"
        " parity_window below contexts.payments.gates"
    )


def test_parity_without_samples_asks_the_right_question() -> None:
    assert "is there traffic" in parity(0, 0).reason
    assert "contexts.payments.shadow.share" in parity(0, 0, share=0).reason
    assert parity(0, 0).state is State.UNKNOWN


def test_where_no_least_number_is_declared_nothing_passes_and_says_so() -> None:
    verdict = parity(0, 0, least=0)
    assert verdict.state is State.PASS
    assert "strangler.toml asks for no least number" in verdict.reason
    assert parity(3, 1, least=0).state is State.UNKNOWN, "what was seen is judged all the same"
    assert parity(40, 30, least=0).state is State.FAIL


def test_at_100_percent_there_is_nothing_left_to_sample_and_the_step_to_it_stands() -> None:
    def late(samples: int, differing: int, least: int = 500) -> Verdict:
        seen = ParitySeen("payments", samples, differing)
        return traffic.parity("payments", seen, threshold=0.999, least=least, share=0.1, window_s=86_400, over=True)

    assert late(0, 0).state is State.PASS
    assert late(0, 0, least=0).state is State.PASS
    assert "no more to come at 100 %" in late(12, 0).reason
    assert late(1204, 16).state is State.FAIL, "what is known counts all the same"
    assert late(40, 20).state is State.FAIL


def test_a_few_differences_are_no_proof_and_a_ruin_is_one_at_once() -> None:
    assert parity(40, 3).state is State.UNKNOWN
    assert parity(40, 20).state is State.FAIL
    assert parity(600, 1).state is State.UNKNOWN
    assert "too few to be sure; needs 400 more samples without a difference; at this rate 5 min" in parity(600, 1).reason


@given(sizes, st.data(), leasts)
def test_more_differences_never_make_parity_better(samples: int, data: st.DataObject, least: int) -> None:
    fewer = data.draw(st.integers(0, samples))
    more = data.draw(st.integers(fewer, samples))
    states = [ORDER.index(parity(samples, different, least=least).state) for different in (fewer, more)]
    assert states == sorted(states)


# ---- errors --------------------------------------------------------------------------------------------------------


def test_three_errors_in_forty_requests_are_unknown() -> None:
    assert errors(served(40, 3), served(400)).state is State.UNKNOWN
    assert errors(served(40, 3), served(0)).state is State.UNKNOWN
    assert errors(served(40, 3), served(400), least=0).state is State.UNKNOWN
    assert errors(served(40, 3), served(400)).reason == "needs 160 more reads by the service; at this rate 80 s"


def test_errors_fail_when_they_are_surely_more_than_the_monoliths() -> None:
    verdict = errors(served(1000, 30), served(1000, 2))
    assert verdict.state is State.FAIL
    assert verdict.reason == "3 % of the service's 1,000 reads failed, 0.2 % of the monolith's 1,000"


def test_errors_that_both_sides_have_are_not_the_services_fault() -> None:
    assert errors(served(1000, 30), served(1000, 30)).state is State.PASS
    assert errors(served(1000, 30), served(1000, 27)).state is State.PASS


def test_a_service_that_fails_half_of_its_reads_fails_at_once() -> None:
    assert errors(served(20, 10), served(0)).state is State.FAIL


def test_errors_between_sure_and_allowed_say_how_many_more_it_takes() -> None:
    verdict = errors(served(300, 4), served(300))
    assert verdict.state is State.UNKNOWN
    assert "too few to be sure; needs 500 more reads without a failure; at this rate 4 min" in verdict.reason


def test_errors_pass_where_enough_reads_went_well() -> None:
    assert errors(served(200), served(200)).state is State.PASS
    assert errors(served(200), served(0)).reason.endswith("of the monolith's nothing is known")


def test_a_service_that_serves_nothing_is_unknown_unless_that_is_declared() -> None:
    assert errors(served(0), served(400)).state is State.UNKNOWN
    assert errors(served(0), served(400), least=0).state is State.PASS


@given(sizes, st.integers(0, 3000), st.data(), leasts)
def test_more_errors_never_make_the_verdict_better(requests: int, base: int, data: st.DataObject, least: int) -> None:
    fewer = data.draw(st.integers(0, requests))
    more = data.draw(st.integers(fewer, requests))
    monolith = served(base, data.draw(st.integers(0, base)))
    states = [ORDER.index(errors(served(requests, failed), monolith, least=least).state) for failed in (fewer, more)]
    assert states == sorted(states)


@given(sizes, st.integers(0, 3000), st.data(), leasts)
def test_a_monolith_with_more_errors_never_makes_the_service_worse(
    requests: int, base: int, data: st.DataObject, least: int
) -> None:
    service = served(requests, data.draw(st.integers(0, requests)))
    fewer = data.draw(st.integers(0, base))
    more = data.draw(st.integers(fewer, base))
    states = [ORDER.index(errors(service, served(base, failed), least=least).state) for failed in (fewer, more)]
    assert states == sorted(states, reverse=True)


# ---- latency -------------------------------------------------------------------------------------------------------

QUICK, SLOW = (300, 0, 0, 0, 0), (0, 0, 0, 300, 0)


def test_latency_passes_within_ratio_or_slack() -> None:
    assert latency(served(300, times=QUICK), served(300, times=QUICK)).state is State.PASS
    assert latency(served(300, times=(0, 300, 0, 0, 0)), served(300, times=QUICK)).state is State.PASS


def test_latency_fails_when_it_is_surely_worse() -> None:
    verdict = latency(served(300, times=SLOW), served(300, times=QUICK))
    assert verdict.state is State.FAIL
    assert verdict.reason == "95 of 100 reads take up to 480 ms by the service, 10 ms by the monolith"


def test_latency_that_only_looks_worse_is_unknown() -> None:
    few = (279, 0, 0, 21, 0)
    verdict = latency(served(300, times=few), served(300, times=QUICK))
    assert verdict.state is State.UNKNOWN
    assert "too few to be sure" in verdict.reason


@pytest.mark.parametrize(
    ("service", "monolith", "said"),
    [
        (served(0), served(300), "the service served no reads of payments in the last 10 min: is there traffic?"),
        (served(80), served(300), "needs 120 more reads by the service; at this rate 60 s"),
        (served(300), served(0), "--override latency"),
        (served(300), served(80), "needs 120 more reads by the monolith; at this rate 60 s"),
    ],
)
def test_latency_says_which_side_it_knows_too_little_of(service: ServedSeen, monolith: ServedSeen, said: str) -> None:
    verdict = latency(service, monolith)
    assert verdict.state is State.UNKNOWN
    assert said in verdict.reason


def test_latency_says_that_the_monoliths_reads_are_of_earlier() -> None:
    assert "in its 300 earlier ones" in latency(served(300), replace(served(300), earlier=True)).reason


def test_a_handful_of_slow_reads_condemns_nobody() -> None:
    verdict = latency(served(9, times=(0, 0, 0, 9, 0)), served(9), least=0)
    assert verdict.state is State.PASS
    assert "fewer than 100 show no more" in verdict.reason


@given(st.integers(0, 400), st.integers(0, 400), leasts)
def test_slower_answers_never_make_latency_better(fewer: int, more: int, least: int) -> None:
    fewer, more = sorted((fewer, more))
    verdicts = [latency(served(400, times=(400 - slow, 0, 0, slow, 0)), served(400), least=least) for slow in (fewer, more)]
    states = [ORDER.index(verdict.state) for verdict in verdicts]
    assert states == sorted(states)


counted = st.integers(0, 2000).flatmap(lambda of: st.tuples(st.just(of), st.integers(0, of)))


@given(counted, counted, leasts, st.sampled_from([0.0, 0.5, 0.999, 1.0]), st.booleans(), st.sampled_from([0.0, 1e-4, 3.0]))
def test_every_count_is_judged_in_a_sentence(one, other, least: int, threshold: float, over: bool, per_s: float) -> None:
    service, monolith = served(*one, per_s=per_s), served(*other, per_s=per_s)
    seen = ParitySeen("payments", *one, samples_per_s=per_s)
    for verdict in (
        traffic.parity("p", seen, threshold=threshold, least=least, share=1 - threshold, window_s=600, over=over),
        traffic.errors("p", service, monolith, allowed=1 - threshold, least=least),
        traffic.latency("p", service, monolith, ratio=1, slack_ms=0, least=least),
    ):
        assert len(verdict.reason.split()) > 4


# ---- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.98671, "98.7 %"), (0.999, "99.9 %"), (1.0, "100 %"), (0.99996, "99.996 %"), (0.0, "0 %"), (0.02, "2 %")],
)
def test_percent_never_rounds_to_all_or_to_nothing(share: float, text: str) -> None:
    assert traffic.percent(share) == text
