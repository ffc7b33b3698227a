"""``strangler analyze`` where nobody has prepared anything: no strangler.toml, no database, broken code, settings that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from strangler.management import cli

ROOT = Path(__file__).parents[3]
SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "strangler", "warehouse", "billing"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "none.sqlite3"}}
ROOT_URLCONF = "urls"
"""
FILES = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")\n',
    "settings.py": SETTINGS,
    "urls.py": "urlpatterns = []\n",
    "warehouse/__init__.py": "",
    "warehouse/models.py": "from django.db import models\n\n\nclass Item(models.Model):\n    name = models.TextField()\n",
    "billing/__init__.py": "",
    "billing/models.py": (
        "from django.db import models\n\n\nclass Invoice(models.Model):\n"
        '    item = models.ForeignKey("warehouse.Item", on_delete=models.CASCADE)\n'
    ),
    "billing/reports.py": (
        "from billing.models import Invoice\n\n\ndef late(name):\n    return Invoice.objects.filter(item__name=name)\n"
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def analyze(project: Path, *words: str) -> tuple[int, str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "DATABASE", "STRANGLER"))}
    kept["PYTHONPATH"] = str(ROOT)
    argv = [sys.executable, "-m", "strangler.management.cli", "analyze", *words]
    done = subprocess.run(argv, cwd=project, env=kept, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def edges(out: str) -> set[tuple[str, str, str, str]]:
    return {(edge["kind"], edge["source"], edge["target"], edge["where"]) for edge in json.loads(out)["edges"]}


FOREIGN_KEY = ("foreign_key", "billing", "warehouse", "billing/models.py:Invoice.item")
LOOKUP = ("lookup", "billing", "warehouse", "billing/reports.py:late")


def test_each_app_is_a_context_where_none_is_declared_and_it_says_so(project: Path) -> None:
    (project / "billing" / "broken.py").write_text("def oh(:\n", encoding="utf-8")
    code, out, err = analyze(project)
    assert code == 0, err
    assert "no context is declared, so each app is one" in out
    assert "billing → warehouse" in out
    assert "invalid syntax" in out
    assert "the database does not answer" in out
    code, out, _ = analyze(project, "--json", "--strict")
    assert code == 1
    assert {FOREIGN_KEY, LOOKUP} <= edges(out)
    assert "billing/broken.py" in {one["where"] for one in json.loads(out)["skipped"]}


def test_who_reads_no_further_has_seen_enough(project: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "strangler.management.cli", "analyze", "--all"]
    done = subprocess.run(
        argv, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "settings"},
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_stopped_while_it_is_being_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_in_project", interrupted)
    assert cli.main(["analyze"]) == 1
    assert capsys.readouterr() == ("", "strangler: stopped by hand\n")


def test_settings_that_fail_leave_the_source(project: Path) -> None:
    (project / "settings.py").write_text('raise RuntimeError("no vault here")\n' + SETTINGS, encoding="utf-8")
    code, out, err = analyze(project, "--json")
    assert code == 0, err
    data: dict[str, Any] = json.loads(out)
    assert FOREIGN_KEY in edges(out)
    assert any("no vault here" in one["why"] for one in data["skipped"])
    assert "live" not in data["looked_at"]


def test_a_proposal_is_written_so_that_it_holds(project: Path) -> None:
    code, out, err = analyze(project, "--propose")
    assert code == 0, err
    assert "[contexts." in out
    assert "nothing was written" in out
    assert not (project / "strangler.toml").exists()
    assert analyze(project, "--propose", "--write")[0] == 0
    declared = tomllib.loads((project / "strangler.toml").read_text(encoding="utf-8"))["contexts"]
    assert {app for one in declared.values() for app in one["apps"]} == {"billing", "warehouse"}
    text = (project / "strangler.toml").read_text(encoding="utf-8")
    code, out, err = analyze(project, "--propose", "--write")
    assert code == 0, err
    assert (project / "strangler.toml").read_text(encoding="utf-8") == text
