"""Small Django projects in a directory of their own, each looked at in a process of its own, as it would be in real life."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for-tests-only"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "strangler", {apps}]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "config.urls"
USE_TZ = True
STRANGLER = {{"ESTATE": str(BASE_DIR / "strangler.toml"), "USAGE": False}}
"""
LOOK = """
import json, os, sys
from dataclasses import asdict
from strangler.analysis import loading
loading.setup()
from strangler.analysis import live, survey
from strangler.analysis.survey.facts import facts
from strangler.analysis.wiring import wired
asked = json.loads(os.environ["ASKED"])
try:
    if asked["sql"]:
        from django.core.management import call_command
        from django.db import connection
        call_command("migrate", run_syncdb=True, verbosity=0)
        with connection.cursor() as cursor:
            for statement in asked["sql"]:
                cursor.execute(statement)
    project = survey.project(moves=asked["moves"], merges=asked["merges"])
    seen = live.look(project)
    of = facts(wired(project), seen.sizes)
    print(json.dumps({
        "edges": [asdict(edge) for edge in seen.found.edges], "skipped": [asdict(one) for one in seen.found.skipped],
        "looked_at": seen.found.looked_at, "files": {name: project.named(path) for name, path in project.files.items()},
        "tests": project.tests, "apps": dict(project.atlas.apps), "labels": dict(project.atlas.labels),
        "faces": sorted(project.atlas.faces), "models": sorted(project.models),
        "contexts": {name: asdict(one) for name, one in of.items()},
        "packages": sorted(project.atlas.packages), "tables": dict(project.atlas.tables),
    }))
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


@dataclass
class Looked:
    """What ``LOOK`` printed. ``said``: on stderr."""

    told: dict[str, Any]
    said: str

    def edges(self, *kinds: str) -> set[tuple[str, str, str, str, str]]:
        """(kind, source, target, where, what)"""
        keys = ("kind", "source", "target", "where", "what")
        return {tuple(edge[key] for key in keys) for edge in self.told["edges"] if not kinds or edge["kind"] in kinds}  # type: ignore[misc]

    def skipped(self, what: str) -> dict[str, str]:
        return {one["where"]: one["why"] for one in self.told["skipped"] if one["what"] == what}


def write(root: Path, files: dict[str, str], apps: str) -> None:
    """Every directory of Python gets an ``__init__.py``, but those in ``ns``."""
    usual = {
        "config/settings.py": SETTINGS.format(apps=", ".join(f'"{app}"' for app in apps.split())),
        "config/urls.py": "urlpatterns = []",
    }
    for name, text in {**usual, "manage.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in list(root.rglob("*.py")):
        if path.parent not in (root, root / "src") and "ns" not in path.relative_to(root).parts:
            (path.parent / "__init__.py").touch()


def look(
    root: Path, *, sql: list[str] | None = None, moves: dict[str, str] | None = None, merges: Any = (), path: str = ""
) -> Looked:
    """``sql``: run after all tables are made; without it no table is."""
    asked = json.dumps({"sql": sql or [], "moves": moves or {}, "merges": list(merges)})
    env = {**os.environ, "ASKED": asked, "DJANGO_SETTINGS_MODULE": "config.settings", "STRANGLER_USAGE": "off"}
    env["PYTHONPATH"] = os.pathsep.join((str(root), str(root / "src"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return Looked(json.loads(done.stdout.splitlines()[-1]), done.stderr)
