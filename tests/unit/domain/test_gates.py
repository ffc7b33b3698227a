"""Each gate judges what was observed; what is not known is never green."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import gates
from strangler.domain.gates import DriftSeen, State, StreamSeen

LIVE = StreamSeen("payments", live=True, marker=7, backfilled=True)


def with_(**changes: object) -> StreamSeen:
    return StreamSeen(**{**LIVE.__dict__, **changes})


@pytest.mark.parametrize(
    ("seen", "state", "word"),
    [
        (with_(lag_ms=12.0), State.PASS, "12 ms behind"),
        (with_(lag_ms=900.0), State.FAIL, "900 ms behind"),
        (with_(lag_ms=1.0, depth=3, oldest_ms=4000.0), State.FAIL, "4000 ms behind with 3"),
        (with_(lag_ms=1.0, depth=0, oldest_ms=4000.0), State.PASS, "1 ms behind"),
        (with_(marker=0), State.UNKNOWN, "is a worker running"),
        (with_(live=False, last_error="refused"), State.FAIL, "it says: refused"),
    ],
)
def test_lag_judges_the_older_of_last_round_and_waiting_pointer(seen: StreamSeen, state: State, word: str) -> None:
    verdict = gates.lag(seen, threshold_ms=500)
    assert verdict.state is state
    assert word in verdict.reason


@given(lag=st.floats(0, 1e6), threshold=st.floats(1, 1e6))
def test_lag_passes_exactly_up_to_its_threshold(lag: float, threshold: float) -> None:
    assert gates.lag(with_(lag_ms=lag), threshold_ms=threshold).passes == (lag <= threshold)


def test_backfill_that_never_began_is_unknown() -> None:
    assert gates.backfill([]).state is State.UNKNOWN
    assert gates.backfill([with_(backfilled=None)]).state is State.UNKNOWN
    assert gates.backfill([LIVE, with_(backfilled=False)]).state is State.FAIL
    assert gates.backfill([LIVE]).state is State.PASS


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (DriftSeen("payments", None, None), State.UNKNOWN),
        (DriftSeen("payments", 0, 10), State.PASS),
        (DriftSeen("payments", 2, 10), State.FAIL),
        (DriftSeen("payments", 0, 301), State.UNKNOWN),
    ],
)
def test_drift_needs_a_clean_and_recent_check(check: DriftSeen, state: State) -> None:
    assert gates.drift("payments", [check], max_age_s=300).state is state


def test_drift_without_any_check_is_unknown() -> None:
    assert gates.drift("payments", [], max_age_s=300).state is State.UNKNOWN


def test_copies_pass_where_none_are_declared_and_wait_for_their_backfill() -> None:
    assert gates.copies(None, threshold_ms=500).passes
    assert gates.copies(with_(backfilled=False), threshold_ms=500).state is State.FAIL


def test_quarantine_must_be_empty() -> None:
    assert gates.quarantine([LIVE]).passes
    assert gates.quarantine([LIVE, with_(quarantined=2)]).observed == "2"


@pytest.mark.parametrize(
    ("seen", "check", "state", "said"),
    [
        (with_(lag_ms=12.0), DriftSeen("payments", 0, 40), State.PASS, "follow the service's"),
        (with_(lag_ms=12.0), DriftSeen("payments", None, None), State.PASS, "follow the service's"),
        (with_(marker=0), DriftSeen("payments", 0, 40), State.UNKNOWN, "published no marker"),
        (with_(live=False), DriftSeen("payments", 0, 40), State.FAIL, "is not running"),
        (with_(lag_ms=900.0), DriftSeen("payments", 0, 40), State.FAIL, "900 ms behind"),
        (with_(quarantined=2), DriftSeen("payments", 0, 40), State.FAIL, "2 rows could not be applied"),
        (with_(marker=0, quarantined=2), DriftSeen("payments", 0, 40), State.FAIL, "2 rows could not be applied"),
        (with_(), DriftSeen("payments", 3, 40), State.FAIL, "3 rows differ"),
    ],
)
def test_the_reverse_mirror_is_as_good_as_the_worst_of_lag_quarantine_and_drift(seen, check, state, said) -> None:
    verdict = gates.reverse_mirror("payments", seen, check, threshold_ms=500)
    assert (verdict.gate, verdict.state) == ("reverse mirror", state)
    assert said in verdict.reason


def test_an_override_leaves_the_state_and_says_who_and_why() -> None:
    seen = [gates.quarantine([LIVE]), gates.health(False, "gone"), gates.proxies([], {})]
    passed, health, proxies = gates.overridden(seen, ["quarantine", "health"], by="ada", why="it comes back")
    assert passed.overridden is None, "what passes needs no override"
    assert (health.state, health.passes, health.holds) == (State.FAIL, False, False)
    assert health.to_json()["overridden"] == {"by": "ada", "why": "it comes back"}
    assert "overridden" not in proxies.to_json()
    assert gates.closed([passed, health, proxies]) == [proxies]


def test_p22_health_of_an_owner_that_must_acknowledge_says_what_can_be_done() -> None:
    assert gates.health(True, "").passes
    assert "dead service can't be fenced" in gates.health(False, "no answer", gives_back="payments").reason
    assert "fenced" not in gates.health(False, "no answer").reason


def test_proxies_none_alive_is_unknown_unless_none_is_needed() -> None:
    assert gates.proxies([], {}).state is State.UNKNOWN
    assert gates.proxies([], {}, needed=False).passes
    assert gates.proxies(["a", "b"], {"b": "1.4"}).state is State.FAIL
    assert gates.proxies(["a"], {}).passes


def test_p25_loose_keys_fail_on_a_tight_key_and_on_an_orphan() -> None:
    assert gates.loose_keys([], {"payment.order": 0}).passes
    assert "payment.order" in gates.loose_keys(["payment.order"], {}).reason
    assert gates.loose_keys([], {"payment.order": 3}).observed == "0 tight, 3 orphans"


def test_transactions_older_than_the_pause_would_make_the_fence_wait() -> None:
    assert gates.transactions(None, threshold_ms=500).passes
    assert gates.transactions(20, threshold_ms=500).passes
    assert gates.transactions(700, threshold_ms=500).state is State.FAIL


@pytest.mark.parametrize(
    ("monolith", "service", "state"),
    [
        ((4, "monolith"), (4, "monolith"), State.PASS),
        ((4, "monolith"), (3, "monolith"), State.FAIL),
        ((4, "service"), (4, "service"), State.FAIL),
        ((4, "none"), (4, "none"), State.FAIL),
        ((4, "monolith"), None, State.UNKNOWN),
    ],
)
def test_ownership_wants_both_sides_to_name_the_expected_owner(monolith, service, state) -> None:
    assert gates.ownership(monolith, service, expected="monolith").state is state


def test_closed_are_all_that_do_not_pass() -> None:
    verdicts = [gates.quarantine([LIVE]), gates.proxies([], {}), gates.health(False, "x")]
    assert [verdict.gate for verdict in gates.closed(verdicts)] == ["proxies", "health"]


@pytest.mark.parametrize(
    ("undeclared", "unheard", "unconnected", "said"),
    [
        (
            ["shell.receivers.audit"],
            [],
            [],
            'no disposition (service, monolith or drop) below receivers: "shell.receivers.audit"',
        ),
        ([], ["shop.hear (pre_save)"], [], "no row can stand for the signal of shop.hear (pre_save)"),
        ([], [], ["shop.typo"], "connected to no signal: shop.typo"),
    ],
)
def test_p26_receivers_say_what_to_declare(undeclared: list[str], unheard: list[str], unconnected: list[str], said: str) -> None:
    verdict = gates.receivers(undeclared, unheard, unconnected)
    assert verdict.state is State.FAIL
    assert said in verdict.reason
    assert gates.receivers([], [], []).passes
