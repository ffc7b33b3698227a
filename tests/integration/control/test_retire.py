"""The gates over who uses a context (P27), and the end of its way, on a real estate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from strangler import conf
from strangler.analysis.usage import storing
from strangler.analysis.usage.counting import Row
from strangler.analysis.usage.models import Usage
from strangler.control import engine, saga, status, tasks, uses
from strangler.control import retire as retiring
from strangler.control.errors import GatesClosed
from strangler.control.models import Migration
from strangler.domain.gates import State
from strangler.errors import Misuse
from strangler.management import cli
from strangler.seams import retirement
from strangler.sync import streams
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.test_engine import WHO, Killed, expire, kill_at
from tests.integration.seams.shop import client_of, make_user

T = "payments_payment"
ME = {"who": "ada", "why": "a test"}


def ask(settings: Any, **days: float) -> None:
    """The estate file as before, with other thresholds."""
    file = Path(settings.STRANGLER["ESTATE"])
    text = file.read_text()
    for name, value in days.items():
        text = re.sub(rf"{name} = [\d.]+", f"{name} = {value}", text)
    file.write_text(text)
    conf.load.cache_clear()


def used(access: str, source: str = "POST /api/orders/", kind: str = "request", **given: Any) -> None:
    table = "" if access == "hit" else T
    row = Row(**{"through": False, "own": False, **given, "context": "payments", "access": access, "table": table, "kind": kind,
                 "source": source})  # fmt: skip
    storing.store({row: 3}, roles=[], lost=0, prune=False)


def recorded(days: float) -> None:
    storing.store({}, roles=["web", "worker"], lost=0, prune=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_usage_span SET began = began - make_interval(secs => %s)", [days * 86_400])


def verdict_of(error: GatesClosed, gate: str) -> Any:
    return next(verdict for verdict in error.verdicts if verdict.gate == gate)


@pytest.fixture
def live(estate: SmallEstate) -> SmallEstate:
    engine.travel("advance", "payments", to="live", **WHO)
    return estate


# ---- P27 --------------------------------------------------------------------------------------------------------------


def test_p27_a_foreign_writer_closes_the_cut_over_until_it_is_declared(estate: SmallEstate, settings: Any) -> None:
    engine.travel("advance", "payments", to="canary", percent=100, **WHO)
    ask(settings, writers_days=2)
    recorded(3)
    used("write", "POST /api/orders/checkout/")  # declared
    used("write", "POST /api/orders/", through=True)
    used("write", "orders.settle", "task")
    with pytest.raises(GatesClosed) as closed:
        engine.advance("payments", **WHO)
    assert verdict_of(closed.value, "writers").state is State.FAIL
    assert f"task orders.settle: write {T}, 3 times" in str(closed.value)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_usage SET last_at = last_at - interval '3 days' WHERE source = 'orders.settle'")
    assert engine.advance("payments", **WHO).to_stage == "live"


def test_p27_a_short_record_is_not_known_and_no_record_neither(estate: SmallEstate, settings: Any) -> None:
    ask(settings, writers_days=7)
    context = conf.estate().contexts["payments"]
    assert uses.writers(context).state is State.UNKNOWN
    recorded(2 / 24)
    verdict = uses.writers(context)
    assert (verdict.state, verdict.reason) == (State.UNKNOWN, "recording of web processes since 2 h, needs 7 d")
    recorded(8)
    assert uses.writers(context).state is State.PASS
    settings.STRANGLER = {**settings.STRANGLER, "USAGE": False}
    assert uses.writers(conf.estate().contexts["payments"]).state is State.UNKNOWN


# ---- retiring ---------------------------------------------------------------------------------------------------------


def test_nothing_retires_before_it_is_live(estate: SmallEstate) -> None:
    with pytest.raises(Misuse, match="payments is monolith, and only what is live can retire"):
        retiring.retire("payments", **ME)


def test_what_is_used_does_not_retire_and_what_has_retired_is_gone(
    live: SmallEstate, settings: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, as the way to ``live`` takes its time."""
    client = client_of(make_user(is_staff=True, is_superuser=True))
    assert client.get("/api/payments/").status_code == 200
    assert status.report(["payments"])[0].next == "strangler retire payments"

    ask(settings, retire_days=14)
    recorded(20)
    used("hit", "GET /api/payments/", own=True)
    with pytest.raises(GatesClosed, match="request GET /api/payments/: hit, 3 times"):
        retiring.retire("payments", keep_copy=True, **ME)
    Usage.objects.all().delete()
    used("read", "GET /orders/<int:pk>/")
    with pytest.raises(GatesClosed) as closed:
        retiring.retire("payments", **ME)
    assert [verdict.gate for verdict in closed.value.verdicts if not verdict.passes] == ["unused"]
    assert f"request GET /orders/<int:pk>/: read {T}, 3 times" in str(closed.value)
    assert "--keep-copy" in str(closed.value)
    assert cli.run(["retire", "payments", "--dry-run"]) == 1
    assert "monolith/payments/models.py" in capsys.readouterr().out
    assert Migration.objects.get(context="payments").stage == "live"

    _it_retires_and_keeps_its_copy_although_the_process_dies(monkeypatch)
    assert status.report(["payments"])[0].data == "mirrored back to the monolith, as a read copy for what stays there"
    engine.rollback("payments", **WHO)
    ask(settings, retire_days=0)
    _it_retires_by_the_command_line(capsys)
    _its_pages_are_gone_and_all_others_answer(client)
    tasks.tick()
    engine.rollback("payments", **WHO)
    retirement.forget()
    assert client.get("/api/payments/").status_code == 200


def _it_retires_and_keeps_its_copy_although_the_process_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as dying:
        kill_at(dying, "stop")
        with pytest.raises(Killed):
            retiring.retire("payments", keep_copy=True, **ME)
    expire()
    receipt = engine.resume()
    assert receipt is not None
    assert (receipt.outcome, receipt.to_stage) == (saga.DONE, "retired")
    assert streams.state("payments-reverse") == "live"
    with pytest.raises(Misuse, match="others read the copy of payments, so its tables stay"):
        retiring.retire("payments", write_migration=Path("monolith/payments"), **ME)


def _it_retires_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["retire", "payments", "--why", "done"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"setting +monolith.payments +monolith/settings/base.py:\d+", shown)
    assert re.search(r"import +monolith.payments\S+ +monolith/orders/checkout.py:\d+", shown)
    assert streams.state("payments-reverse") == "off"
    assert cli.run(["retire", "payments", "--keep-copy"]) == 2
    assert "retired without its copy" in capsys.readouterr().err
    assert cli.run(["retire", "payments", "--write-migration", "nowhere"]) == 2
    assert "not the folder of an installed app" in capsys.readouterr().err
    assert cli.run(["retire", "payments", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"kind": "app", "name": "monolith.payments", "where": "monolith/payments/"} in said["delete"]
    assert (said["keeps_copy"], said["receipt"], said["migration"]) == (False, None, None)


def _its_pages_are_gone_and_all_others_answer(client: Client) -> None:
    retirement.forget()
    for path in ("/api/payments/", "/admin/payments/payment/"):
        answer = client.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (410, "application/problem+json")
        assert answer.json()["context"] == "payments"
    assert client.get("/admin/").status_code == 200
    assert Client().get("/api/products/").status_code == 200
    stamped = {"X-Strangler-Context": "payments", "X-Strangler-Epoch": "2", "X-Strangler-Access": "write"}
    assert client.post("/api/payments/", headers=stamped).status_code == 421, "a stale proxy asks the service (P20)"


# ---- looking ----------------------------------------------------------------------------------------------------------


def test_usage_is_shown_the_newest_first(estate: SmallEstate, capsys: pytest.CaptureFixture[str]) -> None:
    used("write", "POST /pay/", through=True)
    used("write", "POST /api/orders/")
    assert cli.run(["usage", "payments"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\d+ s ago +write +payments_payment +request +POST /api/orders/ +3 +writes past the seam", shown)
    assert shown.index("POST /api/orders/") < shown.index("POST /pay/")
    assert "recorded without a gap: web processes not at all" in shown
    assert cli.run(["usage", "payments", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {use["source"]: use["foreign_writer"] for use in said["uses"]} == {"POST /api/orders/": True, "POST /pay/": False}
    assert cli.run(["usage", "nothing"]) == 2
    assert "there is no context 'nothing'" in capsys.readouterr().err
