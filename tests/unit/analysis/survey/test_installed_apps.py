"""INSTALLED_APPS by the source of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.survey import installed_apps


@pytest.mark.parametrize(
    "text",
    [
        "INSTALLED_APPS = ['a', 'b']",
        "INSTALLED_APPS = ('a',)\nINSTALLED_APPS += ('b',)",
        "OURS = ['b']\nINSTALLED_APPS = ['a', *OURS]",
        "INSTALLED_APPS: list[str] = ['a'] + ['b']",
        "INSTALLED_APPS = list(('a',))\nif DEBUG:\n    INSTALLED_APPS.append('b')",
        "INSTALLED_APPS = ['a']\ntry:\n    import b\nexcept ImportError:\n    pass\nelse:\n    INSTALLED_APPS.extend(['b'])",
        "from .base import *\nINSTALLED_APPS = INSTALLED_APPS + ['b']",
        "from config.base import INSTALLED_APPS as THEIRS\nINSTALLED_APPS = [*THEIRS, 'b']",
        "INSTALLED_APPS = ['a'] + env.list('MORE') + ['b']",
        "INSTALLED_APPS = ['a', 'b'] if DEBUG else ['a']",
    ],
)
def test_a_list_is_read_however_it_is_put_together(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").touch()
    (tmp_path / "config" / "base.py").write_text("INSTALLED_APPS = ['a']\n")
    (tmp_path / "config" / "settings.py").write_text(text)
    assert installed_apps.read(tmp_path, "config.settings") == ["a", "b"]


@pytest.mark.parametrize("text", ["from .settings import *\n", "INSTALLED_APPS = find()\n", "def broken(:\n", ""])
def test_settings_without_a_list_that_can_be_read_have_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(text)
    assert installed_apps.read(tmp_path, "config.settings") == []
    assert installed_apps.read(tmp_path, "nowhere.settings") == []


def test_modules_that_all_import_each_other_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"part{number}" for number in range(12)]
    (tmp_path / "config").mkdir()
    for name in names:
        stars = "".join(f"from .{other} import *\n" for other in names)
        (tmp_path / "config" / f"{name}.py").write_text(
            f"from celery.schedules import crontab\n{stars}INSTALLED_APPS = ['{name}']\n"
        )
    parsed: list[bytes] = []
    monkeypatch.setattr(
        installed_apps.ast, "parse", lambda text, parse=installed_apps.ast.parse: parsed.append(text) or parse(text)
    )
    assert installed_apps.read(tmp_path, "config.part3") == ["part3"]
    assert len(parsed) == len(names)
