"""Signal receivers across a context's border, each where ``strangler.toml`` says (P26).

=============  ==================================================================================================
``service``    it runs beside the context's own code, so on the service once that is the owner
``monolith``   it stays on the monolith; for a row that the service wrote it is called when that row was applied here
``drop``       it runs only while the monolith is the owner
=============  ==================================================================================================

A receiver of the context that listens to models of others is the mirror image: ``service`` calls it when the read copy of the row
was applied there. What is called for an applied row is called in the transaction that applies it, at least once, as ``post_save``
or ``post_delete``; of a deleted row only the key is known.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import signals
from django.dispatch import Signal

from strangler import conf
from strangler.domain.estate import Estate
from strangler.seams.claims import Claim, read
from strangler.sync import apply

Receiver = Callable[..., Any]
OF_ROWS = {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"}
REPLAYED = {"post_save", "post_delete"}
OURS = ("django.", "strangler.")
_live = Signal._live_receivers  # type: ignore[attr-defined]  # the one place through which all four ways to send go
_known: tuple[Estate | None, dict[str, tuple[str, str]]] = (None, {})


@dataclass(frozen=True)
class Crossing:
    """A receiver on one side of the border that listens to a signal from the other. ``inbound``: it is the context's own."""

    path: str
    signal: str
    inbound: bool

    @property
    def replays(self) -> bool:
        """Whether an applied row tells enough to call it."""
        return self.signal in REPLAYED


def dispose() -> None:
    """Makes every signal heed the declared dispositions. Called once the apps are loaded; idempotent."""
    Signal._live_receivers = _here  # type: ignore[attr-defined]
    apply.on_row_applied(_replay, inserts=_is_replayed)


def path(receiver: Receiver) -> str:
    """Its name in ``strangler.toml``: ``package.module.function``."""
    function = getattr(receiver, "__func__", receiver)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def crossing(context: str) -> list[Crossing]:
    """Every connected receiver that crosses the border of ``context``, by signals of models or of the contexts' own."""
    found = {}
    for name, sender, receiver in _connected():
        if path(receiver).startswith(OURS):
            continue
        here, there = _context_of(receiver.__module__), sender
        if (here == context) != (there == context):
            found[path(receiver), name] = Crossing(path(receiver), name, inbound=here == context)
    return sorted(found.values(), key=lambda one: (one.path, one.signal))


def _connected() -> Iterator[tuple[str, str, Receiver]]:
    """Signal's name, the sender's context, receiver. One that listens to every model comes once for each context."""
    of_model = {id(model): model for model in apps.get_models(include_auto_created=True)}
    contexts = conf.load()[0].contexts
    for name in OF_ROWS:
        signal = getattr(signals, name)
        for sender, receiver in _receivers(signal):
            if sender in of_model:
                yield name, _context_of(of_model[sender].__module__), receiver
            elif sender == id(None):
                for context in contexts:
                    yield name, context, receiver
    for name, signal in _own_signals().items():
        for _, receiver in _receivers(signal):
            yield name, _context_of(name), receiver


def _receivers(signal: Signal) -> Iterator[tuple[int, Receiver]]:
    for key, held, *_ in list(signal.receivers):
        receiver = held() if hasattr(held, "__callback__") else held
        if receiver is not None:
            yield key[1], receiver


def _own_signals() -> dict[str, Signal]:
    """The signals that modules of the contexts define: dotted name → signal."""
    found = {}
    for name in [name for name in sys.modules if _context_of(name)]:
        module = sys.modules[name]
        named = {attribute: value for attribute, value in vars(module).items() if isinstance(value, Signal)}
        for attribute in named.keys() & _assigned(module) if named else ():
            found[f"{name}.{attribute}"] = named[attribute]
    return found


def _assigned(module: ModuleType) -> set[str]:
    """The names that a module gives itself, without those that it imports."""
    try:
        body = ast.parse(inspect.getsource(module)).body
    except (OSError, TypeError, SyntaxError):
        return set()
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _context_of(module: str) -> str:
    return next(
        (
            context.name
            for context in conf.load()[0].contexts.values()
            if any(module == app or module.startswith(f"{app}.") for app in context.apps)
        ),
        "",
    )


# ---- where the code runs that makes the change ------------------------------------------------------------------------


def _here(self: Signal, sender: Any) -> tuple[list[Receiver], list[Receiver]]:
    """In place of ``Signal._live_receivers``."""
    sync, asynchronous = _live(self, sender)
    if not _declared():
        return sync, asynchronous
    return [one for one in sync if _fires(one)], [one for one in asynchronous if _fires(one)]


def _declared() -> dict[str, tuple[str, str]]:
    """Path → (context, disposition)."""
    global _known
    estate = conf.load()[0]
    if _known[0] is not estate:
        said = estate.contexts.values()
        _known = (estate, {path: (context.name, where) for context in said for path, where in context.receivers.items()})
    return _known[1]


def _fires(receiver: Receiver) -> bool:
    context, where = _declared().get(path(receiver), ("", ""))
    if not context:
        return True
    if conf.side() == "service":
        return where == "service"
    if where == "monolith" or not _is_inbound(receiver, context):
        return True
    return _owned_here(context)


def _is_inbound(receiver: Receiver, context: str) -> bool:
    return _context_of(receiver.__module__) == context


def _owned_here(context: str) -> bool:
    owner = read(context)
    return owner is None or owner.claim is Claim.LOCAL


# ---- where the row arrives ----------------------------------------------------------------------------------------------


def _replay(collection: str, key: str, op: str) -> None:
    for receiver in _replayed(collection, "post_delete" if op == "delete" else "post_save"):
        _call(receiver, apps.get_model(collection), key, op)


def _is_replayed(collection: str) -> bool:
    """Whether somebody hears of its applied rows, and so wants to know which of them are new."""
    return bool(_replayed(collection, "post_save"))


def _replayed(collection: str, name: str) -> list[Receiver]:
    if not _declared():
        return []
    try:
        model = apps.get_model(collection)
    except (LookupError, ValueError):  # a table that is no model here sends no signals
        return []
    sync, _ = _live(getattr(signals, name), model)
    return [receiver for receiver in sync if _is_called_for_rows(receiver)]


def _is_called_for_rows(receiver: Receiver) -> bool:
    """Rows of the context are applied on the monolith while the service owns; rows of others always, on the service."""
    context, where = _declared().get(path(receiver), ("", ""))
    if not context:
        return False
    if conf.side() == "monolith":
        return where == "monolith" and not _is_inbound(receiver, context)
    return where == "service" and _is_inbound(receiver, context) and context == conf.setting("CONTEXT") and _owned_here(context)


def _call(receiver: Receiver, model: type[models.Model], key: str, op: str) -> None:
    using = conf.setting("DATABASE")
    assert model._meta.pk is not None
    pk = model._meta.pk.to_python(key)
    if op == "delete":
        receiver(signal=signals.post_delete, sender=model, instance=model(pk=pk), using=using, origin=None)
        return
    instance = model._base_manager.using(using).filter(pk=pk).first()
    if instance is not None:
        said = {"created": op == "insert", "raw": False, "using": using, "update_fields": None}
        receiver(signal=signals.post_save, sender=model, instance=instance, **said)
