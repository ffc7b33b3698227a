"""Oscar with something broken in it, in a copy: named, left out, counted, and the rest is analysed. Its apps need each other."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.public.beds import OSCAR

pytestmark = pytest.mark.timeout(400)
long = pytest.mark.skipif(not os.environ.get("STRANGLER_LONG"), reason="an attempt for each app that can't be loaded: make beds")


def analysed(folder: Path, broken: dict[str, str]) -> dict[str, Any]:
    """``broken``: file → what is written at its end."""
    place = OSCAR.laid(folder / "project")
    shutil.copytree(OSCAR.source, place / "oscar", ignore=shutil.ignore_patterns("__pycache__", "static", "locale"))
    for path, text in broken.items():
        file = place / path
        file.write_text(f"{file.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")
    said = OSCAR.analyze(place, "--json")
    assert (said.code, "Traceback" in said.err) == (0, False), said.err
    answer: dict[str, Any] = json.loads(said.out)
    return answer


def skipped(answer: dict[str, Any]) -> dict[str, str]:
    return {f"{one['what']} {one['where']}": one["why"] for one in answer["skipped"]}


def counted(answer: dict[str, Any]) -> Counter[str]:
    return Counter(edge["kind"] for edge in answer["edges"])


def whole() -> Counter[str]:
    return Counter(json.loads(OSCAR.counts.read_text())["edges"])


def test_settings_that_raise_leave_the_source(tmp_path: Path) -> None:
    answer = analysed(tmp_path, {"settings.py": "raise RuntimeError('no such region')"})
    assert "RuntimeError: no such region" in skipped(answer)["project settings"]
    found = counted(answer)
    assert [found[kind] for kind in STATIC] == [whole()[kind] for kind in STATIC]
    assert found["foreign_key"] >= 0.9 * whole()["foreign_key"]


STATIC = ("get_model", "late_import", "migration", "signal", "template")


@long
def test_a_missing_dependency_is_named_with_the_apps_that_need_it(tmp_path: Path) -> None:
    answer = analysed(tmp_path, {"oscar/apps/analytics/models.py": "import not_installed_anywhere"})
    left = skipped(answer)
    assert "No module named 'not_installed_anywhere'" in left["app oscar.apps.analytics.apps.AnalyticsConfig"]
    assert "file oscar/apps/analytics/models.py" not in left
    found = counted(answer)
    assert [found[kind] for kind in STATIC] == [whole()[kind] for kind in STATIC]


@long
def test_models_that_do_not_parse_are_named_with_every_app_that_needs_them(tmp_path: Path) -> None:
    answer = analysed(tmp_path, {"oscar/apps/wishlists/models.py": "class ("})
    left = skipped(answer)
    assert "SyntaxError" in left["app oscar.apps.wishlists.apps.WishlistsConfig"]
    assert "wishlists" in left["app oscar.apps.customer.apps.CustomerConfig"]
    assert "invalid syntax" in left["file oscar/apps/wishlists/models.py"]
    found = counted(answer)
    assert [found[kind] for kind in STATIC] == [whole()[kind] for kind in STATIC]
