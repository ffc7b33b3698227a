"""``pytest --strangler-ledger[=PATH]``: what crosses contexts while the tests run, as JSON for ``strangler analyze``.
``pytest --strangler-ratchet``: one test more, ``strangler ratchet check``.

An entry point ``pytest11``, so it is loaded by every pytest there is: until it is asked it imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OPTION, RATCHET = "strangler_ledger", "strangler_ratchet"
DEFAULT = ".strangler/ledger.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("strangler")
    group.addoption(
        "--strangler-ratchet",
        dest=RATCHET,
        action="store_true",
        help="one test more, which fails where `strangler ratchet check` would",
    )
    group.addoption(
        "--strangler-ledger",
        dest=OPTION,
        nargs="?",
        const=DEFAULT,
        default=None,
        metavar="PATH",
        help=f"record joins, transactions, reads and writes across contexts while the tests run, to PATH (default: {DEFAULT})",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(OPTION):
        config.pluginmanager.register(Recording(config), "strangler-ledger")
    if config.getoption(RATCHET):
        from strangler.analysis.pytest_ratchet import Ratcheting

        config.pluginmanager.register(Ratcheting(), "strangler-ratchet")


class Recording:
    """In a worker of xdist it hands over what it saw; the process that was called writes the file."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._path = Path(config.rootpath, config.getoption(OPTION))
        self._silent: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """After pytest-django has set Django up."""
        from django.apps import apps
        from django.conf import settings

        if not settings.configured or not apps.ready:
            raise pytest.UsageError("--strangler-ledger: Django is not set up; install pytest-django and name your settings.")
        if not apps.is_installed("strangler"):
            raise pytest.UsageError("--strangler-ledger: add 'strangler' to INSTALLED_APPS of the settings that the tests use.")
        from strangler.analysis.runtime import sessions
        from strangler.analysis.usage import reading

        if not reading.can_read():
            raise pytest.UsageError("--strangler-ledger: it reads SQL by sqlglot: pip install 'django-strangler[analysis]'.")
        sessions.record()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        from strangler.analysis.runtime import sessions

        with sessions.test(item.nodeid):
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended. One that died hands over nothing."""
        from strangler.analysis.runtime import documents, watching

        found = getattr(node, "workeroutput", {}).get(OPTION)
        if found is None:
            self._silent.append(node.gateway.id)
        else:
            documents.merge(found, watching.gathered)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        from strangler.analysis.runtime import documents, sessions

        gathered = sessions.drained()
        if hasattr(self._config, "workerinput"):
            self._config.workeroutput[OPTION] = documents.document(gathered)  # type: ignore[attr-defined]
        else:
            documents.write(self._path, gathered)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for worker in self._silent:
            terminalreporter.write_line(f"strangler ledger: worker {worker} ended without handing over what it had seen")
        terminalreporter.write_line(f"strangler ledger: {self._path}; `strangler analyze` reads it")
