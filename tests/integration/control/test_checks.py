"""What ``manage.py check`` says of an estate that fits its own file, but not this project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strangler import conf
from strangler.checks import check_estate_file

TOML = """
[contexts.payments]
apps = ["monolith.payments"]
routes = [{ prefix = "/api/payments", csrf = true }]
service = { urls = ["http://127.0.0.1:8105"] }
"""


@pytest.fixture
def ids(settings: Any, tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    (tmp_path / "strangler.toml").write_text(TOML)
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(tmp_path / "strangler.toml")}
    yield lambda: [str(message.id) for message in check_estate_file()]
    conf.load.cache_clear()


def test_a_project_that_declares_no_context_yet_is_told_how_and_not_kept_from_running(settings: Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "strangler.toml")
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": missing}
    assert [(one.id, one.is_serious()) for one in check_estate_file()] == [("strangler.E001", True)]  # it was to be there
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(conf.DEFAULTS, "ESTATE", missing)
        settings.STRANGLER = {name: value for name, value in settings.STRANGLER.items() if name != "ESTATE"}
        (told,) = check_estate_file()
    conf.load.cache_clear()
    assert (told.id, told.is_serious()) == ("strangler.W001", False)
    assert "strangler analyze --propose --write" in str(told.hint)


def test_a_token_in_the_session_can_not_be_compared_at_the_edge(ids: Callable[[], list[str]], settings: Any) -> None:
    assert ids() == []
    settings.CSRF_USE_SESSIONS = True
    assert ids() == ["strangler.E023"]
