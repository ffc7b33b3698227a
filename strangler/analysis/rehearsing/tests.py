"""Which test runs now, and how it ended: pytest says so in the environment and to its plugin, unittest where it is asked."""

from __future__ import annotations

import functools
import os
import unittest
from collections.abc import Callable
from typing import Any

from strangler.analysis.rehearsing.notes import Notes
from strangler.analysis.rehearsing.order import Order

OUTSIDE = "(outside of a test)"
FAILURES = ("addError", "addFailure", "addSubTest", "addUnexpectedSuccess")
_running = ""


def current() -> str:
    """Empty where no test runs, such as while a class is set up."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0] or _running


def install(order: Order) -> None:
    """For ``manage.py test``, in this process and in those that it forks. Idempotent."""
    if not hasattr(unittest.TestCase.run, "strangler_rehearsed"):
        unittest.TestCase.run = _noted(unittest.TestCase.run, Notes(order.into))  # type: ignore[method-assign]


def _noted(original: Callable[..., Any], notes: Notes) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(self: unittest.TestCase, result: Any = None) -> Any:
        global _running
        if current():  # pytest's plugin tells
            return original(self, result)
        _running, before, is_told = self.id(), _failed(result), False
        try:
            answer = original(self, result)
            is_told = True
        finally:  # a worker of ``--parallel`` raises what it can't send to its parent
            _running = ""
            outcome = "passed" if is_told and _failed(result) == before else "failed"
            notes.add("test", test=self.id(), outcome=outcome)
        return answer

    run.strangler_rehearsed = True  # type: ignore[attr-defined]
    return run


def _failed(result: Any) -> int:
    """A worker of ``--parallel`` keeps events in place of results."""
    events = sum(1 for event in getattr(result, "events", ()) if event[0] in FAILURES)
    kept = (getattr(result, name, None) for name in ("errors", "failures", "unexpectedSuccesses"))
    return events + sum(len(listed) for listed in kept if isinstance(listed, list))
