"""Projects that Django can't load: what fails is named with its reason, and the rest is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.analysis.projects import look, write

MODEL = "from django.db import models\nclass {0}(models.Model):\n    other = models.ForeignKey('{1}', models.CASCADE)\n"
GOOD = {
    "sound/models.py": MODEL.format("Sound", "fine.Fine"),
    "fine/models.py": "from django.db import models\nclass Fine(models.Model):\n    pass\n",
}


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("import a_library_that_is_not_there\n", "No module named 'a_library_that_is_not_there'"),
        ("raise RuntimeError('no licence')\n", "no licence"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit('set LICENCE')\n", "set LICENCE"),
    ],
)
def test_an_app_whose_models_fail_is_left_out_and_the_others_are_loaded(tmp_path: Path, models: str, said: str) -> None:
    write(tmp_path, {**GOOD, "bad/models.py": models}, "sound bad fine")
    looked = look(tmp_path)
    assert said in looked.skipped("app")["bad"]
    assert looked.told["apps"]["bad"] == "bad"  # its source is read as that of its context
    assert "bad.models" in looked.told["files"]
    assert looked.edges("foreign_key") == {("foreign_key", "sound", "fine", "sound/models.py:Sound.other", "fine.Fine")}


def test_an_app_that_another_one_loads_is_blamed_itself_and_who_needs_it_is_left_out_too(tmp_path: Path) -> None:
    needy = "from bad.models import Bad\n" + GOOD["fine/models.py"].replace("Fine", "Needy")
    towards = MODEL.format("Towards", "bad.Bad")
    bad = "raise RuntimeError('no licence')\n"
    write(
        tmp_path,
        {**GOOD, "needy/models.py": needy, "bad/models.py": bad, "towards/models.py": towards},
        "needy bad sound fine towards",
    )
    looked = look(tmp_path)
    assert set(looked.skipped("app")) == {"bad", "needy"}
    assert looked.edges("foreign_key") == {
        ("foreign_key", "sound", "fine", "sound/models.py:Sound.other", "fine.Fine"),
        ("foreign_key", "towards", "bad", "towards/models.py:Towards.other", "bad.Bad"),
    }
    assert "bad.Bad is not loaded" in looked.skipped("relation")["towards/models.py:Towards.other"]


def test_apps_that_are_not_there_or_fail_when_ready_are_left_out(tmp_path: Path) -> None:
    config = "from django.apps import AppConfig\nclass LateConfig(AppConfig):\n    name = 'late'\n"
    config += "    def ready(self):\n        print('noise')\n        1 / 0\n"
    write(tmp_path, {**GOOD, "late/apps.py": config}, "nowhere sound fine late")
    looked = look(tmp_path)
    assert set(looked.skipped("app")) == {"nowhere", "late"}
    assert "ZeroDivisionError" in looked.skipped("app")["late"]
    assert "noise" in looked.said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("import os\nos.environ['A_VARIABLE_THAT_IS_NOT_SET']\n", "the settings can not be loaded: KeyError"),
        ("from config.settings import SECRET_KEY as again, LATER\n", "the settings can not be loaded: ImportError"),
        ("raise SystemExit('set SECRET')\n", "the settings can not be loaded: SystemExit: set SECRET"),
        ("def broken(:\n", "the settings can not be loaded: SyntaxError"),
    ],
)
def test_settings_that_fail_leave_the_source_with_the_apps_that_it_names(tmp_path: Path, settings: str, said: str) -> None:
    write(tmp_path, {**GOOD, "unlisted/models.py": ""}, "sound")
    path = tmp_path / "config" / "settings.py"
    (tmp_path / "config" / "more.py").write_text("OURS = ['fine']\n")
    path.write_text("from .more import *\n" + path.read_text() + "INSTALLED_APPS += OURS\n" + settings)
    (tmp_path / "strangler.toml").write_text('[contexts.music]\napps = ["sound"]\n')
    looked = look(tmp_path)
    assert said in looked.skipped("project")["config.settings"]
    assert looked.told["edges"] == []
    assert "sound.models" in looked.told["files"]
    apps = looked.told["apps"]
    assert (apps["sound"], apps["fine"]) == ("music", "fine")
    # what can't be parsed is not read either: then every directory that looks like an app is one
    assert ("unlisted" in apps) == (settings == "def broken(:\n")


def test_a_wrong_estate_file_is_not_taken_for_none(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "sound fine")
    (tmp_path / "strangler.toml").write_text('[contexts.music]\napp = ["sound"]\n')
    assert "contexts.music.app: is not a known key" in look(tmp_path).told["error"]
