"""How each test ended, for a rehearsal. ``PYTEST_PLUGINS`` names it, so no other run of pytest loads it. Imports no Django."""

from __future__ import annotations

from typing import Any

import pytest

from strangler.analysis.rehearsing.notes import Notes
from strangler.analysis.rehearsing.order import given


def pytest_configure(config: pytest.Config) -> None:
    order = given()
    if order is not None:
        config.pluginmanager.register(Telling(Notes(order.into)), "strangler-rehearse")


class Telling:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._notes.add("test", test=report.nodeid, outcome="failed")
        elif report.when == "call" and report.passed:
            self._notes.add("test", test=report.nodeid, outcome="passed")
