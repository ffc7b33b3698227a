"""The verbs from outside: the same behind both doors, exit codes, JSON, and never a traceback for what a user can mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from strangler.control.parity.models import ParityPair
from strangler.domain import override as overrides
from strangler.domain.stages import Side
from strangler.management import cli
from strangler.sync.models import Stranded
from tests.integration.control.conftest import SmallEstate

ROOT = Path(__file__).parents[3]
VERBS = (
    "status",
    "receipts",
    "receipts list",
    "receipts show",
    "receipts verify",
    "receipts export",
    "explain",
    "advance",
    "rollback",
    "hold",
    "ramp start",
    "ramp hold",
    "ramp resume",
    "ramp abort",
    "ramp status",
    "reconcile",
    "publish",
    "override",
    "parity",
    "sync status",
    "sync install",
    "sync backfill",
    "sync quarantine list",
    "sync quarantine show",
    "sync quarantine retry",
    "sync quarantine discard",
    "sync stranded",
    "sync verify",
    "uninstall",
    "analyze",
)


def ask(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str, str]:
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_json(verb: str, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, *verb.split(), "--help")
    assert code == 0
    assert f"example: strangler {verb}" in out
    assert "--json" in out


@pytest.mark.parametrize("words", [[], ["fly"], ["advance"], ["advance", "payments", "--percent", "many"], ["sync"]])
def test_words_that_make_no_sense_end_with_2(words: list[str], capsys: pytest.CaptureFixture) -> None:
    code, _, err = say(capsys, *words)
    assert code == 2
    assert "usage:" in err


def test_a_context_goes_there_and_back_by_the_command(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    code, said = ask(capsys, "advance", "payments", "--to", "live", "--why", "it is time")
    assert code == 0
    assert [receipt["to"]["stage"] for receipt in said["receipts"]] == ["mirror", "shadow", "canary", "canary", "live"]
    assert said["receipts"][-1]["pause_ms"] > 0
    assert said["receipts"][-1]["why"] == "it is time"

    code, said = ask(capsys, "sync", "verify", "payments")
    assert (code, said["differing"]) == (0, [])
    code, out, _ = say(capsys, "status", "payments")
    out = " ".join(out.split())
    assert code == 0
    assert "Reads of payments: all from the service. Writes: service. Next: retired" in out
    assert "data mirrored back to the monolith" in out
    assert "the monolith says service (epoch 2); the service says service (epoch 2)" in out
    assert "safe to roll back now: yes, because the monolith's tables follow the service's" in out

    code, said = ask(capsys, "explain", "POST", "/api/payments/", "--user", "42")
    assert (code, said["target"], said["stage"]) == (0, "service", "live")

    code, said = ask(capsys, "rollback", "payments", "--to", "monolith")
    assert code == 0
    assert said["receipts"][-1]["to"]["stage"] == "monolith"
    code, said = ask(capsys, "receipts", "payments")
    assert len(said["receipts"]) == 9
    assert ask(capsys, "uninstall", "payments")[0] == 0


def test_status_says_what_blocks_the_next_step(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    estate.service.die()
    code, out, _ = say(capsys, "status", "payments")
    assert code == 0
    assert "blocked: health: the service is not ready" in " ".join(out.split())
    code, said = ask(capsys, "status", "payments")
    assert said["stage"] == "monolith"
    assert said["blocked"]
    assert said["service_says"]["epoch"] is None


def test_status_of_all_is_a_line_each(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, "status")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["context", "orders", "payments"]


def test_a_refusal_ends_with_1_and_says_it_on_both_streams(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    estate.service.die()
    code = cli.run(["advance", "payments", "--json"])
    out, err = capsys.readouterr()
    assert code == 1
    assert json.loads(out)["verdicts"][0]["gate"] == "health"
    assert err.startswith("strangler: payments: monolith → mirror is held back by health")
    code, said = ask(capsys, "advance", "payments", "--dry-run")
    assert (code, said["open"]) == (1, False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["advance", "nothing"], "there is no context 'nothing'; strangler.toml declares orders, payments"),
        (["advance", "payments", "--to", "alive"], "there is no stage 'alive'"),
        (["rollback", "payments"], "payments is monolith, the first stage"),
        (["explain", "GET", "api"], "'api' is not a path"),
        (["explain", "GET", "/api", "--override", "both"], "--override both: it is one of service, monolith"),
        (["override", "nothing"], "there is no context 'nothing'"),
        (["override", "orders"], "orders has no service to move to"),
        (["override", "payments", "--to", "none"], "--to none: it is one of service, monolith"),
        (["override", "payments", "--for", "soon"], "--for soon: 'soon' is not a duration such as 500ms, 10s or 5m"),
        (["override", "payments", "--for", "8d"], "--for 8d: 691200 s is not a time from one second to 7 days"),
        (["sync", "verify", "payments"], "payments is not mirrored in stage monolith"),
        (["sync", "install", "nothing"], "there is no context 'nothing'"),
    ],
)
def test_misuse_ends_with_2_and_one_sentence(estate: SmallEstate, words: list[str], sentence: str, capsys) -> None:
    code, out, err = say(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"strangler: {sentence}")
    assert len(err.strip().splitlines()) == 1


def test_an_override_is_one_that_proxies_heed(estate: SmallEstate, settings, capsys: pytest.CaptureFixture) -> None:
    code, said = ask(capsys, "override", "payments", "--to", "service", "--for", "30m", "--url", "https://shop.example/")
    assert (code, said["context"], said["side"], said["stage"], said["heeded"]) == (0, "payments", "service", "monolith", False)
    name, _, token = said["header"].partition(": ")
    read = overrides.read(settings.STRANGLER["TOKEN"], token, now=time.time())
    assert (name, read.context, read.side) == ("X-Strangler-Override", "payments", Side.SERVICE)
    assert datetime.fromisoformat(said["until"]).timestamp() == read.until
    assert said["cookie"] == f"strangler_override={token}; Path=/; Max-Age=1800; SameSite=Lax; Secure"
    assert said["curl"] == f"curl -s -H 'X-Strangler-Override: {token}' https://shop.example/api/payments"

    assert ask(capsys, "advance", "payments", "--to", "shadow")[0] == 0
    code, said = ask(capsys, "override", "payments")
    assert (code, said["stage"], said["heeded"], "Secure" in said["cookie"]) == (0, "shadow", True, False)
    code, said = ask(capsys, "explain", "GET", "/api/payments/", "--override", "service")
    assert (code, said["target"], said["reason"]) == (0, "service", "a signed override of a tester asked for the service")
    assert ask(capsys, "explain", "POST", "/api/payments/", "--override", "service")[1]["target"] == "monolith"


def test_an_override_can_be_copied_line_by_line(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, "override", "payments")
    assert code == 0
    assert "heeded from shadow on; payments is in stage monolith" in out
    lines = out.splitlines()
    [header] = [line for line in lines if line.startswith("X-Strangler-Override: ")]
    token = header.split(": ")[1]
    assert f'document.cookie = "strangler_override={token}; Path=/; Max-Age=3600; SameSite=Lax"' in lines
    assert f"curl -s -H '{header}' http://127.0.0.1:8000/api/payments" in lines


def test_without_a_service_token_nothing_can_be_signed(estate: SmallEstate, settings, monkeypatch, capsys) -> None:
    monkeypatch.delenv("STRANGLER_SERVICE_TOKEN")
    settings.STRANGLER = {**settings.STRANGLER, "TOKEN": ""}
    code, said = ask(capsys, "override", "payments")
    assert (code, said["error"]) == (2, "no service token: set the environment variable STRANGLER_SERVICE_TOKEN")


def test_uninstall_refuses_while_a_context_is_on_its_way(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    assert ask(capsys, "advance", "payments")[0] == 0
    code, said = ask(capsys, "uninstall")
    assert code == 1
    assert said["error"] == "payments is mirror; take it back first: strangler rollback payments --to monolith"


def test_p02_uninstall_forgets_what_was_learnt_of_a_context(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    """Pairs of answers and rows of a dead service are data of users. Receipts are the record, and stay."""
    now = timezone.now()
    for context in ("payments", "orders"):
        ParityPair(context=context, endpoint="GET /", at=now, old={}, new={}, differences=[]).save()
        Stranded(operation=uuid.uuid4(), context=context, collection="c", key="7", op="upsert", settled_at=now).save()
    waiting = Stranded.objects.create(operation=uuid.uuid4(), context="payments", collection="c", key="8", op="upsert")
    code, said = ask(capsys, "uninstall", "payments")
    assert code == 1
    assert "first: strangler sync stranded payments" in said["error"]
    waiting.delete()
    assert ask(capsys, "uninstall", "payments")[0] == 0
    for model in (ParityPair, Stranded):
        assert set(model.objects.values_list("context", flat=True)) == {"orders"}


def test_call_command_is_another_door(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    call_command("strangler", "publish")
    assert "route table 1.1 is published" in capsys.readouterr().out
    with pytest.raises(CommandError, match="ended with 2"):
        call_command("strangler", "advance", "nothing")


def run(words: list[str], tmp_path: Path, **env: str) -> subprocess.CompletedProcess:
    here = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    return subprocess.run(words, cwd=tmp_path, env={**here, **env}, capture_output=True, text=True, timeout=60)


def test_the_console_script_outside_of_a_project_says_where_to_go(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "strangler.management.cli", "status"], tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == "strangler: no manage.py here or above; go to your project, or set DJANGO_SETTINGS_MODULE"


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["analyze", "--help"], 0), (["sync", "-h"], 0)])
def test_help_needs_no_project(words: list[str], code: int, tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "strangler.management.cli", *words], tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert "example: strangler" in " ".join(done.stdout.split()) or words == ["sync", "-h"]
    if words in ([], ["--help"]):
        assert "analyze What crosses between contexts" in " ".join(done.stdout.split())
        assert "status Where a context stands" in " ".join(done.stdout.split())


def test_help_is_the_verbs_own_only_before_the_words_of_another_command(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "strangler.management.cli", "status", "--", "pytest", "--help"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_database_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "postgres://x@127.0.0.1:9/x", "PYTHONPATH": str(ROOT)}
    for words in (["-m", "strangler.management.cli", "receipts"], ["manage.py", "strangler", "receipts"]):
        done = run([sys.executable, *words], ROOT, **env)
        assert done.returncode == 1, done.stderr
        assert "strangler: the database does not answer" in done.stderr
        assert "Traceback" not in done.stderr


def test_on_a_service_the_engine_says_where_it_lives(estate: SmallEstate, settings, capsys: pytest.CaptureFixture) -> None:
    settings.STRANGLER = {**settings.STRANGLER, "SIDE": "service", "CONTEXT": "payments"}
    code, _, err = say(capsys, "status")
    settings.STRANGLER = {**settings.STRANGLER, "SIDE": "monolith", "CONTEXT": ""}
    assert code == 2
    assert "these are the settings of the payments service" in err


def test_sync_status_shows_each_stream(estate: SmallEstate, capsys: pytest.CaptureFixture) -> None:
    assert "no stream is installed" in say(capsys, "sync", "status")[1]
    ask(capsys, "advance", "payments")
    _, out, _ = say(capsys, "sync", "status")
    words = [[word for word in line.split() if word.isalpha() or "-" in word][:2] for line in out.splitlines()]
    assert words[1:4] == [["payments", "live"], ["payments-copies", "live"], ["payments-reverse", "off"]], out
    code, said = ask(capsys, "sync", "backfill", "payments")
    assert code == 0
    assert {progress["state"] for progress in said["streams"]["payments"]["collections"]} == {"done"}
