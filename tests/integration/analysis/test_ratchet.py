"""``strangler ratchet`` on a small project: by the command, as a system check, and as one test more of pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILES = {
    "settings.py": """
        from pathlib import Path
        BASE_DIR = Path(__file__).resolve().parent
        SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "x", True, "django.db.models.BigAutoField"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        INSTALLED_APPS, ROOT_URLCONF = ["strangler", "orders", "payments"], "urls"
        STRANGLER = {"RATCHET": "known.txt"}
    """,
    "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings\naddopts = -p pytest_django.plugin\n",
    "strangler.toml": "",
    "urls.py": "urlpatterns = []\n",
    "orders/__init__.py": "",
    "orders/models.py": "from django.db import models\nclass Order(models.Model):\n    pass\n",
    "orders/old.py": "from payments.models import Payment\n",
    "payments/__init__.py": "",
    "payments/contract.py": "",
    "payments/models.py": """
        from django.db import models
        class Payment(models.Model):
            order = models.ForeignKey("orders.Order", models.CASCADE)
    """,
    "test_nothing.py": "def test_nothing():\n    pass\n",
}
KEY = "payments/models.py:Payment.order | foreign_key | payments -> orders | orders.Order | "
OLD = "orders/old.py:* | import | orders -> payments | payments.models | "
NEW = "orders/reports.py:one | late_import | orders -> payments | payments.models | "
STEPS = """
import contextlib, io, json, os, pathlib, sys
import django
django.setup()
from strangler.management import cli
for step in json.load(sys.stdin):
    for name, text in step["files"].items():
        pathlib.Path(name).unlink() if text is None else pathlib.Path(name).write_text(text)
    os.environ["CI"] = step["ci"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(step["words"])
    known = pathlib.Path("known.txt")
    print(json.dumps([code, out.getvalue(), err.getvalue(), known.read_text() if known.exists() else ""]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return tmp_path


def run(project: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    kept |= {"PYTHONPATH": os.pathsep.join((str(project), str(ROOT))), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env = {**kept, "DJANGO_SETTINGS_MODULE": "settings"}
    argv = [sys.executable, *words]
    return subprocess.run(argv, cwd=project, env=env, input=given, capture_output=True, text=True, timeout=100, check=False)


def step(*words: str, files: dict[str, str | None] | None = None, ci: str = "") -> dict[str, Any]:
    return {"words": ["ratchet", *words], "files": files or {}, "ci": ci}


def test_crossings_only_become_fewer(project: Path) -> None:
    late = "def one():\n    from payments.models import Payment\n    return Payment\n"
    moved = "\n\n" + (project / "payments/models.py").read_text()
    steps = [
        step("check"),
        step("update", "--owner", "ann", ci="true"),
        step("update"),
        step("update", "--owner", "ann", "--reason", "history"),
        step("check", "--strict", ci="true", files={"payments/models.py": moved}),
        step("check", "--json", files={"orders/old.py": None, "orders/reports.py": late}),
        step("update", "--owner", "bob", "--until", "2020-01-01"),
        step("check"),
        step("check", "--json", files={"orders/reports.py": "def one(:\n"}),
        step("check", files={"known.txt": f"# mine\n\n{OLD.replace('old.py', '*')}ann | all of it\n"}),
        step("update", "--owner", "eve", files={"known.txt": "<<<<<<< HEAD\n"}),
    ]
    done = run(project, "-c", STEPS, given=json.dumps(steps))
    assert done.returncode == 0, done.stderr
    absent, in_ci, unowned, made, moved_down, checked, updated, late_one, broken, wild, conflict = map(
        json.loads, done.stdout.splitlines()
    )

    assert (absent[0], "there is no known.txt; make it once on your machine" in absent[2]) == (2, True)
    assert (in_ci[0], in_ci[3], "CI is set" in in_ci[2]) == (2, "", True)
    assert (unowned[0], unowned[3], "2 new crossings, and somebody has to own" in unowned[2]) == (2, "", True)
    assert made[0] == 0, made[2]
    assert f"{OLD}ann | history\n" in made[3]
    assert f"{KEY}ann | history\n" in made[3]
    assert moved_down[0] == 0, moved_down[1]

    found = json.loads(checked[1])
    assert (checked[0], found["holds"], found["known"]) == (1, False, 1)
    assert [(one["kind"], one["where"]) for one in found["new"]] == [("late_import", "orders/reports.py:one")]
    assert [(one["kind"], one["where"], one["line"]) for one in found["stale"]] == [("import", "orders/old.py:*", 8)]
    assert updated[0] == 0, updated[2]
    assert (OLD in updated[3], f"{KEY}ann | history\n" in updated[3], f"{NEW}bob | ? | until 2020-01-01\n" in updated[3]) == (
        False,
        True,
        True,
    )
    assert late_one[0] == 1
    assert "expired on 2020-01-01: known.txt:8: orders/reports.py:one late_import orders → payments" in late_one[1]
    assert "reason missing, or owner: 1 line of known.txt (8)" in late_one[1]

    found = json.loads(broken[1])
    assert (found["stale"], [one["where"] for one in found["unseen"]]) == ([], ["orders/reports.py:one"])
    assert (wild[0], "known.txt is broken: line 3 has a wildcard in 'orders/*" in wild[2]) == (2, True)
    assert (conflict[0], conflict[3], "line 1 is a conflict of a merge" in conflict[2]) == (2, "<<<<<<< HEAD\n", True)


def test_pytest_has_one_test_more_and_so_has_the_system_check(project: Path) -> None:
    (project / "known.txt").write_text(f"{KEY}ann | history\n{NEW}bob | a try\n")
    plugin = "strangler.analysis.runtime.pytest_plugin"
    done = run(project, "-m", "pytest", "-q", "-p", plugin, "--strangler-ratchet", "-k", "nothing")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "new: orders/old.py:1:* import orders → payments: payments.models" in done.stdout
    assert "stale: known.txt:2: orders/reports.py:one late_import orders → payments: payments.models" in done.stdout
    assert "FAILED ::strangler-ratchet" in done.stdout

    done = run(project, "-m", "django", "check", "--tag", "strangler-ratchet", "--deploy")
    assert done.returncode == 1
    assert "(strangler.E041) new: orders/old.py:1:* import" in done.stderr
    assert "(strangler.E042) stale: known.txt:2:" in done.stderr
    assert run(project, "-m", "django", "check").returncode == 0
