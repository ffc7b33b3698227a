"""``--dry-run``: every gate is judged and every change is said, and nothing anywhere is another byte afterwards."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import redis
from django.db import connection
from django.utils import timezone

from strangler.control import engine
from strangler.control.models import Migration
from strangler.management import cli
from strangler.sync import drift, streams
from strangler.sync.models import Stream
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.test_engine import WHO

ASKS = {"GET"}


def database() -> dict[str, str]:
    """Every row of every table, and every sequence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT coalesce(json_agg(t ORDER BY t::text)::text, '') FROM {table} t")
            found[table] = cursor.fetchone()[0]
        cursor.execute("SELECT json_agg((sequencename, last_value) ORDER BY sequencename)::text FROM pg_sequences")
        found["sequences"] = cursor.fetchone()[0]
    return found


def everything(estate: SmallEstate) -> tuple:
    """The proxy's own report says the time; it is not ours."""
    kept = {key: estate.redis.dump(key) for key in estate.redis.scan_iter() if key != b"strangler:proxies"}
    return database(), kept, dict(estate.service.row), list(estate.service.history), dict(estate.service.next_ids)


def plan_of(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = cli.run([*words, "--dry-run", "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("at", ["monolith", "mirror", "canary", "live"])
@pytest.mark.parametrize("verb", ["advance", "rollback"])
def test_a_dry_run_leaves_every_byte_as_it_was(estate: SmallEstate, at: str, verb: str, capsys) -> None:
    if at != "monolith":
        engine.advance("payments", to=at, **WHO)
    Stream.objects.update(verified_at=None, verified_drift=None)  # so that both sides have to be compared to judge
    estate.service.asked.clear()
    before = everything(estate)
    code, said = plan_of(capsys, verb, "payments")
    assert everything(estate) == before
    assert {method for method, _ in estate.service.asked} <= ASKS
    assert code == (2 if (at, verb) == ("monolith", "rollback") else 0), said


def test_a_dry_run_carries_no_stream_that_is_behind(canary: SmallEstate, capsys) -> None:
    """The transition itself would; to look at it would be to move rows."""
    Stream.objects.filter(name="payments").update(marker=0)
    before = everything(canary)
    code, said = plan_of(capsys, "advance", "payments")
    assert everything(canary) == before
    assert (code, said["open"]) == (1, False)


def test_a_dry_run_of_a_cut_over_says_what_changes_to_the_last_thing(canary: SmallEstate, capsys) -> None:
    code, said = plan_of(capsys, "advance", "payments", "--max-pause", "700ms")
    exact = {change["what"]: f"{change['now']} → {change['then']}" for change in said["exact"]}
    assert (code, said["open"]) == (0, True)
    assert exact["POST,PUT,PATCH,DELETE /api/payments/…"] == "goes on → parked for at most 700 ms"
    assert exact["POST,PUT,PATCH,DELETE /api/orders/checkout/…"] == "goes on → parked for at most 700 ms"
    assert exact["owner"] == "monolith → service"
    assert exact["epoch"] == "1 → 2"
    assert exact["stream payments-reverse"] == "off → live"
    assert exact["task payments.resolve_processing"].startswith("runs on the monolith → paused, at most 1 s are waited for")
    assert "GET,HEAD /api/payments/…" not in exact  # reads come from the service already
    table = engine.advance("payments", **WHO)
    assert exact["route table"].split(" → ")[1] <= next(iter(table.proxies.values()))


def test_a_dry_run_says_shares_and_keys(estate: SmallEstate, capsys) -> None:
    _, said = plan_of(capsys, "advance", "payments")
    listed = [f"{change['what']}: {change['now']} → {change['then']}" for change in said["exact"]]
    assert "stream payments: off → live, with a backfill of every row" in listed
    assert any(line.startswith("key ") and line.endswith(": foreign key → loose") for line in listed), listed
    engine.advance("payments", to="canary", percent=10, **WHO)
    assert cli.run(["advance", "payments", "--dry-run"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "GET,HEAD /api/payments/… monolith 90 % / service 10 % → service" in out
    assert "(nothing was changed)" in out


def test_a_dry_run_whose_gate_is_closed_ends_with_1(canary: SmallEstate, capsys) -> None:
    streams.stop("payments")
    code, said = plan_of(capsys, "advance", "payments")
    assert (code, said["open"]) == (1, False)
    assert {verdict["gate"] for verdict in said["verdicts"] if verdict["state"] == "fail"} >= {"lag"}
    assert {verdict["gate"] for verdict in said["verdicts"]} >= {"drift", "ownership", "transactions", "proxies", "stranded"}


def test_a_dry_run_sees_drift_and_does_not_remember_it(canary: SmallEstate, monkeypatch, capsys) -> None:
    check = drift.check
    Stream.objects.update(verified_at=timezone.now() - timedelta(seconds=60))

    def differing(*args, **kwargs):
        assert (kwargs["remember"], kwargs["carries"]) == (False, False)
        report = check(*args, **kwargs)
        report.differing.append(("payments.Payment", "7", "value"))
        return report

    monkeypatch.setattr(drift, "check", differing)
    code, said = plan_of(capsys, "advance", "payments")
    assert code == 1
    assert [verdict["state"] for verdict in said["verdicts"] if verdict["gate"] == "drift"] == ["fail"]
    assert Stream.objects.get(name="payments").verified_drift == 0


def test_a_look_at_a_context_that_never_moved_makes_no_row(estate: SmallEstate, valkey: redis.Redis, capsys) -> None:
    plan_of(capsys, "advance", "payments")
    assert not Migration.objects.exists()
