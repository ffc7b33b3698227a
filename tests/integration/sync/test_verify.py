"""``strangler sync verify`` with a real service: what it shows, what it keeps to itself, and ``--repair``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from strangler.control import mending
from strangler.management import cli
from strangler.management.verbs import verify
from strangler.sync import drift, relay
from strangler.sync.database import rows
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE
from tests.integration.sync.process import Service
from tests.integration.sync.test_drift import REVERSE, quietly


@pytest.fixture(scope="module")
def service(sync_databases, django_db_blocker):
    """One process for all tests here; none of them harms it."""
    running = Service()
    with django_db_blocker.unblock():
        running.start()
    yield running
    running.kill()


@pytest.fixture
def bank(estate, service, tmp_path: Path, monkeypatch):
    """The product's own settings lead to both sides; ten codes are equal, and three of them then are not."""
    declared = Path(settings.STRANGLER["ESTATE"]).read_text(encoding="utf-8")
    file = tmp_path / "strangler.toml"
    file.write_text(declared.replace("http://127.0.0.1:9", service.url), encoding="utf-8")
    monkeypatch.setattr(verify, "streams_of", lambda context: [CONTEXT])
    monkeypatch.setattr(mending, "PATIENCE_S", 0.0)
    with override_settings(STRANGLER={**settings.STRANGLER, "ESTATE": str(file), "DATABASE": SOURCE}):
        Code.objects.using(SOURCE).bulk_create([Code(code=str(n), meaning="secret") for n in range(10)])
        estate.drain()
        quietly(DESTINATION, "UPDATE bank_code SET meaning = 'stolen' WHERE code = '3'")
        quietly(DESTINATION, "DELETE FROM bank_code WHERE code = '5'")
        quietly(DESTINATION, "INSERT INTO bank_code VALUES ('x', 'stray')")
        yield estate


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    code = cli.run(["sync", "verify", "bank", *words])
    return code, capsys.readouterr().out


def test_it_names_rows_and_fields_and_keeps_values_to_itself(bank, capsys):
    code, out = say(capsys)
    shown = [line.split() for line in out.splitlines()]
    assert code == 1
    assert "3 differ, 0 in flight" in out
    assert ["bank.Code", "3", "different", "meaning"] in shown
    assert ["bank.Code", "5", "missing"] in shown
    assert ["bank.Code", "x", "extra"] in shown
    assert "strangler sync verify bank --repair" in out
    assert "secret" not in out
    assert "stolen" not in out
    assert "meaning: secret → stolen" in say(capsys, "--values")[1]


def test_as_json_values_are_there_when_asked_for(bank, capsys):
    differing = json.loads(say(capsys, "--json")[1])["differing"]
    assert {row["key"]: row["fields"] for row in differing} == {"3": [{"name": "meaning"}], "5": None, "x": None}
    differing = json.loads(say(capsys, "--json", "--values")[1])["differing"]
    held = {"name": "meaning", "source": "secret", "destination": "stolen"}
    assert {row["key"]: row["fields"] for row in differing}["3"] == [held]


def test_repair_goes_through_the_outbox_until_both_sides_are_equal(bank, capsys):
    code, out = say(capsys, "--repair")
    assert (code, "3 rows sent again" in out, "0 differ" in out) == (0, True, True)
    bank.assert_equal("bank.Code")
    assert bank.stream()["verified_drift"] == 0


def test_repair_says_what_remains(bank, capsys, monkeypatch):
    """Somebody writes at the destination again and again."""
    check = drift.check

    def spoiled(*args, **options):
        quietly(DESTINATION, "UPDATE bank_code SET meaning = 'stolen' WHERE code = '3'")
        return check(*args, **options)

    monkeypatch.setattr(drift, "check", spoiled)
    code, out = say(capsys, "--repair")
    assert code == 1
    assert f"{2 + mending.ROUNDS} rows sent again" in out
    assert "1 differ" in out
    assert "these remain" in out


def test_repair_says_why_it_does_not_arrive(bank, capsys, monkeypatch):
    monkeypatch.setattr(mending, "CARRY_S", 0.3)
    monkeypatch.setattr(relay, "run", lambda *args, **options: 0)
    code = cli.run(["sync", "verify", "bank", "--repair"])
    assert code == 1
    assert "has not arrived in 0.3 s" in capsys.readouterr().err


def test_repair_of_a_reverse_stream_asks_the_service_to_send_again(bank, capsys, monkeypatch):
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    bank.hand_over("service", 1)
    bank.pull()
    monkeypatch.setattr(verify, "streams_of", lambda context: [REVERSE])
    assert say(capsys, "--repair")[0] == 0
    assert Code.objects.using(SOURCE).get(code="3").meaning == "stolen", "the service is the owner, so it is right"
    bank.assert_equal("bank.Code")
