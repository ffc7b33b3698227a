"""What an operator sees and does: quarantine, backfill, broken streams, and why something waits; each as a person reads it."""

from __future__ import annotations

import json

import pytest
import redis
from django.db import connection
from django.test import Client

from strangler.control import engine, retreat
from strangler.control.errors import GatesClosed
from strangler.control.models import Migration, Receipt
from strangler.errors import ServiceUnavailable
from strangler.management import cli
from strangler.sync import backfill, budget, install, quarantine, relay
from strangler.sync.diagnosis import Around
from strangler.sync.models import Stream
from tests.integration.control.conftest import SmallEstate
from tests.integration.seams.shop import make_order, make_payment

WHO = {"who": "ada", "why": "a test", "tries": 1}


def sql(statement: str, params: list | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str, str]:
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, out, err


def ask(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def installed(estate: SmallEstate) -> SmallEstate:
    """As in stage mirror, but without the way there."""
    install.install("payments")
    Stream.objects.exclude(kind="reverse").update(state="live")
    Migration.objects.update_or_create(context="payments", defaults={"stage": "mirror"})
    return estate


@pytest.fixture
def mirror(estate: SmallEstate) -> SmallEstate:
    engine.advance("payments", to="mirror", **WHO)
    return estate


@pytest.fixture
def poisoned(installed: SmallEstate) -> SmallEstate:
    for key in ("4711", "4712"):
        sql(
            "INSERT INTO strangler_quarantine (stream, collection, key, error, attempts) "
            "VALUES ('payments', 'payments.Payment', %s, 'violates check constraint \"positive\"', 3)",
            [key],
        )
    return installed


def break_(stream: str = "payments") -> None:
    from strangler.sync import broken

    assert broken.give_up(stream, "more than 1,000,000 changes waited")


# ---- quarantine ---------------------------------------------------------------------------------------------------


def test_the_list_names_each_row_and_what_to_do_and_ends_with_1(poisoned: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, "sync", "quarantine", "list", "payments")
    assert code == 1
    assert "payments.Payment  4711  3" in out
    assert "strangler sync quarantine show payments payments.Payment '4711'" in out
    code, said = ask(capsys, "sync", "quarantine", "list")
    assert (code, said["waiting"], [row["key"] for row in said["rows"]]) == (1, 2, ["4711", "4712"])
    quarantine.discard("payments")
    assert ask(capsys, "sync", "quarantine", "list")[0] == 0


def test_one_is_shown_with_its_error(poisoned: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, "sync", "quarantine", "show", "payments", "payments.Payment", "4711")
    assert code == 0
    assert 'violates check constraint "positive"' in out
    assert "gone from its table: a retry tells of the deletion" in " ".join(out.split())
    assert say(capsys, "sync", "quarantine", "show", "payments", "payments.Payment", "1")[0] == 2


def test_a_retry_is_of_one_key_or_expressly_of_all(poisoned: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    assert say(capsys, "sync", "quarantine", "retry", "payments")[0] == 2
    assert say(capsys, "sync", "quarantine", "retry", "payments", "payments.Payment", "4711", "--all")[0] == 2
    assert say(capsys, "sync", "quarantine", "retry", "nothing", "--all")[0] == 2
    code, said = ask(capsys, "sync", "quarantine", "retry", "payments", "payments.Payment", "4711")
    assert (code, said["retried"]) == (0, 1)
    assert ask(capsys, "sync", "quarantine", "retry", "payments", "--all")[1]["retried"] == 2
    relay.run("payments")
    assert quarantine.listed("payments") == [], "its absence was told, which is a success"


def test_a_discard_needs_a_reason_and_leaves_a_receipt(poisoned: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    one = ("sync", "quarantine", "discard", "payments", "payments.Payment", "4711")
    assert say(capsys, *one)[0] == 2
    assert say(capsys, *one, "--reason", " ")[0] == 2
    code, said = ask(capsys, *one, "--reason", "a test order of 2014")
    assert (code, said["discarded"]) == (0, 1)
    receipt = Receipt.objects.latest("id")
    assert (receipt.verb, receipt.why, receipt.outcome) == ("discard", "a test order of 2014", "done")
    assert receipt.verdicts[0]["observed"] == "payments.Payment/4711"
    assert "positive" in receipt.verdicts[0]["reason"]
    assert say(capsys, *one, "--reason", "again")[0] == 2, "it does not wait any more"
    assert "a test order of 2014" in say(capsys, "receipts")[1]


def test_no_hand_over_passes_a_discarded_row(installed: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    Migration.objects.filter(context="payments").update(stage="canary", percent=100)
    sql("INSERT INTO strangler_quarantine (stream, collection, key, error) VALUES ('payments', 'payments.Payment', '4711', 'e')")
    ask(capsys, "sync", "quarantine", "discard", "payments", "--all", "--reason", "let it be")
    with pytest.raises(GatesClosed) as closed:
        engine.advance("payments", **WHO)
    (verdict,) = [verdict for verdict in closed.value.verdicts if verdict.gate == "quarantine"]
    assert not verdict.passes
    assert "1 of them discarded: mend those, or delete them at their owner" in verdict.reason


# ---- backfill -----------------------------------------------------------------------------------------------------


def test_a_backfill_is_watched_until_it_is_through(installed: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    make_payment(make_order())
    code, said = ask(capsys, "sync", "backfill", "payments")
    assert (code, said["complete"]) == (0, True)
    assert said["streams"]["payments"]["state"] == "done"
    assert said["streams"]["payments"]["sent"] >= 1
    code, out, _ = say(capsys, "sync", "backfill", "payments")
    assert code == 0
    assert "100%" in out
    assert "✓ every row of payments is at the other side" in out


def test_a_backfill_is_paused_shown_resumed_and_cancelled(installed: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    assert say(capsys, "sync", "backfill", "payments", "--pause")[0] == 2
    assert say(capsys, "sync", "backfill", "payments", "--resume")[0] == 2
    assert ask(capsys, "sync", "backfill", "payments", "--detach")[1]["complete"] is False
    code, out, _ = say(capsys, "sync", "backfill", "payments", "--pause")
    assert code == 0
    assert "go on: strangler sync backfill payments --resume" in out
    code, said = ask(capsys, "sync", "backfill", "payments", "--show")
    assert (code, said["streams"]["payments"]["state"]) == (1, "paused")
    assert "backfill is paused" in say(capsys, "sync", "status")[1]
    assert ask(capsys, "sync", "backfill", "payments", "--resume")[1]["complete"] is True
    ask(capsys, "sync", "backfill", "payments", "--detach")
    assert say(capsys, "sync", "backfill", "payments", "--cancel")[0] == 0
    out = say(capsys, "sync", "status")[1]
    assert "its backfill was cancelled, so rows may be missing" in " ".join(out.split())
    with pytest.raises(GatesClosed, match="backfill"):
        engine.advance("payments", to="shadow", **WHO)
    assert say(capsys, "sync", "backfill", "payments", "--pause", "--cancel")[0] == 2


def test_ctrl_c_leaves_it_to_the_workers_and_says_so(
    installed: SmallEstate, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(name: str) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(backfill, "step", interrupt)
        code, out, _ = say(capsys, "sync", "backfill", "payments")
    assert code == 1
    assert "the workers go on with it. Watch again: strangler sync backfill payments" in out
    assert backfill.unfinished("payments")
    began = [progress.seconds for progress in backfill.progress("payments")]
    assert ask(capsys, "sync", "backfill", "payments")[0] == 0
    assert began[0] > 0


# ---- broken -------------------------------------------------------------------------------------------------------


def test_p04_a_broken_stream_is_the_first_thing_that_status_says(installed: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    break_()
    code, out, _ = say(capsys, "sync", "status")
    assert code == 1
    assert out.startswith("✗ BROKEN: payments.")
    assert "next: strangler sync backfill payments" in out
    for words in (["status"], ["status", "payments"]):
        code, out, _ = say(capsys, *words)
        assert code == 1
        assert out.startswith("✗ stream payments is BROKEN: given up, so that the monolith goes on: more than 1,000,000 changes")
    code, said = ask(capsys, "sync", "status")
    assert (said["streams"][0]["name"], said["streams"][0]["finding"]["severity"]) == ("payments", "bad")


def test_p04_a_broken_stream_closes_the_gates_and_a_backfill_brings_it_back(
    mirror: SmallEstate, capsys: pytest.CaptureFixture
) -> None:
    break_()
    budget.enforce()
    with pytest.raises(GatesClosed, match="backfill: no backfill is known of payments"):
        engine.advance("payments", to="shadow", **WHO)
    assert ask(capsys, "sync", "backfill", "payments")[0] == 0
    assert say(capsys, "status")[0] == 0
    engine.advance("payments", to="shadow", **WHO)


@pytest.mark.parametrize("stream", ["payments", "payments-copies"])
def test_p04_a_context_whose_stream_broke_serves_no_reads_from_the_service(installed: SmallEstate, stream: str) -> None:
    Migration.objects.filter(context="payments").update(stage="canary", percent=100)
    break_(stream)
    assert retreat.retreat() == ["payments"]
    assert Migration.objects.get(context="payments").stage == "mirror"
    receipt = Receipt.objects.latest("id")
    assert (receipt.who, receipt.why) == ("strangler tick", f"stream {stream} is broken")
    assert retreat.retreat() == []


def test_p04_a_hand_over_whose_stream_breaks_undoes_itself(canary: SmallEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    from strangler.control import faultpoints
    from strangler.control.errors import Undone
    from strangler.sync import ownership

    monkeypatch.setattr(faultpoints, "reach", lambda step: break_() if step == "fence" else None)
    with pytest.raises(Undone, match="given up, so that the monolith goes on"):
        engine.advance("payments", **WHO)
    assert ownership.get("payments").owner == "monolith"


# ---- why it waits -------------------------------------------------------------------------------------------------


def test_it_says_that_the_service_is_away(installed: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    make_payment(make_order())
    installed.service.die()
    with pytest.raises(ServiceUnavailable):
        relay.run("payments")
    code, out, _ = say(capsys, "sync", "status")
    assert code == 1
    assert "the payments service at http://127.0.0.1:" in out
    assert "next: start the payments service" in out


def test_a_broker_without_workers_is_found_by_asking(valkey: redis.Redis) -> None:
    around = Around()
    assert (around.redis, around.broker) == ("", "")
    assert around.worker.startswith("no Celery worker consumes the queue strangler")


# ---- metrics ------------------------------------------------------------------------------------------------------


def test_the_monoliths_metrics_tell_of_every_stream(poisoned: SmallEstate) -> None:
    make_payment(make_order())
    response = Client().get("/_strangler/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = response.content.decode().splitlines()
    of = 'stream="payments",context="payments",kind="mirror"'
    assert f"strangler_stream_quarantine{{{of}}} 2" in lines
    assert f'strangler_stream_state{{{of},state="live"}} 1' in lines
    (depth,) = [line for line in lines if line.startswith(f"strangler_stream_depth{{{of}}}")]
    assert float(depth.split()[-1]) >= 1
    assert sum(line.startswith("# TYPE strangler_stream_depth ") for line in lines) == 1
    assert all(line.startswith("#") or line.split("{")[0].startswith("strangler_stream_") for line in lines)
