"""Code that stands in a context of the shop without being there, and what the ledger saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

from strangler.analysis.runtime import findings, sessions, watching
from strangler.analysis.usage import units
from strangler.domain.coupling.edges import Edge, Kind


def code(context: str, source: str) -> Callable[..., Any]:
    """The last function of the source, as if ``monolith/CONTEXT/written.py`` had it."""
    names = {label.rpartition(".")[2]: apps.get_model(label) for label in MODELS}
    names |= {"__name__": f"monolith.{context}.written", "transaction": transaction, "connection": connection}
    before = set(names)
    exec(compile(source, f"{settings.BASE_DIR}/monolith/{context}/written.py", "exec"), names)
    return next(names[name] for name in reversed(names) if name not in before and name != "__builtins__")


MODELS = ("orders.Order", "orders.OrderLine", "payments.Payment", "products.Product", "users.User", "customers.Customer")


@contextmanager
def unit(kind: str = "task", name: str = "work", modules: tuple[str, ...] = ()) -> Iterator[None]:
    begun = units.begin(units.Unit(kind, name, modules=modules))
    try:
        yield
    finally:
        units.end(begun)


def edges(*kinds: Kind) -> list[Edge]:
    return [edge for edge in findings.edges(sessions.drained()) if not kinds or edge.kind in kinds]


def keys(*kinds: Kind) -> set[tuple[str, str, str]]:
    """(source, target, what)."""
    return {(edge.source, edge.target, edge.what) for edge in edges(*kinds)}


def forget() -> None:
    """From here on all units are traced."""
    units.share = 1.0
    sessions.drained()
    watching.gathered.clear()
