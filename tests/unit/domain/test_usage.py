"""Judging the record of who uses a context (P27), and what it is worth."""

from __future__ import annotations

import pytest

from strangler.domain import gates, plan
from strangler.domain.gates import State
from strangler.domain.stages import Position, Stage
from strangler.domain.usage import GAP_S, Recording, Span, Use, foreign_writers

DAY = 86_400.0
WHOLE = Recording((Span("web", 30 * DAY, 0), Span("worker", 30 * DAY, 10)))


def use(access: str = "write", source: str = "POST /api/orders/", kind: str = "request", **given: object) -> Use:
    usual = {"through": False, "own": False, "count": 3, "age_s": 60.0, "table": "payments_payment"}
    return Use(access=access, source=source, kind=kind, **{**usual, **given})  # type: ignore[arg-type]


def test_p27_the_cut_over_asks_for_writers_and_retiring_for_any_use() -> None:
    assert "writers" in plan.gates_of(Position.of(Stage.CANARY, 100), Position.of(Stage.LIVE))
    assert "unused" in plan.gates_of(Position.of(Stage.LIVE), Position.of(Stage.RETIRED))


def test_p27_a_foreign_writer_is_named_with_source_table_count_and_remedy() -> None:
    verdict = gates.writers("payments", [use()], WHOLE, days=7)
    assert verdict.state is State.FAIL
    assert verdict.reason == (
        "written from outside by request POST /api/orders/: write payments_payment, 3 times, last 1 min ago; "
        "claim it there (seams.claim), or declare its path: contexts.payments.also_written_by"
    )


def test_p27_a_writer_that_was_seen_is_one_however_short_the_record() -> None:
    assert gates.writers("payments", [use()], Recording(()), days=7).state is State.FAIL


def test_p27_no_writer_in_a_whole_record_passes() -> None:
    verdict = gates.writers("payments", [], WHOLE, days=7)
    assert (verdict.state, verdict.threshold) == (State.PASS, "0 in 7 days")


def test_p27_without_a_record_it_is_not_known() -> None:
    verdict = gates.writers("payments", [], Recording(()), days=7)
    assert verdict.state is State.UNKNOWN
    assert verdict.reason.startswith("no web process records now; is one running, STRANGLER_USAGE not off")


def test_p27_a_record_that_began_later_says_since_when_and_what_it_needs() -> None:
    recording = Recording((Span("web", 7200, 0), Span("worker", 30 * DAY, 0)))
    verdict = gates.writers("payments", [], recording, days=7)
    assert (verdict.state, verdict.observed) == (State.UNKNOWN, "0 in 2 h")
    assert verdict.reason == "recording of web processes since 2 h, needs 7 d"


def test_p27_what_could_not_be_read_is_not_known() -> None:
    verdict = gates.writers("payments", [use("unclear")], WHOLE, days=7)
    assert verdict.state is State.UNKNOWN
    assert "these may write, and could not be read" in verdict.reason


def test_p27_a_loss_ends_the_time_that_is_known() -> None:
    recording = Recording((*WHOLE.spans, Span("", 3 * DAY, 3 * DAY, lost=12)))
    assert recording.complete_s == 3 * DAY
    verdict = gates.writers("payments", [], recording, days=7)
    assert (verdict.state, verdict.observed) == (State.UNKNOWN, "0 in 3 d")
    assert gates.writers("payments", [], recording, days=2).state is State.PASS


def test_p27_zero_days_is_said_to_be_no_question() -> None:
    verdict = gates.writers("payments", [], Recording(()), days=0)
    assert (verdict.state, verdict.observed) == (State.PASS, "not asked")


def test_p27_both_roles_must_have_recorded() -> None:
    for missing in ("web", "worker"):
        recording = Recording(tuple(span for span in WHOLE.spans if span.role != missing))
        verdict = gates.writers("payments", [], recording, days=7)
        assert verdict.state is State.UNKNOWN
        assert missing in verdict.reason


@pytest.mark.parametrize(
    ("spans", "covered"),
    [
        ([], None),
        ([Span("web", 100, 0)], 100),
        ([Span("web", 100, 0), Span("web", 500, 50)], 500),
        ([Span("web", 500, 50), Span("web", 100, 0)], 500),
        ([Span("web", 5000, 1000), Span("web", 900, 0)], 5000),  # a gap of 100 s: a deploy
        ([Span("web", 9 * GAP_S, 3 * GAP_S), Span("web", GAP_S, 0)], GAP_S),
        ([Span("web", 9 * GAP_S, 2 * GAP_S)], None),  # nobody records any more
        ([Span("web", 5000, 0), Span("web", 400, 300)], 5000),  # one within another
        ([Span("worker", 5000, 0)], None),
    ],
)
def test_a_record_reaches_back_to_its_last_gap(spans: list[Span], covered: float | None) -> None:
    assert Recording(tuple(spans)).covers_s("web") == covered


@pytest.mark.parametrize(
    ("source", "declared", "is_foreign"),
    [
        ("POST /api/orders/checkout/", "/api/orders/checkout", False),
        ("POST /api/orders/checkout/again/", "/api/orders/checkout", False),
        ("POST /api/orders/checkouts/", "/api/orders/checkout", True),
        ("POST /api/orders/", "/api/orders/checkout", True),
        ("POST /api/orders/<int:id>/pay/", "/api/orders/{id}/pay", False),
        ("POST /api/<str:what>/checkout/", "/api/orders/checkout", True),  # it may be that one, and any other
        ("POST /<path:page>", "/checkout", True),
    ],
)
def test_p27_a_declared_path_covers_the_requests_below_it(source: str, declared: str, is_foreign: bool) -> None:
    assert bool(foreign_writers([use(source=source)], [declared])) is is_foreign


def test_p27_own_code_readers_and_the_seam_are_no_foreign_writers() -> None:
    others = [use(own=True), use("read"), use("hit"), use(through=True)]
    assert foreign_writers(others, []) == []
    assert (
        len(foreign_writers([use(), use("unclear"), use(kind="task", source="orders.settle"), *others], ["/orders.settle"])) == 3
    )


def test_retiring_fails_on_any_use_and_with_a_kept_copy_not_on_reads() -> None:
    for access in ("hit", "read", "write", "unclear"):
        assert gates.unused("payments", [use(access, own=True)], WHOLE, days=14).state is State.FAIL
    kept = gates.unused("payments", [use("read")], WHOLE, days=14, keep_copy=True)
    assert (kept.state, kept.threshold) == (State.PASS, "0 uses in 14 days, reads excepted")
    assert gates.unused("payments", [use("read"), use("write")], WHOLE, days=14, keep_copy=True).state is State.FAIL
    assert "--keep-copy" in gates.unused("payments", [use("read")], WHOLE, days=14).reason
    assert "--keep-copy" not in gates.unused("payments", [use("hit")], WHOLE, days=14).reason


def test_retiring_needs_a_whole_record() -> None:
    assert gates.unused("payments", [], WHOLE, days=14).state is State.PASS
    assert gates.unused("payments", [], WHOLE, days=31).state is State.UNKNOWN


def test_many_users_are_cut_short_with_the_command_that_shows_all() -> None:
    verdict = gates.writers("payments", [use(source=f"POST /{number}/") for number in range(9)], WHOLE, days=7)
    assert verdict.observed == "9 writers"
    assert "and 6 more (strangler usage payments)" in verdict.reason
