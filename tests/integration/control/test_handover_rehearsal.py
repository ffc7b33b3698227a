"""``--rehearse``: a hand-over up to its fence, undone whatever happens, with the pause that it would have cost."""

from __future__ import annotations

import json
import re

import pytest

from strangler.control import engine, faultpoints, publish
from strangler.control.errors import GatesClosed, Undone
from strangler.control.models import Receipt
from strangler.management import cli
from strangler.sync import ownership, streams
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.test_engine import WHO, Killed, assert_settled, expire, kill_at, stage

STEPS = ("gates", "pause", "hold", "drain", "release")


def rehearse(verb: str = "advance", **more) -> Receipt:
    (receipt,) = engine.travel(verb, "payments", **{**WHO, "tries": 5}, rehearse=True, **more)
    return receipt


@pytest.mark.parametrize(("verb", "owner"), [("advance", "monolith"), ("rollback", "service")])
def test_a_rehearsal_measures_each_step_and_changes_no_owner(canary: SmallEstate, verb: str, owner: str) -> None:
    if verb == "rollback":
        engine.advance("payments", **WHO)
    before, at, said = ownership.get("payments"), stage(), dict(canary.service.row)
    tables = len(canary.proxy.tables)
    receipt = rehearse(verb)
    assert (receipt.outcome, receipt.verb, receipt.why) == ("rehearsed", "rehearse", "a test")
    assert set(receipt.steps_ms) == set(STEPS)
    assert 0 < receipt.pause_ms < 2000
    assert (ownership.get("payments"), stage(), canary.service.row) == (before, at, said)
    assert_settled(canary, owner)
    parked = [table["contexts"]["payments"] for table in canary.proxy.tables[tables:]]
    assert [(bool(one["pause"]), bool(one["hold"])) for one in parked][-1] == (False, False)
    assert any(one["hold"] for one in parked)
    assert engine.travel(verb, "payments", **WHO)[-1].outcome == "done"  # and nothing stands in the way of the real one


@pytest.mark.parametrize("step", STEPS)
def test_step_killed_in_a_rehearsal_is_undone(canary: SmallEstate, monkeypatch, step: str) -> None:
    before = ownership.get("payments")
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        rehearse()
    monkeypatch.undo()
    expire()
    assert engine.resume().outcome == {"gates": "refused", "release": "rehearsed"}.get(step, "undone")
    assert ownership.get("payments") == before
    canary.proxy.wait_for(publish.newest().version)
    assert_settled(canary, "monolith")


def test_a_rehearsal_that_would_take_too_long_says_which_step_and_is_not_repeated(canary: SmallEstate) -> None:
    canary.proxy.busy = True
    with pytest.raises(Undone, match="the slow step was hold"):
        rehearse(max_pause_ms=500.0)
    assert Receipt.objects.filter(verb="rehearse").count() == 1
    assert_settled(canary, "monolith")


def test_a_rehearsal_has_the_gates_of_the_real_one(canary: SmallEstate) -> None:
    streams.stop("payments")
    with pytest.raises(GatesClosed, match="lag: stream payments is not running"):
        rehearse()
    assert Receipt.objects.latest("id").outcome == "refused"


def test_a_rehearsal_by_the_command_shows_its_steps(canary: SmallEstate, capsys) -> None:
    assert cli.run(["advance", "payments", "--rehearse", "--why", "before Friday"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "✓ payments: canary 100 % → live, rehearsed in" in out
    assert re.search(r"pause \d+ ms, hold \d+ ms, drain \d+ ms, release \d+ ms", out)
    assert cli.run(["advance", "payments", "--rehearse", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["receipts"]
    assert (said["outcome"], said["verb"]) == ("rehearsed", "rehearse")
    assert cli.run(["advance", "payments", "--rehearse", "--dry-run"]) == 2


def test_a_fault_while_it_holds_releases(canary: SmallEstate, monkeypatch) -> None:
    def reach(step: str) -> None:
        if step == "drain":
            monkeypatch.setattr("strangler.control.drain.carry", lambda *_: 1 / 0)
            streams.stop("payments")

    monkeypatch.setattr(faultpoints, "reach", reach)
    with pytest.raises(Undone):
        rehearse()
    assert_settled(canary, "monolith")
