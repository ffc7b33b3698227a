"""``--max-pause``: a side, a lock or a stream that hangs while writes are parked is given up in time, undone, and named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from strangler.control import engine, faultpoints
from strangler.control.models import Receipt
from strangler.errors import Misuse
from strangler.management import cli
from strangler.sync import ownership
from strangler.sync.lock import lock_key
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.test_engine import WHO, assert_settled, stage

BOUND_MS = 1000.0  # a call to a service may take 5 s otherwise, one for digests 60 s
PATIENT_MS = 4 * BOUND_MS  # what a busy machine adds is no hang


@pytest.fixture
def hang(canary: SmallEstate) -> Iterator[threading.Event]:
    """Set it to let go whatever hangs."""
    event = threading.Event()
    yield event
    event.set()


def hang_at(estate: SmallEstate, event: threading.Event, method: str, path: str) -> None:
    def before(*asked: str) -> None:
        if asked == (method, path):
            event.wait(30)

    estate.service.before = before


def refused(capsys: pytest.CaptureFixture, *words: str) -> Receipt:
    code = cli.run([*words, "--max-pause", f"{BOUND_MS:g}ms", "--tries", "1", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 1, said
    receipt = Receipt.objects.latest("id")
    assert receipt.outcome == "undone"
    assert receipt.pause_ms < PATIENT_MS
    return receipt


def test_step_offer_to_a_service_that_hangs_is_undone_and_named(canary: SmallEstate, hang, capsys) -> None:
    hang_at(canary, hang, "PUT", "/_strangler/ownership")
    receipt = refused(capsys, "advance", "payments")
    assert "the slow step was offer" in receipt.error
    assert f"of the {BOUND_MS:g} ms that max_pause_ms allows" in receipt.error
    assert ownership.get("payments").owner == "monolith"
    assert stage() == "canary 100"


def test_step_drain_whose_comparison_hangs_is_undone_and_named(canary: SmallEstate, hang, monkeypatch, capsys) -> None:
    def reach(step: str) -> None:
        if step == "drain":
            hang_at(canary, hang, "GET", "/_strangler/digest")

    monkeypatch.setattr(faultpoints, "reach", reach)
    assert "the slow step was drain" in refused(capsys, "advance", "payments").error
    assert_settled(canary, "monolith")


@pytest.mark.parametrize("step", ["fence", "commit"])
def test_step_whose_lock_is_not_to_be_had_is_undone_and_names_who_has_it(
    canary: SmallEstate,
    monkeypatch,
    capsys,
    step: str,
) -> None:
    writer = connection.copy()

    def reach(reached: str) -> None:
        if reached == step:
            with writer.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_key("payments")])
        elif reached.startswith("undo"):
            writer.close()

    monkeypatch.setattr(faultpoints, "reach", reach)
    try:
        receipt = refused(capsys, "advance", "payments")
    finally:
        writer.close()
    assert "ownership lock is held by backend" in receipt.error
    assert_settled(canary, "monolith")


def test_step_hold_that_a_proxy_does_not_acknowledge_is_undone_and_named(canary: SmallEstate, capsys) -> None:
    canary.proxy.busy = True
    receipt = refused(capsys, "advance", "payments")
    assert "the slow step was hold" in receipt.error
    assert "proxy:1" in receipt.error


def test_step_fence_of_a_service_that_hangs_is_given_up_in_time(live: SmallEstate, hang, monkeypatch, capsys) -> None:
    """Whether it heard the fence is not known, so it is told at a higher epoch that it owns; then writes go on."""

    def reach(step: str) -> None:
        if step == "fence":
            hang_at(live, hang, "PUT", "/_strangler/ownership")
        elif step == "undo-owner":
            live.service.before = lambda *_: None

    monkeypatch.setattr(faultpoints, "reach", reach)
    assert "the slow step was fence" in refused(capsys, "rollback", "payments").error
    hang.set()
    assert_settled(live, "service")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["advance", "payments", "--max-pause", "soon"], "--max-pause soon: 'soon' is not a duration such as 500ms, 10s or 5m"),
        (["advance", "payments", "--max-pause", "0ms"], "--max-pause 0ms: it is a time from 1ms to 60s"),
        (["advance", "payments", "--max-pause", "2m"], "--max-pause 2m: it is a time from 1ms to 60s"),
        (["advance", "payments", "--max-pause", "1s"], "payments: monolith → mirror changes no owner and parks no write"),
        (["advance", "payments", "--rehearse"], "payments: monolith → mirror changes no owner and parks no write"),
    ],
)
def test_a_pause_that_makes_no_sense_ends_with_2(estate: SmallEstate, words: list[str], sentence: str, capsys) -> None:
    assert cli.run(words) == 2
    assert capsys.readouterr().err.startswith(f"strangler: {sentence}")


def test_a_longer_pause_than_declared_is_one_for_this_time(canary: SmallEstate) -> None:
    receipts = engine.travel("advance", "payments", **WHO, max_pause_ms=9000.0)
    assert [receipt.outcome for receipt in receipts] == ["done"]
    hold = next(table["contexts"]["payments"]["hold"] for table in canary.proxy.tables if table["contexts"]["payments"]["hold"])
    assert hold["for_ms"] == 2 * 9000 + 2000
    with pytest.raises(Misuse, match="parks no write"):
        engine.travel("advance", "payments", **WHO, rehearse=True)
