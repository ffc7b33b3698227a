"""Units of work: the request, task or command on whose behalf a statement runs.

The current one is a context variable, so it follows an async view and its threads. A statement goes to the innermost unit; a
command that code calls belongs to the code that calls it. Where there is none (a shell, a thread of its own) it is ``unknown``.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from random import random
from typing import Any

from django.core.management.base import BaseCommand
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from strangler.analysis.usage import flushing, homes
from strangler.analysis.usage.tally import FULL_UNIT, Seen, Source, Together

UNRESOLVED = "(no view)"
share = 0.0  # of the units, those whose statements the ledger looks at; set by ``runtime.watching``
_through: ContextVar[frozenset[str]] = ContextVar("strangler_through", default=frozenset())


class Unit:
    """``seen`` is added to by any thread, and emptied by any: a deque does both without a lock."""

    __slots__ = ("ended", "home", "is_traced", "kind", "modules", "name", "parent", "request", "seen")

    def __init__(
        self, kind: str, name: str = "", home: str = "", request: HttpRequest | None = None, modules: tuple[str, ...] = ()
    ) -> None:
        self.kind, self.name, self.home, self.request, self.modules = kind, name, home, request, modules
        self.is_traced = share >= 1 or random() < share
        self.seen: deque[Seen | Together] = deque()
        self.parent: Unit | None = None
        self.ended = False

    @property
    def is_ours(self) -> bool:
        return self.home == homes.OURS

    @property
    def is_named(self) -> bool:
        return self.request is None or self.ended or self.request.resolver_match is not None

    def source(self) -> Source:
        match = self.request.resolver_match if self.request is not None else None
        if self.request is not None and not self.name:
            method = self.request.method or ""
            if match is None:
                return Source(self.kind, f"{method} {UNRESOLVED}", "")
            self.home, self.modules = homes.of_view(match), homes.modules_of_view(match)
            self.name = f"{method} /{match.route.replace('^', '').rstrip('$')}"  # of a regular expression, too
        return Source(self.kind, self.name, self.home, self.modules)

    def note(self, seen: Seen | Together) -> None:
        """After its end, too: a thread or a task that a request began may outlive it."""
        self.seen.append(seen)
        if self.ended or len(self.seen) >= FULL_UNIT:
            flushing.gather(self)


UNKNOWN = Unit("unknown")
OURSELVES = Unit("command", homes.OURS, homes.OURS)
_current: ContextVar[Unit] = ContextVar("strangler_unit", default=UNKNOWN)
current = _current.get
flushing.live[id(UNKNOWN)] = UNKNOWN


def begin(unit: Unit) -> Unit:
    unit.parent = _current.get()
    while unit.parent is not None and unit.parent.ended:
        unit.parent = unit.parent.parent
    _current.set(unit)
    if not unit.is_ours:
        flushing.live[id(unit)] = unit
    return unit


def end(unit: Unit) -> None:
    """Idempotent, and in any context: a streamed answer may end elsewhere than it began."""
    if unit.ended:
        return
    unit.ended = True
    if _current.get() is unit:
        _current.set(unit.parent or UNKNOWN)
    if flushing.live.pop(id(unit), None) is not None:
        flushing.gather(unit, is_hit=unit.kind == "request")


# ---- what begins and ends units --------------------------------------------------------------------------------------


def serving() -> None:
    """This process answers requests."""
    flushing.start("web")


def request_begun(request: HttpRequest) -> Unit:
    flushing.start("web")
    return begin(Unit("request", request=request))


def request_ended(unit: Unit, response: HttpResponseBase | None) -> None:
    """A streamed answer still reads while it is sent: its unit ends when the server closes it."""
    if response is not None and getattr(response, "streaming", False):
        response._resource_closers.append(lambda: end(unit))  # type: ignore[attr-defined]
    else:
        end(unit)


def task_begun(task: Any, **_: Any) -> None:
    """Celery's ``task_prerun``."""
    flushing.start("worker")
    home = getattr(task, "context", "") or homes.of_module(task.__module__ or "")
    task.request.strangler_unit = begin(
        Unit("task", task.name, homes.OURS if task.name.startswith("strangler.") else home, modules=(task.__module__ or "",))
    )


def task_ended(task: Any, **_: Any) -> None:
    """Celery's ``task_postrun``."""
    unit = getattr(task.request, "strangler_unit", None)
    if unit is not None:
        end(unit)


@contextlib.contextmanager
def command(called: BaseCommand) -> Iterator[None]:
    module = type(called).__module__
    if _current.get().kind not in ("unknown", "test"):
        yield
        return
    unit = begin(Unit("command", module.rpartition(".")[2], homes.of_module(module), modules=(module,)))
    if not unit.is_ours:
        flushing.start("command")
    try:
        yield
    finally:
        end(unit)


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """The product's own work: it is not counted."""
    token = _current.set(OURSELVES)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def through(context: str) -> Iterator[None]:
    """Inside, ``context`` is written through its seam: the caller need not know where its code runs."""
    token = _through.set(_through.get() | {context})
    try:
        yield
    finally:
        _through.reset(token)


def claimed(connection: Any) -> frozenset[str]:
    """The contexts that are used through their seam here: entered by one, or claimed by the connection's transaction (P17)."""
    known = getattr(connection, "strangler_claims", None)
    if known and known[1] and known[0] is connection.run_on_commit:
        return _through.get().union(known[1])
    return _through.get()
