"""Who hears whose signals, and who sends them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.edges import Kind

OF_USERS = {f"django.contrib.auth.signals.user_{what}" for what in ("logged_in", "logged_out", "login_failed")}
SENDS = ("send", "send_robust", "asend", "asend_robust")


@dataclass(frozen=True)
class Signal:
    """``dotted``: as the module knows it. ``home``: the context that made it; ``platform`` for Django's and other packages'."""

    dotted: str
    home: str

    @property
    def name(self) -> str:
        return self.dotted.rpartition(".")[2]


def received(of: Meanings, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Finding]:
    """``@receiver(post_save, sender=Order)``, and decorators of the project's own that take the same."""
    inside = ".".join(filter(None, (of.source.scope, function.name)))
    for mark in (each for told in function.decorator_list for each in of.alternatives(told)):
        if isinstance(mark, ast.Call):
            for signal in _signals(of, argument(mark, "signal", 0)):
                yield from _heard(of, signal, argument(mark, "sender", 1), inside, mark.lineno)


def connected(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``post_save.connect(f, sender=Order)``. It stands for ``f`` where that is of the same file."""
    if isinstance(call.func, ast.Attribute):
        scope = of.place(argument(call, "receiver", 0))
        for signal in _signals(of, call.func.value):
            yield from _heard(of, signal, argument(call, "sender", 1), scope, call.lineno)


def sent(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    if isinstance(call.func, ast.Attribute):
        for signal in _signals(of, call.func.value):
            for finding in _heard(of, signal, argument(call, "sender", 0), "", call.lineno):
                yield finding._replace(note="sends")


CALLS = {"connect": connected, **dict.fromkeys(SENDS, sent)}


def _heard(of: Meanings, signal: Signal, sender: ast.expr | None, scope: str, line: int) -> Iterator[Finding]:
    """A signal that a context made is that context's; one of a package says whose by its sender."""
    atlas = of.project.atlas
    if signal.home != PLATFORM:
        yield Finding(Kind.SIGNAL, signal.home, signal.dotted, line=line, scope=scope)
    elif signal.dotted in OF_USERS:
        if of.user_model:
            yield Finding(Kind.SIGNAL, atlas.of_model(of.user_model), signal.name, line=line, scope=scope)
    else:
        for label in of.labels(sender):
            yield Finding(Kind.SIGNAL, atlas.of_model(label), f"{signal.name} {label}", line=line, scope=scope)


def _signals(of: Meanings, node: ast.expr | None) -> Iterator[Signal]:
    """A socket and a database have ``connect`` too: a signal is what its module makes as one, or what a package calls so."""
    for each in of.alternatives(node):
        dotted = of.dotted(each)
        made = of.definition(each)
        if made is not None and made.kind == "import":
            dotted, made = made.what, None
        if made is None and ".signals." in dotted and of.project.atlas.of_module(dotted) == PLATFORM:
            yield Signal(dotted, PLATFORM)
        elif made is not None and of.is_instance(each, "Signal"):
            yield Signal(dotted, of.project.atlas.of_module(made.module))
