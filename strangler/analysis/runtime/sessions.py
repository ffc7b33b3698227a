"""A run of tests whose ledger goes to a file: nothing is stored in the database, and every unit is traced."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strangler import conf
from strangler.analysis.runtime import documents, transactions, watching
from strangler.analysis.runtime.gathering import Gathering
from strangler.analysis.usage import flushing, statements, units

DEFAULT = ".strangler/ledger.json"
VARIABLE = "STRANGLER_LEDGER"
log = logging.getLogger("strangler.ledger")


def asked() -> Path | None:
    """The path that ``STRANGLER_LEDGER=PATH manage.py test`` gives; none where the word only turns the ledger on or off."""
    given = os.environ.get(VARIABLE, "")
    return Path(given) if given and given.lower() not in (*conf.OFF, "on", "1", "yes", "true") else None


def record() -> None:
    """Begin to trace all units, in memory alone. Idempotent."""
    flushing.is_automatic, flushing.counts_usage = False, False
    transactions.watch_blocks()
    watching.install(1.0)
    statements.install()
    flushing.install()


def begin(path: Path) -> None:
    """For ``manage.py test``: each test of unittest's is a unit, and the file is written when the process ends."""
    if hasattr(unittest.TestCase.run, "strangler_original"):
        return
    record()
    unittest.TestCase.run = _running(unittest.TestCase.run)  # type: ignore[method-assign]
    path, owner = path.absolute(), os.getpid()
    os.register_at_fork(after_in_child=lambda: log.warning("ledger.not_recorded in a forked process: test without --parallel"))
    atexit.register(lambda: documents.write(path, drained()) if os.getpid() == owner else None)


def _running(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(self: unittest.TestCase, *args: Any, **kwargs: Any) -> Any:
        with test(self.id()):
            return original(self, *args, **kwargs)

    run.strangler_original = original  # type: ignore[attr-defined]
    return run


@contextmanager
def test(name: str) -> Iterator[None]:
    """What is seen until its end is seen by it, besides the request, task or command that it may call."""
    drained()
    watching.gathered.also_by = f"test {name}"
    unit = units.begin(units.Unit("test", name))
    try:
        yield
    finally:
        units.end(unit)
        drained()
        watching.gathered.also_by = ""


def drained() -> Gathering:
    """All that was seen until now."""
    flushing.read()
    return watching.gathered
