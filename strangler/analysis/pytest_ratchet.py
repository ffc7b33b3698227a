"""The ratchet as one test more of the project's own suite. With xdist one of the workers runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NAME = "strangler-ratchet"


class Ratcheting:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """After ``-k`` and ``-m`` have chosen among the others: this one was asked for by name."""
        items.append(Ratchet.from_parent(session, name=NAME))


class Broken(Exception):
    """It does not hold; the message has a line for each reason."""


class Ratchet(pytest.Item):
    def runtest(self) -> None:
        from django.apps import apps
        from django.conf import settings

        if not settings.configured or not apps.ready or not apps.is_installed("strangler"):
            raise Broken("Django is not set up, or 'strangler' is not in INSTALLED_APPS of the settings that the tests use.")
        from strangler.analysis import ratchet
        from strangler.errors import StranglerError

        try:
            held = ratchet.hold(ratchet.path())
        except StranglerError as error:
            raise Broken(str(error)) from error
        said = [f"{what}\n    {remedy}" for what, remedy in ratchet.complaints(held)]
        if said:
            raise Broken("\n".join(said))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return str(excinfo.value) if isinstance(excinfo.value, Broken) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return Path(self.config.rootpath), None, NAME
